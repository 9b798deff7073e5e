//go:build !edgeonly

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/sim/devices"
)

// simReport is the end report.
type simReport struct {
	devices.Counts
	Links        int
	Seconds      float64
	ReadySeconds float64 `json:",omitempty"` // until all devices were registered; 0: they never were
	// Rates are averages, per second, from the first to the last that were seen.
	PlacedPerSecond, RunningPerSecond, CompletePerSecond float64
	Fault                                                string `json:",omitempty"` // why a link ended or did not come up, the newest
}

// simWatch looks at a fleet every second.
type simWatch struct {
	IO
	flags *simFlags
	fleet *devices.Fleet
	begin time.Time
	ready time.Duration // until all were
	said  time.Time
	seen  [3]simSpan // of placed, running, complete
	count devices.Counts
}

// simSpan is when a count was first and last seen to rise.
type simSpan struct {
	first, last time.Duration
	to          int64
}

func (s *simSpan) see(n int64, at time.Duration) {
	if n == s.to {
		if s.to == 0 {
			s.first = at // nothing yet: it begins from here
		}
		return
	}
	s.last, s.to = at, n
}

func (s *simSpan) rate() float64 {
	if s.to == 0 || s.last <= s.first {
		return 0
	}
	return float64(s.to) / (s.last - s.first).Seconds()
}

func newSimWatch(o IO, f *simFlags, fl *devices.Fleet) *simWatch {
	return &simWatch{IO: o, flags: f, fleet: fl, begin: time.Now()}
}

func (w *simWatch) watch(ctx context.Context) {
	tick := time.NewTicker(simEvery / 20)
	defer tick.Stop()
	var last devices.Counts
	lastAt := w.begin
	for {
		c, now := w.fleet.Counts(), time.Now()
		if ctx.Err() != nil {
			return // the fleet is being taken down: the report is of what stood before
		}
		at := now.Sub(w.begin)
		for i, n := range []int64{c.Placed, c.Running, c.Complete} {
			w.seen[i].see(n, at)
		}
		if w.ready == 0 && c.Ready == int64(c.Nodes) {
			w.ready = at
		}
		if now.Sub(lastAt) >= simEvery {
			w.line(&c, &last, now.Sub(lastAt).Seconds())
			last, lastAt = c, now
		}
		w.count = c
		if w.flags.running > 0 && c.Running >= w.flags.running {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// line is the live summary: redrawn on a terminal, a line now and then elsewhere. It goes beside the report, which may be JSON.
func (w *simWatch) line(c, last *devices.Counts, seconds float64) {
	text := fmt.Sprintf("ready %d of %d  placed %d (%.0f/s)  running %d (%.0f/s)  complete %d  stopped %d  links broken %d",
		c.Ready, c.Nodes, c.Placed, float64(c.Placed-last.Placed)/seconds, c.Running, float64(c.Running-last.Running)/seconds, c.Complete, c.Stopped, c.Broken)
	if w.Terminal {
		fmt.Fprintf(w.Err, "\r\x1b[K%s", text)
		return
	}
	if time.Since(w.said) >= simLogEvery {
		w.said = time.Now()
		fmt.Fprintln(w.Err, text)
	}
}

func (w *simWatch) report(e *env) error {
	r := simReport{
		Counts: w.count, Links: w.fleet.Lines(), Seconds: time.Since(w.begin).Seconds(), ReadySeconds: w.ready.Seconds(),
		PlacedPerSecond: w.seen[0].rate(), RunningPerSecond: w.seen[1].rate(), CompletePerSecond: w.seen[2].rate(),
	}
	if err := w.fleet.Fault(); err != nil {
		r.Fault = err.Error()
	}
	if w.Terminal {
		fmt.Fprint(w.Err, "\r\x1b[K")
	}
	if e := w.unready(&r); e != nil {
		return e
	}
	if w.flags.asJSON {
		return e.printJSON(&r)
	}
	return pairs(e.Out,
		"Devices", fmt.Sprintf("%d on %d links, all ready after %s", r.Nodes, r.Links, brief(w.ready)),
		"Placed", fmt.Sprintf("%d, %.0f per second", r.Placed, r.PlacedPerSecond),
		"Running", fmt.Sprintf("%d, %.0f per second", r.Running, r.RunningPerSecond),
		"Complete", fmt.Sprintf("%d, %.0f per second", r.Complete, r.CompletePerSecond),
		"Stopped", r.Stopped, "Links broken", r.Broken)
}

// unready is the error of a fleet that never was all there.
func (w *simWatch) unready(r *simReport) error {
	if w.ready > 0 {
		return nil
	}
	err := errors.New("not all devices were ever ready")
	if r.Fault != "" {
		err = fmt.Errorf("%w; the last fault was: %s", err, r.Fault)
	}
	return &exitError{ExitFailed, err}
}
