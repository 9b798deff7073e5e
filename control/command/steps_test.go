package command

import (
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// The next step of an update is asked for when a replacement runs, and by nothing
// else: not by a job without steps, not before there is another version, not when
// nothing of it is left.
func TestAReplacementThatRunsAsksForTheNextStep(t *testing.T) {
	w := newWorld(t)
	spec := func(v string) []byte {
		return fleet.CanonicalBytes(&fleet.Job{ID: "web", TaskGroups: []fleet.TaskGroup{{
			Name: "app", Count: fleet.Ptr(2), Update: &fleet.UpdateStrategy{MaxParallel: fleet.Ptr(1)},
			Tasks: []fleet.Task{{Name: "main", Driver: "wasm", Env: map[string]string{"V": v}}},
		}}})
	}
	do[JobRegistered](w, JobRegister{Spec: spec("1"), EvalID: uid(1)})
	node := w.node(100)
	w.place("web", node, 200, 201)
	if n := len(w.report(100, 200, "running").Evals) + len(w.report(100, 201, "running").Evals); n != 0 {
		t.Fatalf("a first version asks for %d steps", n)
	}
	do[JobRegistered](w, JobRegister{Spec: spec("2"), EvalID: uid(2)})
	next := func(version uint64, old, id, name int) {
		do[Planned](w, Plan{Namespace: "default", Job: "web", Version: version, At: 5, Groups: []Placements{{
			Nodes: []state.NodeKey{node}, Names: []uint32{uint32(name)}, IDs: []fleet.UUID{uid(id)}, Prevs: []Replaced{{Alloc: uid(old)}},
		}}, Stops: []Stop{{Alloc: uid(old), Desired: state.DesiredStop, Reason: "update"}}})
	}
	next(1, 200, 300, 0)
	got := w.report(100, 300, "running")
	if len(got.Evals) != 1 || w.store.View().Eval(got.Evals[0]).Trigger != fleet.TriggerRolling {
		t.Fatalf("%+v", got)
	}
	if again := w.report(100, 300, "running"); len(again.Evals) != 0 {
		t.Fatalf("the same report asks again: %+v", again)
	}
	next(1, 201, 301, 1)
	if got := w.report(100, 301, "running"); len(got.Evals) != 0 {
		t.Fatalf("nothing is left and a step is asked for: %+v", got)
	}
}

// A group of several tasks is through with a step when the last of them runs, long
// after the allocation counts as running.
func TestTheLastTaskThatRunsAsksForTheNextStep(t *testing.T) {
	w := newWorld(t)
	spec := func(v string) []byte {
		return fleet.CanonicalBytes(&fleet.Job{ID: "web", TaskGroups: []fleet.TaskGroup{{
			Name: "app", Count: fleet.Ptr(2), Update: &fleet.UpdateStrategy{},
			Tasks: []fleet.Task{{Name: "a", Driver: "wasm", Env: map[string]string{"V": v}}, {Name: "b", Driver: "wasm"}},
		}}})
	}
	do[JobRegistered](w, JobRegister{Spec: spec("1"), EvalID: uid(1)})
	node := w.node(100)
	w.place("web", node, 200, 201)
	do[JobRegistered](w, JobRegister{Spec: spec("2"), EvalID: uid(2)})
	do[Planned](w, Plan{Namespace: "default", Job: "web", Version: 1, At: 5, Groups: []Placements{{
		Nodes: []state.NodeKey{node}, Names: []uint32{0}, IDs: []fleet.UUID{uid(300)}, Prevs: []Replaced{{Alloc: uid(200)}},
	}}, Stops: []Stop{{Alloc: uid(200), Desired: state.DesiredStop, Reason: "update"}}})
	for i, states := range [][2]string{{fleet.TaskRunning, fleet.TaskPending}, {fleet.TaskRunning, fleet.TaskRunning}, {fleet.TaskPending, fleet.TaskRunning}} {
		got := do[StatusesApplied](w, Statuses{At: 3000, Seed: [32]byte{byte(i)}, Nodes: []NodeStatuses{{
			Node: uid(100), Allocs: []wire.AllocStatus{{ID: uid(300), Status: fleet.ClientRunning, Tasks: []wire.TaskStatus{
				{Name: "a", ObservedTask: fleet.ObservedTask{State: states[0]}}, {Name: "b", ObservedTask: fleet.ObservedTask{State: states[1]}},
			}}},
		}}})
		if want := []int{1, 1, 0}[i]; len(got.Evals) != want {
			t.Fatalf("report %d asks for %d steps, want %d", i, len(got.Evals), want)
		}
	}
}

// The delay of a reschedule counts from the failure: marking it for one moves nothing.
func TestAMarkDoesNotMoveTheTimeOfTheFailure(t *testing.T) {
	w := newWorld(t)
	w.job("web", fleet.JobTypeService, 1)
	node := w.node(100)
	w.place("web", node, 200)
	w.report(100, 200, "failed")
	do[Planned](w, Plan{Namespace: "default", Job: "web", At: 9000, Stops: []Stop{{Alloc: uid(200), Desired: state.DesiredRun, Followup: uid(7), Reason: "later"}}})
	if a := w.store.View().AllocByID(uid(200)); a.ModifyTime != 3000 || a.Detail.Followup != uid(7) {
		t.Fatalf("%+v %+v", a, a.Detail)
	}
}
