package device

import (
	"fmt"
	"slices"

	"github.com/dunlin-edge/dunlin/edge/alloc"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// desired applies what the region wants, or refuses it as a whole: half a message would be a state that nobody asked for.
func (d *Device) desired(m *wire.Desired) {
	if reason := d.refusal(m); reason != "" {
		d.warn("what the server wants is refused: %s", reason)
		d.out.answer = append(d.out.answer, RefuseDesired{Reason: reason})
		return
	}
	broken := map[wire.JobKey]error{}
	for _, spec := range m.Jobs {
		known := d.jobs[spec.Key] != nil
		if err := d.hold(spec); err != nil {
			broken[spec.Key] = err
			d.warn("%v", err)
		} else if !known {
			d.newJobs = append(d.newJobs, spec)
		}
	}
	for i := range m.Allocs {
		d.holdBack(&m.Allocs[i])
	}
	for i := range m.Allocs {
		d.want(&m.Allocs[i], broken)
	}
	if m.Full {
		d.findOrphans(m)
		d.resync = false
	}
	for _, id := range m.Forget {
		d.forgetWanted(id)
	}
	for _, spec := range m.Jobs {
		if h := d.jobs[spec.Key]; h != nil && h.users == 0 {
			delete(d.jobs, spec.Key)
			d.unsavedJob(spec.Key)
		}
	}
	d.facts.Region = m.RegionID
	d.facts.Held, d.facts.Mark = m.Gen, m.Mark
	d.unsaved = true
	d.out.urgent = true
	d.out.answer = append(d.out.answer, AckDesired{Gen: m.Gen})
}

// refusal says why a message is not obeyed; empty: it is.
func (d *Device) refusal(m *wire.Desired) string {
	if !d.facts.Region.IsZero() && m.RegionID != d.facts.Region {
		return fmt.Sprintf("it comes from region %s, and this device obeys region %s", m.RegionID, d.facts.Region)
	}
	if m.Gen.Less(d.facts.Held) && !d.cfg.Planted.ObeyOlder {
		return fmt.Sprintf("its generation is %s, older than %s, which this device holds", m.Gen, d.facts.Held)
	}
	if m.Full {
		return "" // there is nothing more to ask for; what it lacks fails by itself, in words
	}
	sent := make(map[wire.JobKey]bool, len(m.Jobs))
	for i := range m.Jobs {
		sent[m.Jobs[i].Key] = true
	}
	for i := range m.Allocs {
		a := &m.Allocs[i]
		e := d.allocs[a.ID]
		needed := !a.Stop && (e == nil || !e.Terminal() && e.Desired().Job != a.Job)
		if needed && !sent[a.Job] && d.jobs[a.Job] == nil {
			d.resync = true
			return fmt.Sprintf("allocation %s needs job %s, which was not sent and is not here; everything will be asked for", a.ID, a.Job)
		}
	}
	return ""
}

// want applies one row.
func (d *Device) want(w *wire.DesiredAlloc, broken map[wire.JobKey]error) {
	e := d.allocs[w.ID]
	switch {
	case e == nil:
		d.create(w, broken)
		return
	case e.Terminal():
		e.setOrphan(d, false)
		if !w.Stop {
			// It ended and the region believes that it runs: the end was not heard, or a restored region has forgotten it.
			e.acked = 0
			d.enqueue(e)
		}
		return
	}
	e.setOrphan(d, false)
	if w.Stop && e.hold != nil {
		return // settleHolds stops it, now or later
	}
	if w.Stop {
		d.do(e, e.Stop(w.StopReason, d.cmds[:0], d.now))
		d.touch(e)
		return
	}
	if e.Desired().Stop {
		d.note("allocation %s is being stopped (%s) and cannot be wanted again", w.ID, e.Desired().StopReason)
		return
	}
	d.unhold(e)
	if w.Job != e.Desired().Job || w.Exceeds != e.Desired().Exceeds || e.job == nil {
		d.adopt(e, w)
	}
}

// create takes a new allocation on. One that is to be stopped is answered for, so that the region can close it.
func (d *Device) create(w *wire.DesiredAlloc, broken map[wire.JobKey]error) {
	e := &entry{claims: claimsOf(w.Granted)}
	e.Alloc = alloc.New(*w, nil, d.cfg.Seed, d.now)
	if w.Stop {
		d.admit(e)
		return
	}
	err := d.use(e, w.Job)
	if cause := broken[w.Job]; cause != nil {
		err = cause
	}
	if err != nil {
		e.Alloc = alloc.Broken(*w, err.Error(), d.now)
		d.admit(e)
		return
	}
	e.Alloc = alloc.New(*w, e.group.specsOf(w.Exceeds), d.cfg.Seed, d.now)
	d.allocs[w.ID] = e
	d.pin(e)
	d.do(e, e.Begin(d.cmds[:0], d.now))
	d.touch(e)
}

// admit takes on an allocation that has ended before it began.
func (d *Device) admit(e *entry) {
	d.allocs[e.ID()] = e
	d.enqueue(e)
	d.touch(e)
}

// adopt takes over a new version of the job. What runs is left alone: the region sends this only when nothing that the task
// sees has changed.
func (d *Device) adopt(e *entry, w *wire.DesiredAlloc) {
	if err := d.use(e, w.Job); err != nil {
		d.warn("allocation %s keeps version %d of its job: %v", e.ID(), e.Desired().Job.Version, err)
		return
	}
	e.Adopt(w, e.group.specsOf(w.Exceeds))
	old := *e
	e.pins = nil
	d.pin(e)
	d.unpin(&old)
	d.markDirty(e)
}

// findOrphans marks what a complete message did not name. Orphans are told of, and never stopped.
func (d *Device) findOrphans(m *wire.Desired) {
	named := make(map[fleet.UUID]bool, len(m.Allocs))
	for i := range m.Allocs {
		named[m.Allocs[i].ID] = true
	}
	for _, id := range d.sortedIDs() {
		e := d.allocs[id]
		if named[id] || e.orphan {
			continue
		}
		e.setOrphan(d, true)
		if e.Terminal() {
			continue
		}
		if d.cfg.Planted.StopOrphans {
			d.do(e, e.Stop("unknown to the region", d.cmds[:0], d.now))
			d.touch(e)
			continue
		}
		d.warn("allocation %s (%s) is unknown to the region; it is kept running as an orphan", id, e.Desired().Name())
	}
}

func (e *entry) setOrphan(d *Device, orphan bool) {
	if e.orphan != orphan {
		e.orphan = orphan
		d.status.orphans = true
		d.markDirty(e)
	}
}

// forgetWanted drops an allocation that the region has reaped, unless something of it still runs.
func (d *Device) forgetWanted(id fleet.UUID) {
	e := d.allocs[id]
	switch {
	case e == nil:
	case !e.Terminal():
		d.warn("allocation %s (%s) runs and the region wants it forgotten; it is kept", id, e.Desired().Name())
	default:
		if !e.cleared {
			d.out.remove = append(d.out.remove, RemoveAllocDir{Alloc: id})
		}
		d.dead = without(d.dead, id)
		d.tombs = without(d.tombs, id)
		d.forget(id)
	}
}

func without(ids []fleet.UUID, id fleet.UUID) []fleet.UUID {
	if i := slices.Index(ids, id); i >= 0 {
		return slices.Delete(ids, i, i+1)
	}
	return ids
}

func (d *Device) sortedIDs() []fleet.UUID {
	ids := make([]fleet.UUID, 0, len(d.allocs))
	for id := range d.allocs {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, compareID)
	return ids
}
