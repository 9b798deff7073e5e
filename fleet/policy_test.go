package fleet

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func policy(attempts int, interval, delay, limit time.Duration, function string) *ReschedulePolicy {
	return &ReschedulePolicy{
		Attempts: &attempts, Interval: Ptr(Duration(interval)), Delay: Ptr(Duration(delay)), MaxDelay: Ptr(Duration(limit)),
		DelayFunction: &function, Unlimited: Ptr(attempts == 0),
	}
}

// chain makes a history whose placements were one minute apart, the last one
// minute ago, with the delays in seconds.
func chain(now time.Time, delays ...int) []ReschedulePast {
	var past []ReschedulePast
	for i, d := range delays {
		at := now.Add(-time.Duration(len(delays)-i) * time.Minute)
		past = append(past, ReschedulePast{RescheduleTime: at.UnixNano(), Delay: Duration(time.Duration(d) * time.Second)})
	}
	return past
}

func TestRescheduleNext(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	const s, h = time.Second, time.Hour
	for _, tc := range []struct {
		name string
		p    *ReschedulePolicy
		past []ReschedulePast
		wait time.Duration
		ok   bool
	}{
		{"no policy", nil, nil, 0, false},
		{"first", policy(0, 0, 30*s, h, DelayExponential), nil, 30 * s, true},
		{"constant", policy(0, 0, 5*s, h, DelayConstant), chain(now, 5, 5, 5), 5 * s, true},
		{"doubles", policy(0, 0, 30*s, h, DelayExponential), chain(now, 30, 60), 120 * s, true},
		{"doubles to the limit", policy(0, 0, 30*s, 100*s, DelayExponential), chain(now, 30, 60), 100 * s, true},
		{"fibonacci second", policy(0, 0, 5*s, h, DelayFibonacci), chain(now, 5), 5 * s, true},
		{"fibonacci third", policy(0, 0, 5*s, h, DelayFibonacci), chain(now, 5, 5), 10 * s, true},
		{"fibonacci fourth", policy(0, 0, 5*s, h, DelayFibonacci), chain(now, 5, 5, 10), 15 * s, true},
		{"fresh start after a long run", policy(0, 0, 1*s, 10*s, DelayExponential), chain(now, 1, 2, 4), 1 * s, true},
		{"attempts left", policy(3, h, 5*s, 0, DelayConstant), chain(now, 5, 5), 5 * s, true},
		{"attempts used", policy(2, h, 5*s, 0, DelayConstant), chain(now, 5, 5), 0, false},
		{"attempts used long ago", policy(2, 90*s, 5*s, 0, DelayConstant), chain(now, 5, 5), 5 * s, true},
		{"one attempt, none yet", policy(1, h, 5*s, 0, DelayConstant), nil, 5 * s, true},
	} {
		if wait, ok := tc.p.Next(tc.past, now); wait != tc.wait || ok != tc.ok {
			t.Errorf("%s: got %s, %v", tc.name, wait, ok)
		}
	}
	never := policy(1, h, 0, 0, DelayConstant)
	*never.Attempts = 0
	if _, ok := never.Next(nil, now); ok {
		t.Error("no attempts and not unlimited still reschedules")
	}
}

// Whatever the history, a wait lies between the first delay and the longest.
func TestRescheduleWaitIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_000_000, 0)
		base := time.Duration(rapid.IntRange(0, 100).Draw(t, "base")) * time.Second
		limit := base + time.Duration(rapid.IntRange(1, 10_000).Draw(t, "limit"))*time.Second
		p := policy(0, 0, base, limit, rapid.SampledFrom([]string{DelayConstant, DelayExponential, DelayFibonacci}).Draw(t, "function"))
		var past []ReschedulePast
		at := now
		for range rapid.IntRange(1, 40).Draw(t, "failures") {
			wait, ok := p.Next(past, at)
			if !ok || wait < base || wait > limit {
				t.Fatalf("wait %s, %v outside of %s to %s", wait, ok, base, limit)
			}
			at = at.Add(wait)
			past = append(past, ReschedulePast{RescheduleTime: at.UnixNano(), Delay: Duration(wait)})
			past = past[max(0, len(past)-ReschedulePastMax):]
			at = at.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ran")) * time.Second)
		}
	})
}
