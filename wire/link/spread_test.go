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
	}{{0, 0, SpreadMin}, {10, 0, SpreadMin}, {10_000, 0, 12500 * time.Millisecond}, {10_000, 1000, 10 * time.Second}, {1 << 30, 1, SpreadMax}} {
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
		c.Finished(now.Add(time.Duration(i)*10*time.Millisecond), i%2 == 0)
	}
	c.Finished(now.Add(time.Hour), false)
	c.Failed()
	if got, want := c.Get(3), (Handshakes{InProgress: 3, Full: 251, Resumed: 250, Failed: 1, PeakRate: 50}); got != want {
		t.Errorf("%+v; want %+v", got, want)
	}
}
