package task

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Step tells the machine what happened. An event that does not fit the phase is ignored: it is late, and what it says was
// learned another way.
func (t *Task) Step(ev Event, now time.Time) Do {
	switch ev := ev.(type) {
	case Begin:
		return t.begin(now)
	case Ready:
		if t.rec.Phase == Preparing {
			t.rec.Phase = Starting
			return Start
		}
	case SetupFailed:
		if t.rec.Phase == Preparing || t.rec.Phase == Starting {
			return t.setupFailed(ev.Err, now)
		}
	case Started:
		return t.started(ev.Handle, now)
	case StartFailed:
		return t.startFailed(ev, now)
	case Recovered:
		return t.recovered(now)
	case Gone:
		return t.gone(now)
	case Exited:
		return t.exited(ev, now)
	case Kill:
		return t.kill(ev.Reason, now)
	case Destroyed:
		if t.rec.Ended != nil && t.rec.Ended.ID == ev.ID {
			t.rec.Ended = nil
		} else if t.rec.Phase == Dead {
			t.rec.Unknown = false
		}
	case Note:
		t.event(now, fleet.EventNote, ev.Text)
	case Fetching:
		t.event(now, fleet.EventFetching, ev.Digest)
	}
	return Nothing
}

func (t *Task) begin(now time.Time) Do {
	due := t.rec.Phase == Pending || t.rec.Phase == Waiting && !now.Before(t.wake)
	if !due {
		return Nothing
	}
	t.rec.Attempt++
	t.rec.Phase = Preparing
	t.adopted = false
	if t.rec.Attempt == 1 {
		t.event(now, fleet.EventSetup)
	}
	return Fetch
}

func (t *Task) started(h driver.Handle, now time.Time) Do {
	if t.rec.Phase != Starting {
		return Nothing
	}
	t.rec.Unknown = false
	t.rec.Handle = &h
	t.rec.Phase = Running
	t.rec.Observed.State = fleet.TaskRunning
	began := now
	if h.StartedAt > 0 && h.StartedAt < now.UnixNano() { // later than now: the clock was set back since
		began = time.Unix(0, h.StartedAt)
	}
	t.rec.Observed.StartedAt, t.rec.Observed.FinishedAt = began.UnixNano(), 0
	t.event(began, fleet.EventStarted)
	return t.stopIfKilling()
}

func (t *Task) setupFailed(reason string, now time.Time) Do {
	if t.rec.Killing != "" {
		return t.killed(now)
	}
	t.event(now, fleet.EventSetupFailed, reason)
	return t.fail(now)
}

func (t *Task) recovered(now time.Time) Do {
	if t.rec.Phase != Recovering {
		return Nothing
	}
	t.rec.Phase = Running
	t.rec.Observed.State = fleet.TaskRunning
	t.event(now, fleet.EventRecovered)
	return t.stopIfKilling()
}

func (t *Task) stopIfKilling() Do {
	if t.rec.Killing == "" {
		return Nothing
	}
	t.rec.Phase = Stopping
	return Stop
}

func (t *Task) startFailed(ev StartFailed, now time.Time) Do {
	if t.rec.Phase != Starting {
		return Nothing
	}
	t.rec.Unknown = false
	t.event(now, fleet.EventStartFailed, ev.Err)
	switch {
	case t.rec.Killing != "":
		return t.killed(now)
	case !ev.Recoverable:
		return t.fail(now)
	}
	return t.restart("the driver could not start it", now)
}

// gone handles a task that its driver has forgotten. After a boot that is the rule, not a failure: what held the task ended
// with the device. It starts again at once and the restart policy is not charged.
func (t *Task) gone(now time.Time) Do {
	switch t.rec.Phase {
	case Recovering, Running, Stopping:
	default:
		return Nothing
	}
	t.event(now, fleet.EventHostDied)
	t.rec.Observed.FinishedAt = now.UnixNano()
	if t.rec.Killing != "" {
		return t.killed(now)
	}
	return t.blameless(now)
}

func (t *Task) exited(ev Exited, now time.Time) Do {
	switch t.rec.Phase {
	case Recovering, Running, Stopping:
	default:
		return Nothing
	}
	t.rec.Observed.FinishedAt = now.UnixNano()
	if ev.Exit.Err == HostDied && t.rec.Killing == "" {
		t.event(now, fleet.EventHostDied)
		return t.blameless(now)
	}
	t.terminated(ev, now)
	switch {
	case t.rec.Killing != "":
		return t.killed(now)
	case t.spec.Batch && ev.Exit.Succeeded():
		return t.end(false, now)
	}
	return t.restart(endWords(ev.Exit), now)
}

