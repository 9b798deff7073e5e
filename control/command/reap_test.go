package command

import (
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// What a lost device may still have stays until it says that it is over, or an
// operator says that it will not come back.
func TestWhatALostDeviceMayHaveIsKept(t *testing.T) {
	w := newWorld(t)
	w.job("web", fleet.JobTypeService, 1)
	node := w.node(100)
	w.place("web", node, 200, 201)
	w.report(100, 200, "running")
	w.report(100, 201, "running")
	do[LinksChanged](w, NodeLinks{At: 5, Changes: []LinkChange{{Node: uid(100), Link: fleet.LinkLost}}})
	do[Planned](w, Plan{Namespace: "default", Job: "web", At: 6, Stops: []Stop{
		{Alloc: uid(200), Desired: state.DesiredStop, Lost: true, Reason: "lost"}, {Alloc: uid(201), Desired: state.DesiredStop, Lost: true, Reason: "lost"},
	}})
	all := Reap{Allocs: []fleet.UUID{uid(200), uid(201)}, Nodes: []fleet.UUID{uid(100)}, At: 1 << 60}
	if got := do[Reaped](w, all); got != (Reaped{}) {
		t.Fatalf("forgotten while the device may come back: %+v", got)
	}
	w.report(100, 200, "complete")
	if got := do[Reaped](w, all); got.Allocs != 1 || got.Nodes != 0 {
		t.Fatalf("after the device told one end: %+v", got)
	}
	do[StandingSet](w, IdentityStanding{Peer: fleet.PeerOfNode(uid(100)), Standing: fleet.StandingRevoked, At: 7})
	if got := do[Reaped](w, all); got.Allocs != 1 || got.Nodes != 1 || w.store.View().NodeCount() != 0 {
		t.Fatalf("after it was revoked: %+v", got)
	}
}

func TestADeadJobGoesAsAWhole(t *testing.T) {
	w := newWorld(t)
	reg := w.job("web", fleet.JobTypeBatch, 1)
	node := w.node(100)
	w.place("web", node, 200)
	key := w.store.View().JobByID("default", "web").Key
	gone := Reap{Jobs: []ReapedJob{{key, reg.JobIndex}}}
	w.report(100, 200, "complete")
	if got := do[Reaped](w, gone); got.Jobs != 0 {
		t.Fatalf("an evaluation of it is open: %+v", got)
	}
	e := *w.store.View().Eval(uid(1))
	e.Status = fleet.EvalComplete
	do[EvalsStored](w, EvalsPut{Evals: []state.Eval{e}})
	if got := do[Reaped](w, Reap{Jobs: []ReapedJob{{key, reg.JobIndex - 1}}}); got.Jobs != 0 {
		t.Fatalf("it changed since it was looked at: %+v", got)
	}
	if got := do[Reaped](w, gone); got != (Reaped{Jobs: 1, Allocs: 1, Evals: 1}) || w.store.View().JobCount()+w.store.View().EvalCount()+w.store.View().AllocCount() != 0 {
		t.Fatalf("%+v", got)
	}
}
