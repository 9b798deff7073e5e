package command

import (
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Whatever lets a node take new work makes the jobs that run on every node look
// at it; what does not, does not.
func TestNodesThatComeConcernJobsForEveryNode(t *testing.T) {
	w := newWorld(t)
	do[JobRegistered](w, JobRegister{Spec: jobSpec("everywhere", fleet.JobTypeSystem, 1, 10), EvalID: uid(1), At: 1})
	do[JobRegistered](w, JobRegister{Spec: fleet.CanonicalBytes(&fleet.Job{
		ID: "on-mains", Type: fleet.JobTypeSysBatch, TaskGroups: []fleet.TaskGroup{{Name: "g", Constraints: []fleet.Constraint{
			{LTarget: "${attr.power.source}", RTarget: "mains"},
		}}},
	}), EvalID: uid(2), At: 1})
	w.job("elsewhere", fleet.JobTypeService, 3)
	register := func() int {
		return len(do[NodeRegistered](w, NodeRegister{ID: uid(9), Spec: nodeSpec("n", 4000), At: 5}).Evals)
	}
	link := func(l fleet.LinkState) int {
		return len(do[LinksChanged](w, NodeLinks{At: 6, Seed: [32]byte{byte(w.index)}, Changes: []LinkChange{{Node: uid(9), Link: l}}}).Evals)
	}
	fact := func(name, value string) int {
		return len(do[FactsChanged](w, NodeFacts{Node: uid(9), At: 7, Seed: [32]byte{byte(w.index)}, Set: []wire.Attribute{{Name: name, Value: value}}}).Evals)
	}
	eligible := func(yes bool) int {
		return len(do[EligibilitySet](w, NodeEligibility{Node: uid(9), Eligible: yes, At: 8}).Evals)
	}
	for i, step := range []struct {
		what string
		got  int
		want int
	}{
		{"a new node", register(), 2},
		{"the same again", register(), 0},
		{"no link", link(fleet.LinkUnreachable), 0},
		{"linked again", link(fleet.LinkOnline), 2},
		{"a beat is late", link(fleet.LinkLate), 0},
		{"a fact no rule speaks of", fact("temperature", "50"), 0},
		{"a fact that one speaks of", fact("power.source", "mains"), 1},
		{"ineligible", eligible(false), 0},
		{"a fact while it takes no work", fact("power.source", "battery"), 0},
		{"eligible", eligible(true), 2},
	} {
		if step.got != step.want {
			t.Errorf("step %d, %s: %d evaluations, want %d", i, step.what, step.got, step.want)
		}
	}
	do[JobDeregistered](w, JobDeregister{Namespace: "default", ID: "everywhere", EvalID: uid(4), At: 9})
	if n := eligible(false) + eligible(true); n != 1 {
		t.Errorf("a stopped job is asked: %d evaluations", n)
	}
	do[JobRegistered](w, JobRegister{Spec: jobSpec("on-mains", fleet.JobTypeService, 1, 10), EvalID: uid(5), At: 9})
	if n := eligible(false) + eligible(true); n != 0 {
		t.Errorf("a job that changed its type is asked: %d evaluations", n)
	}
}
