package region

import (
	"maps"
	"slices"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Ports: few numbers, so that many want the same.
const (
	staticPorts   = 2 // from 8080 on
	dynamicsFirst = 20000
	dynamicsLast  = 20004
)

// likely is chance among those that want ports: of every other seed, with a source of
// its own, so that ports change nothing of what the others play.
func (u *users) likely(n int) bool { return u.ports != nil && u.ports.IntN(1000) < n }

// network draws what a group asks of its node alone; mostly nothing.
func (u *users) network() []fleet.Network {
	var ports []fleet.Port
	if u.likely(350) {
		ports = append(ports, fleet.Port{Label: "http", Value: 8080 + u.ports.IntN(staticPorts)})
	}
	if u.likely(250) {
		ports = append(ports, fleet.Port{Label: "any"})
	}
	if ports == nil {
		return nil
	}
	return []fleet.Network{{Ports: ports}}
}

type heldThing struct {
	node state.NodeKey
	port uint16
}

// heldOnce objects when two that should run hold one port of a node, or one does
// not hold what its group asks for. It reads the rows alone.
func (c *checks) heldOnce(v *state.View, index uint64) {
	holders := map[heldThing]*state.Alloc{}
	for a := range v.Allocs() {
		if !a.Holds() {
			continue
		}
		g, err := v.Granted(a).Unpack()
		if want := a.GroupSpec().AllPorts(); err != nil || len(g.Ports) != len(want) {
			c.s.object("entry %d: %s (%s) asks for %d ports and holds %d", index, a.Name(), short(a.ID), len(want), len(g.Ports))
		}
		for _, p := range g.Ports {
			at := heldThing{a.Node, p.Number}
			if other := holders[at]; other != nil {
				c.s.object("entry %d gives port %d of node %d to %s (%s) and %s (%s)", index, p.Number, a.Node, other.Name(), short(other.ID), a.Name(), short(a.ID))
			}
			holders[at] = a
		}
	}
}

// startsAlone objects when a task begins while another allocation's runs there that
// holds the same port.
func (c *checks) startsAlone(m *machine, a device.StartTask) {
	for _, id := range slices.Sorted(maps.Keys(m.running)) {
		p := m.running[id]
		if p.in.Alloc != a.Alloc && shares(&p.granted, &a.Granted) {
			c.s.object("device %d starts %s, and %s runs there and holds the same port", m.n, instanceID(a.Instance), id)
		}
	}
}

func shares(a, b *wire.Grants) bool {
	for _, p := range a.Ports {
		if slices.ContainsFunc(b.Ports, func(q wire.GrantedPort) bool { return q.Number == p.Number }) {
			return true
		}
	}
	return false
}

// waitsForOrphan reports whether an orphan of its device holds what an allocation
// is to hold: it waits for as long as nobody stops that one.
func waitsForOrphan(v *state.View, a *state.Alloc) bool {
	mine, err := v.Granted(a).Unpack()
	n := v.Node(a.Node)
	if err != nil || n == nil {
		return false
	}
	for i := range n.Orphans {
		if theirs, err := n.Orphans[i].Granted.Unpack(); err == nil && shares(&mine, &theirs) {
			return true
		}
	}
	return false
}
