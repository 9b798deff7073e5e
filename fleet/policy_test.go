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
		{"fibonacci starts afresh", policy(0, 0, 5*s, 100*s, DelayFibonacci), chain(now, 100, 5), 5 * s, true},
		{"and goes on", policy(0, 0, 5*s, 100*s, DelayFibonacci), chain(now, 100, 5, 5), 10 * s, true},
		{"to the limit", policy(0, 0, 5*s, 100*s, DelayFibonacci), chain(now, 55, 89), 100 * s, true},
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

// The waits of failures in a row are the field's series, whatever the numbers.
func TestRescheduleSeries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := time.Duration(rapid.IntRange(1, 300).Draw(t, "base")) * time.Second
		limit := base * time.Duration(rapid.IntRange(0, 50).Draw(t, "limit"))
		function := rapid.SampledFrom([]string{DelayConstant, DelayExponential, DelayFibonacci}).Draw(t, "function")
		p := policy(0, 0, base, limit, function)
		now, past := time.Unix(1_000_000, 0), []ReschedulePast(nil)
		series, a, b := []time.Duration{}, time.Duration(1), time.Duration(1) // in parts of base
		for range 12 {
			series = append(series, base*a)
			switch function {
			case DelayExponential:
				a *= 2
			case DelayFibonacci:
				a, b = b, a+b
			}
		}
		for i, want := range series {
			if limit > 0 && function != DelayConstant {
				want = min(want, limit)
			}
			wait, ok := p.Next(past, now)
			if !ok || wait != want {
				t.Fatalf("wait %d is %s, %v; want %s", i, wait, ok, want)
			}
			now = now.Add(wait)
			past = append(past, ReschedulePast{RescheduleTime: now.UnixNano(), Delay: Duration(wait)})
			past = past[max(0, len(past)-ReschedulePastMax):]
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(base)).Draw(t, "ran"))) // never for long
		}
	})
}

// Attempts are counted within the interval, whatever the history.
func TestRescheduleAttempts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		attempts, minutes := rapid.IntRange(1, ReschedulePastMax).Draw(t, "attempts"), rapid.IntRange(1, 60).Draw(t, "interval")
		p := policy(attempts, time.Duration(minutes)*time.Minute, 0, 0, DelayConstant)
		var past []ReschedulePast
		var placed []time.Time
		now := time.Unix(1_000_000, 0)
		for range 30 {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "minutes")) * time.Minute)
			within := 0
			for _, at := range placed {
				if at.Add(p.Interval.Std()).After(now) {
					within++
				}
			}
			if _, ok := p.Next(past, now); ok != (within < attempts) {
				t.Fatalf("%d placements within %s, %d attempts: %v", within, p.Interval, attempts, ok)
			} else if ok {
				placed = append(placed, now)
				past = append(past, ReschedulePast{RescheduleTime: now.UnixNano()})
				past = past[max(0, len(past)-ReschedulePastMax):]
			}
		}
	})
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
