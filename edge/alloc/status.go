package alloc

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Terminal reports that nothing of the allocation runs or ever will.
func (a *Alloc) Terminal() bool { return a.endedAt != 0 }

// EndedAt is when it became terminal, Unix nanoseconds; 0 before.
func (a *Alloc) EndedAt() int64 { return a.endedAt }

// ClientStatus is one of fleet's client statuses.
func (a *Alloc) ClientStatus() string {
	switch {
	case a.failure != "" || a.Terminal() && a.firstFailed() != nil:
		return fleet.ClientFailed
	case a.Terminal():
		return fleet.ClientComplete
	}
	for _, t := range a.tasks {
		if t.Observed().State == fleet.TaskRunning {
			return fleet.ClientRunning
		}
	}
	return fleet.ClientPending
}

// Status is what is told about the allocation. It shares nothing that changes.
func (a *Alloc) Status() wire.AllocStatus {
	s := wire.AllocStatus{ID: a.desired.ID, Status: a.ClientStatus(), Description: a.description()}
	for _, t := range a.tasks {
		s.Tasks = append(s.Tasks, wire.TaskStatus{Name: t.Name(), ObservedTask: t.Observed()})
	}
	return s
}

func (a *Alloc) description() string {
	if a.failure != "" {
		return a.failure
	}
	if t := a.firstFailed(); t != nil {
		return fmt.Sprintf("task %q failed", t.Name())
	}
	if a.Terminal() && a.desired.Stop {
		return a.desired.StopReason
	}
	return ""
}

// Rev rises whenever Status changes. It is never 0.
func (a *Alloc) Rev() uint64 {
	n := uint64(1)
	for _, t := range a.tasks {
		n += t.Rev()
	}
	return n
}

// Rev is that of the allocation which Restore makes of the record, if restoring it changes nothing.
func (r Record) Rev() uint64 { return 1 + uint64(len(r.Tasks)) }

// Trim drops the events of an ended allocation whose files are gone: what is left is a tombstone, so that it is never started
// again.
func (a *Alloc) Trim() {
	for _, t := range a.tasks {
		t.Trim()
	}
}

func (a *Alloc) firstFailed() *task.Task {
	for _, t := range a.tasks {
		if t.Failed() {
			return t
		}
	}
	return nil
}

func (a *Alloc) allDead() bool {
	for _, t := range a.tasks {
		if t.Phase() != task.Dead {
			return false
		}
	}
	return true
}
