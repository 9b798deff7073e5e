package scheduler

import (
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
	out = r.run(fleet.TriggerRolling)
	wantCounts(t, &out.Plan, 2, 2, 0, 0)
}
