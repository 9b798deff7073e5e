package state

import (
	"fmt"
	"iter"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// What allocations alone hold of their nodes stands beside their rows, by node: a
// field of the row would cost all of a million the room that a few need, and
// whoever asks what is taken on a node asks for just this range.

type grantedEntry struct {
	node    NodeKey
	alloc   AllocKey
	held    bool // Alloc.Holds
	granted wire.Granted
}

func grantedLess(a, b grantedEntry) bool {
	return a.node < b.node || a.node == b.node && a.alloc < b.alloc
}

// Granted is what the allocation was given of its node alone; empty for most.
func (v *View) Granted(a *Alloc) wire.Granted {
	e, _ := v.t.granted.Get(grantedEntry{node: a.Node, alloc: a.Key})
	return e.granted
}

// Held yields what is taken on a node by allocations that hold it, oldest first.
// What its orphans hold is in its row.
func (v *View) Held(node NodeKey) iter.Seq2[AllocKey, wire.Granted] {
	return func(yield func(AllocKey, wire.Granted) bool) {
		v.t.granted.Ascend(grantedEntry{node: node}, func(e grantedEntry) bool {
			return e.node == node && (!e.held || yield(e.alloc, e.granted))
		})
	}
}

// resources is what the allocation was given, what it alone holds included.
func (v *View) resources(a *Alloc) *fleet.AllocatedResources {
	out := a.GroupSpec().Resources(a.Exceeds)
	g, err := v.Granted(a).Unpack()
	if err != nil || g.Empty() {
		return out
	}
	for _, d := range g.Devices {
		out.GiveDevice(d.Task, d.Device, d.IDs)
	}
	ip := ""
	if n := v.Node(a.Node); n != nil {
		ip = n.Spec.Address()
	}
	out.SharePorts(a.GroupSpec(), ip, func(label string) (int, bool) {
		for _, p := range g.Ports {
			if p.Label == label {
				return int(p.Number), true
			}
		}
		return 0, false
	})
	return out
}

// Grant notes what an allocation, which must be in the state, holds alone.
func (x *Txn) Grant(a *Alloc, g wire.Granted) {
	if g != "" {
		x.t.granted.Set(grantedEntry{node: a.Node, alloc: a.Key, held: a.Holds(), granted: g})
	}
}

// holdGranted brings the entry of an allocation that began or ended to hold.
func (x *Txn) holdGranted(a *Alloc) {
	if e, ok := x.t.granted.Get(grantedEntry{node: a.Node, alloc: a.Key}); ok {
		e.held = a.Holds()
		x.t.granted.Set(e)
	}
}

func (l *loader) granted(r *codec.Reader) error {
	a := l.x.Alloc(AllocKey(r.Uint()))
	g := wire.ReadGranted(r)
	if err := r.Close(); err != nil {
		return err
	}
	if a == nil || g == "" {
		return fmt.Errorf("what an allocation holds follows no allocation, or is nothing")
	}
	l.x.Grant(a, g)
	return nil
}
