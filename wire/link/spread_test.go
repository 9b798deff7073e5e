package link

import (
	"testing"
	"time"
)

func TestSpreadTravelsInTheReason(t *testing.T) {
	for _, want := range []Spread{{0, time.Second}, {2 * time.Second, 90 * time.Second}, BusySpread, {time.Minute, time.Minute}} {
		e := &CloseError{Code: CodeShutdown, Reason: want.Reason("the server stops: now"), Remote: true}
		if got := e.Spread(); got != want {
			t.Errorf("%q is read as %v; want %v", e.Reason, got, want)
		}
		if len(e.Reason) > ReasonBytesMax {
			t.Errorf("%q does not fit", e.Reason)
		}
		e.Remote = false
		if !e.Spread().IsZero() {
			t.Error("what this side said itself dictates it something")
		}
	}
	for reason, want := range map[string]Spread{
		"the server stops":                       {},
		"come back within 1s: x":                 {},
		"come back within 1s to x: y":            {},
		"come back within 1s to 9000h: y":        {time.Second, SpreadMax},
		"come back within -5s to -1s: y":         {},
		"come back within 9s to 1s: y":           {9 * time.Second, 9 * time.Second},
		"come back within 1s to 2s without more": {},
	} {
		if got := (&CloseError{Reason: reason, Remote: true}).Spread(); got != want {
			t.Errorf("%q is read as %v; want %v", reason, got, want)
		}
	}
}

func TestSpreadOver(t *testing.T) {
	for _, tc := range []struct {
		links int
		rate  float64
		want  time.Duration
	}{{0, 0, SpreadMin}, {10, 0, SpreadMin}, {4_900, 0, 6 * time.Second}, {10_000, 1000, 6 * time.Second},
		{10_000, 1, time.Minute}, {1 << 30, 1, SpreadMax}} {
		if got := SpreadOver(tc.links, tc.rate); got.Min != 0 || got.Max != tc.want {
			t.Errorf("%d links at %g: %v; want up to %s", tc.links, tc.rate, got, tc.want)
		}
	}
	if at := (Spread{time.Second, 3 * time.Second}).At(0.5); at != 2*time.Second {
		t.Errorf("the middle is %s", at)
	}
}

func TestHandshakeCounts(t *testing.T) {
	var c HandshakeCounts
	now := time.Unix(1000, 0)
	for i := range 500 {
		c.Finished(now.Add(time.Duration(i)*10*time.Millisecond), i%2 == 0, CrowdMin-1)
	}
	c.Finished(now.Add(time.Hour), false, 0)
	c.Failed()
	if got, want := c.Get(3), (Handshakes{InProgress: 3, Full: 251, Resumed: 250, Failed: 1, PeakRate: 50}); got != want {
		t.Errorf("%+v; want %+v", got, want)
	}
}

// What a server does for a crowd is its rate; what trickles in says nothing.
func TestRateIsMeasuredInCrowds(t *testing.T) {
	var c HandshakeCounts
	now := time.Unix(1000, 0)
	for _, step := range []struct {
		what       string
		n          int
		every      time.Duration
		resumed    bool
		inProgress int
		low, high  float64
	}{
		{"a trickle", 100, 100 * time.Millisecond, false, CrowdMin - 1, 0, 0},
		{"a crowd for too short a time", 90, 10 * time.Millisecond, false, CrowdMin, 0, 0},
		{"a crowd", 300, 10 * time.Millisecond, false, CrowdMin, 99, 101},
		{"another trickle", 100, time.Second, false, 0, 99, 101},
		{"a crowd that resumes, and costs less", 2000, 10 * time.Millisecond, true, 2 * CrowdMin, 58, 62},
		{"a machine that became slow", 500, 100 * time.Millisecond, false, CrowdMin, 9.5, 10.5},
	} {
		for range step.n {
			now = now.Add(step.every)
			c.Finished(now, step.resumed, step.inProgress)
		}
		if got := c.Get(0).Rate; got < step.low || got > step.high {
			t.Errorf("after %s: %g a second; want %g to %g", step.what, got, step.low, step.high)
		}
	}
	for rate, want := range map[float64]float64{0: DefaultRate, 1: RateMin, 300: 300, 5000: 5000} {
		if got := Pace(rate); got != want {
			t.Errorf("a rate of %g counts as %g; want %g", rate, got, want)
		}
	}
}
