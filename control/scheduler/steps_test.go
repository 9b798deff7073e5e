package scheduler

import (
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// inSteps registers five of a service, or one on each node, in steps of two.
func inSteps(r *region, typ string, version string) {
	r.job(func(j *fleet.Job) {
		g := &j.TaskGroups[0]
		j.Type, g.Count = typ, fleet.Ptr(5)
		if fleet.PerNode(typ) {
			g.Count = fleet.Ptr(1)
		}
		g.Tasks[0].Env = map[string]string{"V": version}
		g.Update = &fleet.UpdateStrategy{MaxParallel: fleet.Ptr(2), Stagger: fleet.Ptr(fleet.Duration(30 * time.Second))}
	})
}

// all reports every pending allocation as that.
func (r *region) all(o state.Observed) {
	r.do(func(x *state.Txn, index uint64) {
		for a := range r.store.View().Allocs() {
			if a.Holds() && a.Observed == state.ObservedPending {
				c := *a
				c.Observed, c.ModifyTime = o, r.now.UnixNano()
				x.UpdateAlloc(a, c, index)
			}
		}
	})
}

func TestAnUpdateGoesInSteps(t *testing.T) {
	r := newRegion(t)
	r.nodes(5)
	inSteps(r, fleet.JobTypeService, "1")
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 5, 0, 0, 0)
	r.all(state.ObservedRunning)
	inSteps(r, fleet.JobTypeService, "2")
	for i, want := range []int{2, 2, 1, 0} {
		out = r.run(fleet.TriggerRolling)
		wantCounts(t, &out.Plan, want, want, 0, 0)
		again := r.run(fleet.TriggerRolling)
		wantCounts(t, &again.Plan, 0, 0, 0, 0)
		if i == 0 && again.Plan.Evals[0].Description != "later steps of the update replace 3 more" {
			t.Fatalf("%+v", again.Plan.Evals)
		}
		r.all(state.ObservedRunning)
		r.now = r.now.Add(fleet.DefaultMinHealthyTime)
	}
}

// The next step begins when replacements have run for min_healthy_time, and an
// evaluation is there for that moment. A task that restarts begins it again.
func TestAStepLastsUntilItIsHealthy(t *testing.T) {
	r := newRegion(t)
	r.nodes(5)
	inSteps(r, fleet.JobTypeService, "1")
	r.run(fleet.TriggerJobRegister)
	r.all(state.ObservedRunning)
	inSteps(r, fleet.JobTypeService, "2")
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 2, 2, 0, 0)
	wantWake(t, &out, r.now.Add(fleet.DefaultHealthyDeadline))
	r.now = r.now.Add(3 * time.Second)
	r.all(state.ObservedRunning)
	out = r.run(fleet.TriggerRolling)
	wantCounts(t, &out.Plan, 0, 0, 0, 0)
	wantWake(t, &out, r.now.Add(fleet.DefaultMinHealthyTime))
	r.now = r.now.Add(9 * time.Second)
	r.observe(0, state.ObservedRunning) // its task restarted
	r.now = r.now.Add(time.Second)
	out = r.run(fleet.TriggerRolling) // the other one is healthy
	wantCounts(t, &out.Plan, 1, 1, 0, 0)
	r.now = r.now.Add(9 * time.Second)
	out = r.run(fleet.TriggerRolling)
	wantCounts(t, &out.Plan, 1, 1, 0, 0)
}

// wantWake demands one evaluation that follows, at that time.
func wantWake(t *testing.T, out *Output, at time.Time) {
	t.Helper()
	e := out.Plan.Evals
	if len(e) != 2 || e[1].Trigger != fleet.TriggerRolling || e[1].WaitUntil != at.UnixNano() {
		t.Fatalf("want one at %s: %+v", at, e)
	}
}

// What never gets healthy holds the update up, and the evaluation says which it is.
func TestAnUpdateSaysWhatHoldsItUp(t *testing.T) {
	r := newRegion(t)
	r.nodes(5)
	inSteps(r, fleet.JobTypeService, "1")
	r.run(fleet.TriggerJobRegister)
	r.all(state.ObservedRunning)
	inSteps(r, fleet.JobTypeService, "2")
	r.run(fleet.TriggerJobRegister)
	r.now = r.now.Add(fleet.DefaultHealthyDeadline)
	r.observe(1, state.ObservedRunning)
	out := r.run(fleet.TriggerRolling)
	wantCounts(t, &out.Plan, 0, 0, 0, 0)
	want := "later steps of the update replace 3 more; 2 of the new version hold it up, " +
		"app.web[0]: it has not run for 10s without a restart within 5m0s (min_healthy_time, healthy_deadline)"
	if got := out.Plan.Evals[0].Description; got != want {
		t.Fatalf("%q", got)
	}
	r.observe(0, state.ObservedFailed)
	out = r.run(fleet.TriggerAllocFailure)
	if got := out.Plan.Evals[0].Description; !strings.HasSuffix(got, "hold it up, app.web[0]: it is failed") {
		t.Fatalf("%q", got)
	}
	inSteps(r, fleet.JobTypeService, "3") // a new chance
	if out = r.run(fleet.TriggerJobRegister); out.Explain.Groups[0].Destructive != 2 {
		t.Fatalf("%+v", out.Explain.Groups)
	}
}

