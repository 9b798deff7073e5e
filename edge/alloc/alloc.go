package alloc

import (
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Record is what must survive a restart of the agent.
type Record struct {
	Desired wire.DesiredAlloc
	Failure string `json:",omitempty"`
	Tasks   []task.Record
	EndedAt int64 `json:",omitempty"` // Unix nanoseconds; 0 while not terminal
}

// Command is one thing to do for one task.
type Command struct {
	Task *task.Task
	Do   task.Do
}

// Alloc is one allocation's machine.
type Alloc struct {
	desired wire.DesiredAlloc
	failure string // why it could not be set up at all
	tasks   []*task.Task
	endedAt int64
}

// New returns an allocation that was just received. A desired stop ends it before it began.
func New(d wire.DesiredAlloc, specs []task.Spec, seed uint64, now time.Time) *Alloc {
	a := &Alloc{desired: d, tasks: make([]*task.Task, len(specs))}
	for i, s := range specs {
		a.tasks[i] = task.New(s, seed^word(d.ID), now)
	}
	if d.Stop {
		a.Stop(d.StopReason, nil, now)
	}
	return a
}

// Broken returns an allocation that cannot be set up; it is terminal, failed, and says why.
func Broken(d wire.DesiredAlloc, why string, now time.Time) *Alloc {
	return &Alloc{desired: d, failure: why, endedAt: now.UnixNano()}
}

// Restore returns the allocation of a record. specs may lack tasks of the record; those run on, and are not restarted.
func Restore(rec Record, specs []task.Spec, seed uint64, cmds []Command, now time.Time) (*Alloc, []Command) {
	a := &Alloc{desired: rec.Desired, failure: rec.Failure, endedAt: rec.EndedAt, tasks: make([]*task.Task, len(rec.Tasks))}
	for i, r := range rec.Tasks {
		t, dos := task.Restore(specOf(specs, r.Name), seed^word(rec.Desired.ID), r, now)
		a.tasks[i] = t
		for _, do := range dos {
			cmds = appendDo(cmds, t, do)
		}
	}
	if rec.Desired.Stop {
		cmds = a.Stop(rec.Desired.StopReason, cmds, now)
	}
	return a, a.settle(cmds, now)
}

func specOf(specs []task.Spec, name string) task.Spec {
	for _, s := range specs {
		if s.Name == name {
			return s
		}
	}
	return task.Spec{Name: name, Mode: fleet.RestartModeFail}
}

// word makes the seeds of allocations differ.
func word(id fleet.UUID) (w uint64) {
	for _, b := range id {
		w = w*0x100000001b3 ^ uint64(b)
	}
	return w
}

// ID is the allocation's ID.
func (a *Alloc) ID() fleet.UUID { return a.desired.ID }

// Desired is what the region wants.
func (a *Alloc) Desired() *wire.DesiredAlloc { return &a.desired }

// Tasks are the machines, in the group's order.
func (a *Alloc) Tasks() []*task.Task { return a.tasks }

// Task returns the machine of that name, or nil.
func (a *Alloc) Task(name string) *task.Task {
	for _, t := range a.tasks {
		if t.Name() == name {
			return t
		}
	}
	return nil
}

// Adopt takes over a new version of the job without touching what runs.
func (a *Alloc) Adopt(d *wire.DesiredAlloc, specs []task.Spec) {
	a.desired.Job, a.desired.Exceeds = d.Job, d.Exceeds
	for _, t := range a.tasks {
		for _, s := range specs {
			if s.Name == t.Name() {
				t.Adopt(s)
			}
		}
	}
}

// Begin lets every task go on that can.
func (a *Alloc) Begin(cmds []Command, now time.Time) []Command {
	for _, t := range a.tasks {
		cmds = appendDo(cmds, t, t.Step(task.Begin{}, now))
	}
	return cmds
}

// Step tells one task what happened. It returns cmds with what to do appended.
func (a *Alloc) Step(t *task.Task, ev task.Event, cmds []Command, now time.Time) []Command {
	return a.settle(appendDo(cmds, t, t.Step(ev, now)), now)
}

// Stop ends all tasks, because the region wants it.
func (a *Alloc) Stop(reason string, cmds []Command, now time.Time) []Command {
	if !a.desired.Stop {
		a.desired.Stop, a.desired.StopReason = true, reason
	}
	return a.settle(a.kill(reason, cmds, now), now)
}

func (a *Alloc) kill(reason string, cmds []Command, now time.Time) []Command {
	for _, t := range a.tasks {
		cmds = appendDo(cmds, t, t.Step(task.Kill{Reason: reason}, now))
	}
	return cmds
}

// settle applies the rules between siblings and notes the end.
func (a *Alloc) settle(cmds []Command, now time.Time) []Command {
	if t := a.firstFailed(); t != nil {
		cmds = a.kill(fmt.Sprintf("task %q of its group failed", t.Name()), cmds, now)
	}
	if a.endedAt == 0 && a.allDead() {
		a.endedAt = max(1, now.UnixNano())
	}
	return cmds
}

func appendDo(cmds []Command, t *task.Task, do task.Do) []Command {
	if do == task.Nothing {
		return cmds
	}
	return append(cmds, Command{Task: t, Do: do})
}

// WakeAt is the earliest time at which a task wants Begin.
func (a *Alloc) WakeAt() (at time.Time, ok bool) {
	for _, t := range a.tasks {
		if w, waiting := t.WakeAt(); waiting && (!ok || w.Before(at)) {
			at, ok = w, true
		}
	}
	return at, ok
}

// Record is what to write down.
func (a *Alloc) Record() Record {
	r := Record{Desired: a.desired, Failure: a.failure, EndedAt: a.endedAt, Tasks: make([]task.Record, len(a.tasks))}
	for i, t := range a.tasks {
		r.Tasks[i] = t.Record()
	}
	return r
}
