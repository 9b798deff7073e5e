package device

import (
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
)

// output collects the actions of one Step by kind, because their order is part of the decision: it is the order in which
// finish lists them.
type output struct {
	notes   []Action
	answer  []Action // to DesiredReceived or LinkUp
	fetch   []Action
	prepare []Action
	recover []Action
	destroy []Action // before start: of one task, the ended attempt goes first
	start   []Action
	stop    []Action
	remove  []Action
	send    []Action

	urgent bool // what follows must be on disk first
	pins   bool // the set changed
}

func (d *Device) finish() []Action {
	o := &d.out
	acts := o.notes
	early := d.cfg.Planted.AckBeforePersist
	if early {
		acts = append(acts, o.answer...)
	}
	acts = d.persist(acts)
	if !early {
		acts = append(acts, o.answer...)
	}
	if o.pins {
		acts = append(acts, PinModules{Digests: d.pinned()})
	}
	for _, part := range [...][]Action{o.fetch, o.prepare, o.recover, o.destroy, o.start, o.stop, o.remove, o.send} {
		acts = append(acts, part...)
	}
	if at, ok := d.timers.next(); ok {
		acts = append(acts, WakeAt{At: at})
	}
	*o = output{}
	return acts
}

// persist writes what changed, when something that follows depends on it or it has waited long enough.
func (d *Device) persist(acts []Action) []Action {
	if !d.unsaved {
		d.persistBy = time.Time{}
		return acts
	}
	if !d.out.urgent && (d.persistBy.IsZero() || d.now.Before(d.persistBy)) {
		if d.persistBy.IsZero() {
			d.persistBy = d.now.Add(PersistWindow)
			d.timers.add(timer{at: d.persistBy, kind: wakePersist})
		}
		return acts
	}
	p := Persist{Facts: d.facts, Jobs: d.newJobs, DropJobs: d.dropJobs, DropAllocs: d.dropAllocs}
	for _, id := range d.dirty {
		if e := d.allocs[id]; e != nil && e.dirty {
			e.dirty = false
			r := Record{Record: e.Record(), Orphan: e.orphan, Cleared: e.cleared}
			if e.hold != nil {
				h := e.hold.Held
				r.Held = &h
			}
			p.Allocs = append(p.Allocs, r)
		}
	}
	d.dirty, d.newJobs, d.dropJobs, d.dropAllocs = d.dirty[:0], nil, nil, nil
	d.unsaved, d.persistBy, d.savedClock = false, time.Time{}, d.facts.Clock
	return append(acts, p)
}

func (d *Device) markDirty(e *entry) {
	d.unsaved = true
	d.include(e)
}

// include lets the next write carry the entry, without being a reason for one.
func (d *Device) include(e *entry) {
	if !e.dirty {
		e.dirty = true
		d.dirty = append(d.dirty, e.ID())
	}
}

// forget removes an allocation from memory and disk.
func (d *Device) forget(id fleet.UUID) {
	e := d.allocs[id]
	d.unpin(e)
	d.release(e)
	delete(d.allocs, id)
	d.dropAllocs = append(d.dropAllocs, id)
	d.unsaved = true
}
