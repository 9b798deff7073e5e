package command

import (
	"slices"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

func TestDrainOfANode(t *testing.T) {
	w := newWorld(t)
	w.job("web", fleet.JobTypeService, 1)
	node := w.node(100)
	w.place("web", node, 200, 201)
	row := func() *fleet.Node { return w.store.View().NodeByID(uid(100)).View() }
	do[DrainSet](w, NodeDrain{Node: uid(100), Drain: true, Limit: 50, At: 1000})
	if n := row(); !n.Drain || n.SchedulingEligibility != fleet.NodeIneligible || n.DrainStrategy.ForceDeadline.UnixNano() != 1050 {
		t.Fatalf("%+v", n)
	}
	w.refuse(NodeEligibility{Node: uid(100), Eligible: true}, ErrInvalid)
	step := DrainStep{Marks: []DrainMark{{Node: uid(100), Allocs: []fleet.UUID{uid(200), uid(999)}}}, At: 1001}
	got := do[DrainStepped](w, step)
	if got.Marked != 1 || len(got.Evals) != 1 || w.store.View().Eval(got.Evals[0]).Trigger != fleet.TriggerNodeDrain {
		t.Fatalf("%+v", got)
	}
	if again := do[DrainStepped](w, step); again.Marked != 0 || len(again.Evals) != 0 {
		t.Fatalf("the same step again: %+v", again)
	}
	forced := do[DrainStepped](w, DrainStep{Marks: []DrainMark{{Node: uid(100), Force: true, Allocs: []fleet.UUID{uid(201)}}}, At: 1050, Seed: [32]byte{1}})
	if d := w.store.View().NodeByID(uid(100)).Drain; forced.Marked != 1 || !d.Forced || !slices.Equal(d.Marks, []fleet.UUID{uid(200), uid(201)}) {
		t.Fatalf("%+v %+v", forced, d)
	}
	if old := do[DrainStepped](w, DrainStep{Done: []DrainDone{{Node: uid(100), StartedAt: 5}}}); old.Ended != 0 {
		t.Fatal("an older drain's end ends this one")
	}
	if end := do[DrainStepped](w, DrainStep{Done: []DrainDone{{Node: uid(100), StartedAt: 1000}}}); end.Ended != 1 || row().Drain || row().SchedulingEligibility != fleet.NodeIneligible {
		t.Fatalf("%+v %+v", end, row())
	}
	do[DrainSet](w, NodeDrain{Node: uid(100), Drain: true, Limit: fleet.DeadlineForce, At: 2000})
	if out := do[DrainSet](w, NodeDrain{Node: uid(100), Eligible: true, At: 2001}); out.Draining || row().SchedulingEligibility != fleet.NodeEligible {
		t.Fatalf("%+v %+v", out, row())
	}
	w.refuse(NodeDrain{Node: uid(5), Drain: true}, ErrNoSuchNode)
}
