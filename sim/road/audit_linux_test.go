package road

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

func contextWithin(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// audit compares what the writers were told with what the region has, and that with what runs.
func audit(t *testing.T, g *region, d *device, books []*book) {
	t.Helper()
	want := map[fleet.JobID]int{"first": 0} // allocations that should run
	for _, b := range books {
		for _, l := range b.jobs {
			want[l.id] = auditJob(t, g, l)
		}
	}
	start := time.Now()
	until(t, 2*settleLimit, "what runs to be what should", func() error { return auditRuns(t, g, d, want) })
	t.Logf("what runs was what should after %s", time.Since(start).Round(time.Millisecond))
	// And it stays so: nothing goes on being started or stopped.
	before := pids(t, d)
	s, err := d.state()
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * beatEvery)
	after, err := d.state()
	if err != nil {
		t.Fatal(err)
	}
	same(t, "after a while", starts(s), starts(after))
	same(t, "processes after a while", before, pids(t, d))
}

// auditJob checks a job against its ledger and returns how many of its allocations should run.
func auditJob(t *testing.T, g *region, l *ledger) int {
	t.Helper()
	job, _, err := g.client.Job(t.Context(), l.id, nil)
	if api.IsNotFound(err) {
		if l.acked.serial > 0 {
			t.Errorf("LOST: %s was registered (write %d at index %d) and is gone", l.id, l.acked.serial, l.index)
		}
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	if job.JobModifyIndex < l.index {
		t.Errorf("LOST: %s is of index %d; a write was acknowledged at %d", l.id, job.JobModifyIndex, l.index)
	}
	serial, err := strconv.Atoi(job.Meta["serial"])
	if err != nil {
		t.Fatalf("%s: %v", l.id, err)
	}
	if !l.allows(serial, job.Stop) {
		t.Errorf("LOST: %s is of write %d (stopped: %t); acknowledged %+v, then unanswered %+v", l.id, serial, job.Stop, l.acked, l.maybe)
	}
	versions, _, err := g.client.JobVersions(t.Context(), l.id, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	var kept []int
	for _, v := range versions.Versions {
		n, err := strconv.Atoi(v.Meta["serial"])
		if err != nil {
			t.Fatalf("%s: %v", l.id, err)
		}
		kept = append(kept, n)
	}
	for past := range l.past { // the history keeps the newest versions; within them no acknowledged one is missing
		if len(kept) > 0 && past >= slices.Min(kept) && !slices.Contains(kept, past) {
			t.Errorf("LOST: %s: write %d was acknowledged and is not in the history %v", l.id, past, kept)
		}
	}
	if job.Stop {
		return 0
	}
	return *job.TaskGroups[0].Count
}

// allows reports whether a job may end up as of that registration, stopped or not: as the last acknowledged write left it, or
// as one of the unanswered ones after it did. A stop keeps the serial of the registration before it, acknowledged or not.
func (l *ledger) allows(serial int, stopped bool) bool {
	registered := map[int]bool{} // registrations that may be the newest
	newest := l.acked.serial
	if l.acked.stop {
		newest = 0
		for past := range l.past {
			newest = max(newest, past)
		}
	}
	registered[newest] = true
	mayStop, mayRun := l.acked.stop, !l.acked.stop
	for _, s := range l.maybe {
		if s.stop {
			mayStop = true
		} else {
			registered[s.serial], mayRun = true, true
		}
	}
	if l.acked.stop && serial < l.acked.serial && !registered[serial] {
		// The stop may have followed a registration that nobody answered; it is older than the stop.
		return stopped
	}
	return registered[serial] && (stopped && mayStop || !stopped && mayRun)
}

// auditRuns complains unless exactly what should run does: in the region's eyes, in the agent's, and as processes, each once.
func auditRuns(t *testing.T, g *region, d *device, want map[fleet.JobID]int) error {
	ctx, cancel := shortly()
	defer cancel()
	all, _, err := g.client.Allocations(ctx, nil)
	if err != nil {
		return err
	}
	got, should := map[fleet.JobID]int{}, map[string]bool{}
	for _, a := range all {
		switch {
		case running(a):
			got[a.JobID]++
			should[string(a.ID)] = true
		case a.DesiredStatus == fleet.DesiredRun && !ended(a), a.DesiredStatus != fleet.DesiredRun && !ended(a):
			return errorf("not settled: %s", describe([]*fleet.AllocationListStub{a}))
		}
	}
	for id, n := range want {
		if got[id] != n {
			jobs, err := g.allocs(string(id))
			return errorf("%s: %d run, want %d: %s (%v)", id, got[id], n, describe(jobs), err)
		}
	}
	s, err := d.state()
	if err != nil {
		return err
	}
	if s.Untold > 0 {
		return errorf("%d statuses are untold", s.Untold)
	}
	for _, a := range s.Allocs {
		if runs := a.Status == fleet.ClientRunning; runs != should[a.ID] || a.Orphan {
			return errorf("on the device %s %s of %s is %s (orphan: %t), for the region it runs: %t", a.ID, a.Name, a.JobID, a.Status, a.Orphan, should[a.ID])
		}
	}
	return auditProcesses(t, d, should)
}

// auditProcesses complains unless each allocation has just one process, and no other process is there.
func auditProcesses(t *testing.T, d *device, should map[string]bool) error {
	table := processes()
	found := hosts(table, d.dir)
	if len(found) != 1 {
		return errorf("%d hosts", len(found))
	}
	raw := rawTasks(table, d.dir)
	for id, ps := range raw {
		if len(ps) != 1 || !should[id] {
			return errorf("allocation %s has %d processes, should run: %t", id, len(ps), should[id])
		}
	}
	recs := recorded(t, d.dir, table)
	if len(recs) != len(should) {
		return errorf("the host holds %d tasks, %d allocations should run", len(recs), len(should))
	}
	guests := len(guestsOf(table, found[0]))
	if n := len(should) - len(raw); guests < n || guests > n+1 { // one may be the spare
		return errorf("%d guest processes for %d allocations", guests, n)
	}
	return nil
}