func (t *Task) terminated(ev Exited, now time.Time) {
	x := ev.Exit
	why := x.Trap
	if why == "" {
		why = x.Err
	}
	t.event(now, fleet.EventTerminated, strconv.Itoa(x.Code), x.Signal, why)
	if x.OOM {
		t.event(now, fleet.EventOOM, fmt.Sprintf("%d MiB", t.spec.MemoryMB))
	}
	if tail := lastBytes(ev.Tail, fleet.EventArgBytesMax); tail != "" && !x.Succeeded() && t.rec.Killing == "" {
		t.event(now, fleet.EventLastOutput, tail)
	}
}

func endWords(x driver.Exit) string {
	switch {
	case x.OOM:
		return "it reached its memory limit"
	case x.Trap != "":
		return "it trapped: " + x.Trap
	case x.Err != "":
		return x.Err
	case x.Signal != "":
		return "it was ended by " + x.Signal
	}
	return fmt.Sprintf("it ended with exit code %d", x.Code)
}

// restart charges the policy and waits, or gives up. The ended attempt is destroyed either way.
func (t *Task) restart(reason string, now time.Time) Do {
	wait, refusal := t.charge(now)
	if refusal != "" {
		t.event(now, fleet.EventNotRestarting, reason+"; "+refusal)
		return t.fail(now)
	}
	return t.wait(wait, reason, now)
}

// blameless starts again without charging the policy: at once if the attempt had lasted, else after the delay, so that a task
// which takes its host down each time cannot do it in a tight loop.
func (t *Task) blameless(now time.Time) Do {
	wait := time.Duration(0)
	if lasted := now.UnixNano() - t.rec.Observed.StartedAt; !t.adopted && lasted < int64(t.spec.delay()) {
		wait = t.jitter(t.spec.delay())
	}
	return t.wait(wait, "what held it ended", now)
}

func (t *Task) wait(d time.Duration, reason string, now time.Time) Do {
	held := t.release()
	t.rec.Phase = Waiting
	t.wake = now.Add(d)
	o := &t.rec.Observed
	o.State = fleet.TaskPending
	o.Restarts++
	o.RestartAt = now.UnixNano()
	t.event(now, fleet.EventRestarting, d.Round(time.Millisecond).String(), reason)
	return held
}

func (t *Task) kill(reason string, now time.Time) Do {
	if t.rec.Phase == Dead || t.rec.Killing != "" {
		return Nothing
	}
	if reason == "" {
		reason = "no reason was given"
	}
	t.rec.Killing = reason
	t.event(now, fleet.EventKilling, reason)
	switch t.rec.Phase {
	case Running:
		return t.stopIfKilling()
	case Starting, Recovering:
		return Nothing // the driver's answer comes first
	}
	return t.killed(now)
}

func (t *Task) killed(now time.Time) Do {
	t.event(now, fleet.EventKilled)
	return t.end(false, now)
}

func (t *Task) fail(now time.Time) Do { return t.end(true, now) }

func (t *Task) end(failed bool, now time.Time) Do {
	held := t.release()
	o := &t.rec.Observed
	if o.FinishedAt == 0 {
		o.FinishedAt = now.UnixNano()
	}
	t.rec.Phase = Dead
	o.State, o.Failed = fleet.TaskDead, failed
	t.rev++
	return held
}

// release lets the driver forget the attempt. One that never reached it leaves nothing to destroy.
func (t *Task) release() Do {
	if t.rec.Handle == nil && !t.rec.Unknown {
		return Nothing
	}
	if t.rec.Handle != nil {
		t.rec.Ended, t.rec.Handle = t.rec.Handle, nil
	}
	return Destroy
}

// event appends to the newest events. The slice is made anew, because the old one may be on its way to disk or server.
func (t *Task) event(now time.Time, code fleet.EventCode, args ...string) {
	for i, a := range args {
		args[i] = firstBytes(a, fleet.EventArgBytesMax)
	}
	old := t.rec.Observed.Events
	old = old[max(0, len(old)-fleet.TaskEventsMax+1):]
	events := make([]fleet.CodedEvent, 0, len(old)+1)
	events = append(events, old...)
	t.rec.Observed.Events = append(events, fleet.CodedEvent{Code: code, Time: now.UnixNano(), Args: args})
	t.rev++
}

func firstBytes(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "?")
}

func lastBytes(s string, n int) string {
	if len(s) > n {
		s = s[len(s)-n:]
	}
	return s
}
