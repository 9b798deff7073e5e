package task

import (
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
)

// RestartDelayMin is the shortest pause between two attempts, also for a policy without delay: a task that ends at once must
// not keep the device and its flash busy.
const RestartDelayMin = 100 * time.Millisecond

// Spec is what the machine needs to know of a task.
type Spec struct {
	Name        string
	Batch       bool // ends with success; others run until stopped
	Attempts    int  // restarts within Interval
	Interval    time.Duration
	Delay       time.Duration // before a restart
	Mode        string        // when Attempts are used up: fleet.RestartModeFail or RestartModeDelay
	KillSignal  string        // empty: the driver's default
	KillTimeout time.Duration
	MemoryMB    int // for words only
}

// SpecOf reads the machine's part of a task, which may exceed its memory or not. Canonicalize must have run on its job.
func SpecOf(jobType string, t *fleet.Task, exceeds bool) Spec {
	p := t.RestartPolicy
	return Spec{
		Name: t.Name, Batch: jobType == fleet.JobTypeBatch || jobType == fleet.JobTypeSysBatch,
		Attempts: *p.Attempts, Interval: p.Interval.Std(), Delay: p.Delay.Std(), Mode: *p.Mode,
		KillSignal: t.KillSignal, KillTimeout: t.KillTimeout.Std(),
		MemoryMB: t.Resources.MemoryLimitMB(exceeds),
	}
}

func (s Spec) delay() time.Duration { return max(s.Delay, RestartDelayMin) }

// charge counts one restart and says how long to wait, or why there is none.
func (t *Task) charge(now time.Time) (wait time.Duration, refusal string) {
	s := t.spec
	if s.Attempts <= 0 && s.Mode != fleet.RestartModeDelay {
		return 0, "the restart policy allows no restart"
	}
	since := time.Unix(0, t.rec.Since)
	if t.rec.Since == 0 || now.Before(since) || now.Sub(since) > s.Interval {
		// A clock that was set back (it came up in 2090 and was then put right) would count its way back for decades.
		since = now
		t.rec.Since, t.rec.Charged = now.UnixNano(), 0
	}
	t.rec.Charged++
	switch {
	case t.rec.Charged <= s.Attempts:
		return t.jitter(s.delay()), ""
	case s.Mode == fleet.RestartModeDelay:
		return t.jitter(max(s.delay(), since.Add(s.Interval).Sub(now))), ""
	}
	return 0, fmt.Sprintf("%d restarts within %s are used up and the mode is fail", s.Attempts, s.Interval)
}

// jitter lengthens d by up to a quarter, so that what failed together does not start together.
func (t *Task) jitter(d time.Duration) time.Duration {
	h := t.seed
	for _, c := range []byte(t.rec.Name) {
		h = mix(h ^ uint64(c))
	}
	h = mix(h ^ t.rec.Attempt)
	return d + time.Duration(h%uint64(max(1, d/4)))
}

// mix is one round of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
