package device

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// A new version of a job stops an allocation and places another in one message. On a slow link its module takes minutes, and on a
// small machine its compile takes seconds more; stopped at once, the old version would leave a gap of that length. So its stop is
// held back until all that the replacement needs is here, verified and compiled. Then the stop of the old and the start of the
// new go out together, as they do when there was nothing to wait for.
//
// When in doubt the old version runs on: time without a link does not count, a boot begins the count anew, and a replacement that
// ends before it could start is none. The rejected alternative, holding the message back as a whole, would also hold what does
// not depend on the new version.

// HoldMax is how long a stop is held back while there is a link over which what is missing could come.
const HoldMax = 10 * time.Minute

// Held is a stop that the region wants and that waits for a replacement, as it is on disk.
type Held struct {
	Reason string        // of the stop
	Left   time.Duration // of HoldMax, when it was last counted
}

// hold is Held in memory.
type hold struct {
	Held
	since time.Time // Left counts from here; zero: there is no link, and it does not
	told  bool      // the allocation's tasks say that they wait
}

func (h *hold) left(now time.Time) time.Duration {
	if h.since.IsZero() {
		return h.Left
	}
	return h.Left - max(0, now.Sub(h.since))
}

// ahead is how far the preparation of a task before its first start is.
type ahead uint8

const (
	aheadAsked ahead = iota + 1
	aheadDone        // or it failed: the start says why in its own words
)

// holdBack notes a stop, before anything of the same message begins, and leaves to settleHolds whether there is a reason to wait.
func (d *Device) holdBack(w *wire.DesiredAlloc) {
	e := d.allocs[w.ID]
	switch {
	case !w.Stop || e == nil || e.Terminal() || e.Desired().Stop:
	case e.hold != nil:
		e.hold.Reason = w.StopReason
		d.markDirty(e)
	case slices.ContainsFunc(e.Tasks(), begun):
		e.hold = &hold{Held: Held{Reason: w.StopReason, Left: HoldMax}}
		d.held = append(d.held, w.ID)
		d.countHold(e.hold)
		d.markDirty(e)
	}
}

// begun says that a task runs, or did and will again.
func begun(t *task.Task) bool { return t.Phase() >= task.Starting && t.Phase() != task.Dead }

// unhold takes a held stop back: the region wants the allocation again.
func (d *Device) unhold(e *entry) {
	if e.hold != nil {
		d.note("allocation %s was to be stopped (%s) and is wanted again", e.ID(), e.hold.Reason)
		e.hold = nil
		d.markDirty(e)
	}
}

// countHold lets the time of a hold pass, from now on, while there is a link.
func (d *Device) countHold(h *hold) {
	if d.linkUp && h.since.IsZero() {
		h.since = d.now
		d.timers.add(timer{at: d.now.Add(h.Left), kind: wakeHold})
	}
}

func (d *Device) countHolds() {
	for _, id := range d.held {
		if e := d.allocs[id]; e != nil && e.hold != nil {
			d.countHold(e.hold)
		}
	}
}

// pauseHolds stops the count, because the link went. What is left is no reason for a write of its own.
func (d *Device) pauseHolds() {
	for _, id := range d.held {
		if e := d.allocs[id]; e != nil && e.hold != nil {
			e.hold.Left, e.hold.since = e.hold.left(d.now), time.Time{}
			d.include(e)
		}
	}
}

// settleHolds lets go of every hold that has no reason any more, and then of the replacements that waited for it.
func (d *Device) settleHolds() {
	if len(d.held) == 0 {
		return
	}
	var kept []fleet.UUID
	for _, id := range d.held {
		e := d.allocs[id]
		if e == nil || e.hold == nil {
			continue
		}
		if d.keepsWaiting(e) {
			kept = append(kept, id)
			continue
		}
		reason := e.hold.Reason
		e.hold = nil
		if e.Terminal() {
			d.markDirty(e)
			continue
		}
		d.do(e, e.Stop(reason, d.cmds[:0], d.now))
		d.touch(e)
	}
	freed := len(kept) < len(d.held)
	d.held = kept
	if freed {
		d.goAhead()
	}
}

