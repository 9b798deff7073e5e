package device

import (
	"fmt"
	"slices"

	"github.com/dunlin-edge/dunlin/edge/task"
)

// An allocation that was given the room of others, which had to give way, starts when they have ended: a small machine has no
// memory for both. The device sees to that by itself, also after a boot without a link. What it needs is fetched meanwhile. The
// rejected alternative, a server that keeps the newcomer back until it hears of the end, would let a device stand idle whose link
// goes in between.

// crowded says whether something has to end before a task of e may start. At boot all is not known yet, and it has to wait.
func (d *Device) crowded(e *entry, t *task.Task) bool {
	if len(e.Desired().After) == 0 || d.cfg.Planted.StartCrowded {
		return false
	}
	old := d.before(e)
	if old == nil && !d.booting {
		return false
	}
	if w := (waiter{e.ID(), t.Name()}); !slices.Contains(d.crowd, w) {
		d.crowd = append(d.crowd, w)
		if old != nil {
			d.step(e, t, task.Note{Text: fmt.Sprintf("waits for the end of %s, allocation %s, whose room it has", old.Desired().Name(), old.ID())})
		}
	}
	return true
}

// before is an allocation that has to end before e starts, or nil. One that the device does not know has ended.
func (d *Device) before(e *entry) *entry {
	for _, id := range e.Desired().After {
		if old := d.allocs[id]; old != nil && !old.over() {
			return old
		}
	}
	return nil
}

// over says that nothing of an allocation runs any more. One that has ended may still have a task that was started when the device
// lost its power, whose token nobody wrote down: until its driver has looked for it and ended it.
func (e *entry) over() bool {
	return e.Terminal() && !slices.ContainsFunc(e.Tasks(), (*task.Task).Unknown)
}

// settleCrowd lets tasks start whose room is free now.
func (d *Device) settleCrowd() {
	if len(d.crowd) == 0 {
		return
	}
	waiting := d.crowd
	d.crowd = nil
	for _, w := range waiting {
		e, t := d.waiting(w)
		switch {
		case t == nil: // it was stopped, or has ended otherwise
		case d.before(e) != nil:
			d.crowd = append(d.crowd, w)
		default:
			d.prepare(e, t)
		}
	}
}