// A step takes first what fits where it is, so that one that fits nowhere keeps
// nobody else from being replaced.
func TestAStepPassesOverWhatDoesNotFit(t *testing.T) {
	r := newRegion(t)
	r.node("small", func(n *fleet.Node) { n.NodeResources.Memory.MemoryMB = 300 })
	register := func(memory int) {
		r.job(func(j *fleet.Job) {
			g := &j.TaskGroups[0]
			g.Count, g.Tasks[0].Resources.MemoryMB = fleet.Ptr(3), &memory
			g.Constraints = []fleet.Constraint{{Operand: fleet.OpDistinctHosts}}
			g.Update = &fleet.UpdateStrategy{}
		})
	}
	register(256)
	r.run(fleet.TriggerJobRegister) // the first index is on the small one
	r.node("b", func(n *fleet.Node) { n.NodeResources.Memory.MemoryMB = 600 })
	r.node("c", func(n *fleet.Node) { n.NodeResources.Memory.MemoryMB = 600 })
	r.run(fleet.TriggerNodeUpdate)
	r.all(state.ObservedRunning)
	if on := r.live(); on[0] != "small" || len(on) != 3 {
		t.Fatalf("%v", on)
	}
	register(512)
	for range 2 {
		out := r.run(fleet.TriggerJobRegister)
		wantCounts(t, &out.Plan, 1, 1, 0, 0)
		r.all(state.ObservedRunning)
		r.now = r.now.Add(fleet.DefaultMinHealthyTime)
	}
	out := r.run(fleet.TriggerRolling)
	wantCounts(t, &out.Plan, 0, 0, 0, 0)
	if g := out.Explain.Groups[0]; g.Queued != 1 || len(r.live()) != 3 {
		t.Fatalf("%+v, %v", g, r.live())
	}
}

// Nothing is left to come for a job that is stopped.
func TestAStoppedJobWaitsForNothing(t *testing.T) {
	r := newRegion(t)
	r.nodes(1)
	r.job(nil)
	r.run(fleet.TriggerJobRegister)
	r.all(state.ObservedFailed)
	r.run(fleet.TriggerAllocFailure)
	r.stopJob(false)
	r.run(fleet.TriggerJobDeregister)
	for e := range r.store.View().Evals() {
		if !e.Ended() {
			t.Fatalf("%+v", e)
		}
	}
}

// A version that does not run takes only a step of what ran.
func TestABadVersionStopsItsUpdate(t *testing.T) {
	r := newRegion(t)
	r.nodes(5)
	inSteps(r, fleet.JobTypeService, "1")
	r.run(fleet.TriggerJobRegister)
	r.all(state.ObservedRunning)
	inSteps(r, fleet.JobTypeService, "bad")
	r.run(fleet.TriggerJobRegister)
	for range 6 {
		r.all(state.ObservedFailed)
		r.now = r.now.Add(time.Hour)
		r.run(fleet.TriggerAllocFailure)
	}
	good := 0
	for a := range r.store.View().Allocs() {
		if a.Holds() && a.Observed == state.ObservedRunning {
			good++
		}
	}
	if good != 3 {
		t.Fatalf("%d of five run on; a step is two", good)
	}
	inSteps(r, fleet.JobTypeService, "good")
	out := r.run(fleet.TriggerJobRegister)
	if g := out.Explain.Groups[0]; g.Place+g.Destructive == 0 {
		t.Fatalf("a new version is stuck behind the bad one: %+v", g)
	}
}

func TestStepsOnEveryNodeWait(t *testing.T) {
	r := newRegion(t)
	r.nodes(5)
	inSteps(r, fleet.JobTypeSystem, "1")
	r.run(fleet.TriggerJobRegister)
	r.all(state.ObservedRunning)
	inSteps(r, fleet.JobTypeSystem, "2")
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 2, 2, 0, 0)
	if e := out.Plan.Evals; len(e) != 2 || e[1].Trigger != fleet.TriggerRolling || e[1].WaitUntil != r.now.Add(30*time.Second).UnixNano() {
		t.Fatalf("%+v", e)
	}
	r.all(state.ObservedRunning)
	out = r.run(fleet.TriggerRolling)
	wantCounts(t, &out.Plan, 0, 0, 0, 0)
	if len(out.Plan.Evals) != 1 {
		t.Fatalf("the step that waits is asked for twice: %+v", out.Plan.Evals)
	}
	r.now = r.now.Add(31 * time.Second)
	for a := range r.store.View().Allocs() {
		if a.Holds() && !a.Prev.IsZero() {
			r.observeRow(a, state.ObservedRunning) // both restarted
		}
	}
	out = r.run(fleet.TriggerRolling)
	wantCounts(t, &out.Plan, 0, 0, 0, 0)
	r.now = r.now.Add(fleet.DefaultMinHealthyTime)
	out = r.run(fleet.TriggerRolling)
	wantCounts(t, &out.Plan, 2, 2, 0, 0)
}
