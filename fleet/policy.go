package fleet

import "time"

// Restart modes: what happens when a task has used up its restarts.
const (
	RestartModeFail  = "fail"  // the allocation fails and may be rescheduled
	RestartModeDelay = "delay" // wait for the interval to pass, then go on
)

// RestartPolicy says how often a task is started again on its own node.
type RestartPolicy struct {
	Attempts *int      `hcl:"attempts" change:"inplace"`
	Interval *Duration `hcl:"interval" change:"inplace"`
	Delay    *Duration `hcl:"delay" change:"inplace"`
	Mode     *string   `hcl:"mode" change:"inplace"`
}

// Delay functions of a reschedule policy.
const (
	DelayConstant    = "constant"
	DelayExponential = "exponential"
	DelayFibonacci   = "fibonacci"
)

// ReschedulePolicy says how often a failed allocation is placed again.
type ReschedulePolicy struct {
	Attempts      *int      `hcl:"attempts" change:"inplace"`
	Interval      *Duration `hcl:"interval" change:"inplace"`
	Delay         *Duration `hcl:"delay" change:"inplace"`
	DelayFunction *string   `hcl:"delay_function" change:"inplace"`
	MaxDelay      *Duration `hcl:"max_delay" change:"inplace"`
	Unlimited     *bool     `hcl:"unlimited" change:"inplace"`
}

// ReschedulePast is one earlier placement in a chain of replacements.
type ReschedulePast struct {
	RescheduleTime int64 // Unix nanoseconds
	PrevAllocID    AllocID
	PrevNodeID     NodeID
	Delay          Duration
}

// ReschedulePastMax bounds the kept history; an unlimited policy needs only the
// newest few to compute its delay, a limited one counts within its interval, and
// so has at most as many attempts.
const ReschedulePastMax = 10

// Next says whether an allocation with that history, which failed at failedAt,
// may be placed again, and how long to wait. Canonicalize must have run.
func (p *ReschedulePolicy) Next(past []ReschedulePast, failedAt time.Time) (wait time.Duration, ok bool) {
	if p == nil {
		return 0, false
	}
	if !*p.Unlimited && p.Used(past, failedAt) >= *p.Attempts {
		return 0, false
	}
	return p.delay(past, failedAt), true
}

// Used is how many placements of a history count against the attempts of what
// failed at that time: those less than an interval old. Canonicalize must have run.
func (p *ReschedulePolicy) Used(past []ReschedulePast, failedAt time.Time) (n int) {
	for _, e := range past {
		if failedAt.Sub(time.Unix(0, e.RescheduleTime)) < p.Interval.Std() {
			n++
		}
	}
	return n
}

func (p *ReschedulePolicy) delay(past []ReschedulePast, failedAt time.Time) time.Duration {
	base, limit := p.Delay.Std(), p.MaxDelay.Std()
	if len(past) == 0 || *p.DelayFunction == DelayConstant {
		return base
	}
	last := past[len(past)-1]
	d := last.Delay.Std() * 2
	if *p.DelayFunction == DelayFibonacci {
		d = last.Delay.Std()
		// Delays of one series never fall. One that did began a new series, and has
		// nobody before it: else a fresh start would last for one failure only.
		if len(past) > 1 && past[len(past)-2].Delay <= last.Delay {
			d += past[len(past)-2].Delay.Std()
		}
	}
	// A replacement that ran for longer than the longest delay earned a fresh
	// start; without this one bad night slows a job down for ever.
	if limit > 0 && failedAt.Sub(time.Unix(0, last.RescheduleTime)) > limit+last.Delay.Std() {
		return base
	}
	if limit > 0 && d > limit {
		return limit
	}
	return max(d, base)
}