// keepsWaiting says whether a held stop has to wait on, and tells the allocation's tasks so the first time.
func (d *Device) keepsWaiting(e *entry) bool {
	if e.Terminal() {
		return false
	}
	version, waits := d.unready(e)
	if !waits {
		return false
	}
	if e.hold.left(d.now) <= 0 {
		d.tellTasks(e, fmt.Sprintf("version %d is still not ready after %s; this one is stopped as wanted", version, HoldMax))
		return false
	}
	if !e.hold.told {
		e.hold.told = true
		d.tellTasks(e, fmt.Sprintf("is to be stopped (%s) and waits for version %d to be ready", e.hold.Reason, version))
	}
	return true
}

func (d *Device) tellTasks(e *entry, words string) {
	for _, t := range e.Tasks() {
		if begun(t) {
			d.step(e, t, task.Note{Text: words})
		}
	}
}

// unready is the newest version that is to take e's place and lacks something it needs to start.
func (d *Device) unready(e *entry) (version uint64, found bool) {
	for _, r := range d.allocs {
		if r.replaces(e) && slices.ContainsFunc(r.Tasks(), r.lacks) {
			version, found = max(version, r.Desired().Job.Version), true
		}
	}
	return version, found
}

// replaces says whether e is to run, with another version of the same job, in the place of old.
func (e *entry) replaces(old *entry) bool {
	if e.Terminal() || e.hold != nil || e.Desired().Stop {
		return false
	}
	a, b := e.Desired(), old.Desired()
	return a.Index == b.Index && a.Group == b.Group && a.Job.ID == b.Job.ID && a.Job.Namespace == b.Job.Namespace && a.Job.Version != b.Job.Version
}

// lacks says whether a task could not start at once.
func (e *entry) lacks(t *task.Task) bool {
	return t.Attempt() <= 1 && t.Phase() < task.Starting && e.ahead[t.Name()] != aheadDone
}

// getReady is called for a task whose modules are here. It reports whether the task has to wait for others of its group because
// an older version runs until they all can start, and has it prepared meanwhile.
func (d *Device) getReady(e *entry, t *task.Task, n needs) (waits bool) {
	waits = t.Attempt() <= 1 && slices.ContainsFunc(d.held, func(id fleet.UUID) bool {
		old := d.allocs[id]
		return old != nil && old.hold != nil && !old.Terminal() && e.replaces(old)
	})
	if !waits || e.ahead[t.Name()] != 0 {
		return waits
	}
	if e.ahead == nil {
		e.ahead = map[string]ahead{}
	}
	e.ahead[t.Name()] = aheadAsked
	if len(n.modules) == 0 {
		e.ahead[t.Name()] = aheadDone
		return true
	}
	d.out.prepare = append(d.out.prepare, PrepareTask{Start: startOf(e, t)})
	return true
}

// taskPrepared notes the end of a PrepareTask.
func (d *Device) taskPrepared(ev TaskPrepared) {
	e := d.allocs[ev.Alloc]
	if e == nil || e.ahead[ev.Task] != aheadAsked {
		return // it does not wait any more
	}
	t := e.Task(ev.Task)
	if t == nil || t.Attempt() != ev.Attempt {
		return
	}
	e.ahead[ev.Task] = aheadDone
	if ev.Err != "" {
		d.step(e, t, task.Note{Text: "could not be prepared ahead of its start: " + ev.Err})
	}
}

// goAhead lets tasks start that waited for a hold which is gone.
func (d *Device) goAhead() {
	for _, id := range d.sortedIDs() {
		e := d.allocs[id]
		if e.ahead == nil || slices.ContainsFunc(d.held, func(id fleet.UUID) bool { return e.replaces(d.allocs[id]) }) {
			continue
		}
		waited := slices.Sorted(maps.Keys(e.ahead))
		e.ahead = nil
		for _, name := range waited {
			d.prepare(e, e.Task(name))
		}
	}
}
