package device

import (
	"fmt"
	"slices"

	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// What an allocation alone holds of this device (ports, devices) is given out by the region, which takes a stopped allocation's
// back at once. Here the old one may still be ending, or be an orphan that the region never knew of. So a new one does not
// start before whoever holds the same has ended: a port that is still bound would make it fail, and a camera in two hands
// would be worse. It waits as long as that takes, and says for whom.

// claims is what an entry holds, and who waits for it.
type claims struct {
	granted wire.Grants
	owns    bool     // a task of it has begun, so what it holds is its own until it has ended
	awaits  []string // tasks that wait until another entry has ended
}

func claimsOf(g wire.Granted) claims {
	granted, err := g.Unpack()
	if err != nil {
		panic("device: what an allocation holds was checked when it was read: " + err.Error())
	}
	return claims{granted: granted}
}

// awaitsHolder is called for a task that could start, and reports whether it has to wait for the end of another allocation.
func (d *Device) awaitsHolder(e *entry, t *task.Task) bool {
	if e.claims.owns || e.claims.granted.Empty() {
		return false
	}
	o, what := d.holder(e)
	if o == nil {
		e.claims.owns = true
		return false
	}
	if slices.Contains(e.claims.awaits, t.Name()) {
		return true
	}
	e.claims.awaits = append(e.claims.awaits, t.Name())
	if !slices.Contains(d.awaiting, e.ID()) {
		d.awaiting = append(d.awaiting, e.ID())
	}
	d.step(e, t, task.Note{Text: fmt.Sprintf("waits for %s, which allocation %s (%s) holds until it has ended", what, o.ID(), o.Desired().Name())})
	return true
}

// holder is an entry whose end another has to wait for, and what of; nil: none.
func (d *Device) holder(e *entry) (*entry, string) {
	for _, id := range d.sortedIDs() {
		o := d.allocs[id]
		if o == e || o.over() || o.claims.granted.Empty() {
			continue
		}
		// Of two that have not begun, the older one goes first.
		if !o.claims.owns && (o.Desired().Stop || !before(o, e)) {
			continue
		}
		if what := common(&o.claims.granted, &e.claims.granted); what != "" {
			return o, what
		}
	}
	return nil, ""
}

func before(a, b *entry) bool {
	x, y := a.Desired(), b.Desired()
	return x.CreateTime < y.CreateTime || x.CreateTime == y.CreateTime && compareID(x.ID, y.ID) < 0
}

// common is something that both hold, in words; empty: nothing.
func common(a, b *wire.Grants) string {
	for _, p := range a.Ports {
		for _, q := range b.Ports {
			if p.Number == q.Number {
				return fmt.Sprintf("port %d", p.Number)
			}
		}
	}
	for _, x := range a.Devices {
		for _, y := range b.Devices {
			for _, id := range x.IDs {
				if slices.Contains(y.IDs, id) { // the kind may have been renamed in between
					return fmt.Sprintf("device %s (%s)", id, x.Device)
				}
			}
		}
	}
	return ""
}

// settleClaims lets those start that waited for somebody who has ended.
func (d *Device) settleClaims() {
	if !d.released || len(d.awaiting) == 0 {
		d.released = false
		return
	}
	d.released = false
	waiting := d.awaiting
	d.awaiting = nil
	slices.SortFunc(waiting, func(a, b fleet.UUID) int {
		x, y := d.allocs[a], d.allocs[b]
		switch {
		case x == nil || y == nil:
			return compareID(a, b)
		case before(x, y):
			return -1
		}
		return 1
	})
	for _, id := range waiting {
		e := d.allocs[id]
		if e == nil || e.Terminal() {
			continue
		}
		if o, _ := d.holder(e); o != nil {
			d.awaiting = append(d.awaiting, id)
			continue
		}
		names := e.claims.awaits
		e.claims.awaits = nil
		for _, name := range names {
			if _, t := d.waiting(waiter{id, name}); t != nil { // else it was stopped, or has ended otherwise
				d.prepare(e, t)
			}
		}
	}
}

// ran says of a record that a task of it has begun: what it holds is its own.
func ran(rec *Record) bool {
	return rec.Desired.Granted != "" && slices.ContainsFunc(rec.Tasks, func(t task.Record) bool { return t.Attempt > 1 || t.Phase >= task.Starting && t.Phase != task.Dead })
}
