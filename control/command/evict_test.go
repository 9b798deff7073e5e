package command

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// evicting places two of "low" and returns a plan of "high" for one of which the first gives way.
func evicting(w *world) (Plan, state.NodeKey) {
	n := w.node(1)
	w.job("low", "service", 2)
	w.place("low", n, 10, 11)
	w.job("high", "service", 3)
	return Plan{
		Eval: uid(3), Namespace: "default", Job: "high", At: 5000,
		Groups:    []Placements{{Nodes: []state.NodeKey{n}, Names: []uint32{0}, IDs: []fleet.UUID{uid(20)}}},
		Evictions: []Eviction{{Alloc: uid(10), By: uid(20)}},
	}, n
}

func TestEviction(t *testing.T) {
	w := newWorld(t)
	p, n := evicting(w)
	do[Planned](w, p)
	old, by := w.alloc(10), w.alloc(20)
	if old.Desired != state.DesiredEvict || old.Detail.PreemptedBy != by.ID || old.Detail.DesiredReason != "preempted by high, allocation "+by.ID.String() ||
		old.DesiredIndex != w.index || !slices.Equal(by.Detail.Preempted, []fleet.UUID{old.ID}) {
		t.Errorf("%+v %+v, %+v", old, old.Detail, by.Detail)
	}
	if w.alloc(11).Desired != state.DesiredRun || w.usage(n).Allocs != 2 || w.store.View().Node(n).CapacityAt != w.index {
		t.Errorf("usage %+v", w.usage(n))
	}
	var evals []*state.Eval
	for e := range w.store.View().EvalsByJob("default", "low") {
		if e.Trigger == fleet.TriggerPreemption {
			evals = append(evals, e)
		}
	}
	if len(evals) != 1 || evals[0].Status != fleet.EvalPending {
		t.Errorf("evaluations of what gave way: %+v", evals)
	}
	v := w.store.View()
	if a, b := v.Allocation(old), v.Allocation(by).Stub(); a.DesiredStatus != "evict" || string(a.PreemptedByAllocation) != by.ID.String() ||
		len(b.PreemptedAllocations) != 1 || string(b.PreemptedAllocations[0]) != old.ID.String() {
		t.Errorf("API: %+v, %+v", a, b)
	}
}

func TestEvictionsThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(w *world, p *Plan){
		"of nobody":       func(_ *world, p *Plan) { p.Evictions[0].Alloc = uid(77) },
		"for nobody":      func(_ *world, p *Plan) { p.Evictions[0].By = uid(77) },
		"of the same job": func(_ *world, p *Plan) { p.Job = "low" },
		"elsewhere":       func(w *world, p *Plan) { p.Groups[0].Nodes[0] = w.node(7) },
	} {
		w := newWorld(t)
		p, _ := evicting(w)
		change(w, &p)
		if _, err := w.try(p); err == nil { // try checks that nothing changed
			t.Errorf("%s: it was applied", name)
		}
	}
	// What has ended meanwhile is left as it is.
	w := newWorld(t)
	p, _ := evicting(w)
	w.report(1, 10, fleet.ClientComplete)
	evals := w.store.View().EvalCount()
	do[Planned](w, p)
	if a := w.alloc(10); a.Desired != state.DesiredRun || w.alloc(20).Detail != nil || w.store.View().EvalCount() != evals {
		t.Errorf("%+v", a)
	}
}

// What waits for room looks again when something may have to give way that did not before.
func TestMayGiveWayNow(t *testing.T) {
	w := newWorld(t)
	n := w.node(1)
	w.job("low", "service", 2)
	w.place("low", n, 10)
	spec := func(priority int) []byte {
		var j fleet.Job
		if err := json.Unmarshal(jobSpec("low", "service", 3, 100), &j); err != nil {
			t.Fatal(err)
		}
		j.Priority = &priority
		return fleet.CanonicalBytes(&j)
	}
	for _, c := range []struct {
		priority int
		wakes    bool
	}{{60, false}, {30, true}} {
		r := do[JobRegistered](w, JobRegister{Spec: spec(c.priority), EvalID: uid(100 + c.priority), At: 1000})
		do[Planned](w, Plan{Namespace: "default", Job: "low", Version: r.Version, At: 2000, Updates: []fleet.UUID{uid(10)}})
		if got := w.store.View().Node(n).CapacityAt == w.index; got != c.wakes {
			t.Errorf("to priority %d: wakes %t", c.priority, got)
		}
	}
}
