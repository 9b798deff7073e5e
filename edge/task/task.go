package task

import (
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/fleet"
)

// HostDied is the driver.Exit.Err of a task whose host process ended before it. Such an end is not the task's doing and is
// not charged to its restart policy.
const HostDied = "host died"

// Record is what must survive a restart of the agent.
type Record struct {
	Name    string
	Phase   Phase
	Attempt uint64
	Handle  *driver.Handle `json:",omitempty"` // of the current attempt
	Ended   *driver.Handle `json:",omitempty"` // of the last attempt, until the driver has forgotten it
	// Unknown: the driver may have the current attempt, running or ended, under a Handle that nobody wrote down.
	Unknown  bool `json:",omitempty"`
	Observed fleet.ObservedTask
	Killing  string `json:",omitempty"` // why it has to end; empty: it may run
	Charged  int    `json:",omitempty"` // restarts charged within the interval
	Since    int64  `json:",omitempty"` // when that interval began, Unix nanoseconds
}

// Task is one task's machine.
type Task struct {
	spec Spec
	rec  Record
	seed uint64
	wake time.Time // of Waiting
	// adopted: the attempt began before this process did.
	adopted bool
	rev     uint64
}

// New returns a task that was just received. The seed spreads restarts; give each device its own.
func New(spec Spec, seed uint64, now time.Time) *Task {
	t := &Task{spec: spec, seed: seed, rec: Record{Name: spec.Name}}
	t.rec.Observed.State = fleet.TaskPending
	t.event(now, fleet.EventReceived)
	return t
}

// Restore returns the task of a record, and what to do for it now.
func Restore(spec Spec, seed uint64, rec Record, now time.Time) (*Task, []Do) {
	t := &Task{spec: spec, seed: seed, rec: rec, adopted: true, rev: 1}
	t.spec.Name = rec.Name
	t.rec.Since = min(t.rec.Since, now.UnixNano()) // the clock may stand earlier than it did
	var dos []Do
	if rec.Ended != nil || rec.Unknown && rec.Phase == Dead {
		dos = append(dos, Destroy)
	}
	switch rec.Phase {
	case Starting, Recovering, Running, Stopping:
		if rec.Handle != nil {
			t.rec.Phase = Recovering
			return t, append(dos, Recover)
		}
		t.rec.Unknown = true
		t.rec.Phase = Preparing
		if rec.Killing != "" {
			return t, append(dos, t.killed(now))
		}
		return t, append(dos, Fetch)
	case Preparing:
		return t, append(dos, Fetch)
	case Waiting:
		// How long it waited already is unknown after a reboot without a clock; one more delay is the safe answer to both
		// a task that crashes its device and one that waited nearly long enough.
		t.wake = now.Add(t.jitter(t.spec.delay()))
	}
	return t, dos
}

// Name is the task's name.
func (t *Task) Name() string { return t.rec.Name }

// Spec is what the machine goes by.
func (t *Task) Spec() Spec { return t.spec }

// Adopt changes the policy that later decisions go by; what runs is left alone.
func (t *Task) Adopt(spec Spec) { t.spec = spec }

// Phase is what the task is doing.
func (t *Task) Phase() Phase { return t.rec.Phase }

// Attempt counts starts, from 1; it names the current one.
func (t *Task) Attempt() uint64 { return t.rec.Attempt }

// Failed reports that the task is dead and did not do what it should.
func (t *Task) Failed() bool { return t.rec.Phase == Dead && t.rec.Observed.Failed }

// Handle is the driver's token for the current attempt; nil while it is not started.
func (t *Task) Handle() *driver.Handle { return t.rec.Handle }

// Ended is the driver's token for the last attempt, which is to be destroyed; nil when there is none.
func (t *Task) Ended() *driver.Handle { return t.rec.Ended }

// Unknown says that the current attempt is to be destroyed without a token: only the attempt names it.
func (t *Task) Unknown() bool { return t.rec.Unknown && t.rec.Phase == Dead }

// WakeAt is when a waiting task wants Begin.
func (t *Task) WakeAt() (time.Time, bool) { return t.wake, t.rec.Phase == Waiting }

// Observed is what is told about the task.
func (t *Task) Observed() fleet.ObservedTask { return t.rec.Observed }

// Record is what to write down.
func (t *Task) Record() Record { return t.rec }

// Rev rises whenever Observed changes.
func (t *Task) Rev() uint64 { return t.rev }

// Trim drops the events of a dead task, for a record that is kept only to say that it ended.
func (t *Task) Trim() {
	if t.rec.Phase == Dead {
		t.rec.Observed.Events = nil
	}
}
