package command

import (
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

func TestLineageByMark(t *testing.T) {
	w := newWorld(t)
	do[state.Region](w, RegionFound{ID: uid(1), Name: "r", Epoch: 1})
	do[state.Region](w, MarkBegin{ID: 7, After: w.index})
	w.node(1)
	w.node(2)
	do[state.Region](w, MarkBegin{ID: 9, After: w.index}) // the servers began anew
	last := w.index
	for name, c := range map[string]struct {
		held wire.Generation
		mark uint64
		want state.Lineage
	}{
		"nothing":                          {wire.Generation{}, 0, state.LineageUnsure},
		"of the first run":                 {wire.Generation{Epoch: 1, N: last - 1}, 7, state.LineageKnown},
		"of this run":                      {wire.Generation{Epoch: 1, N: last}, 9, state.LineageKnown},
		"before any mark":                  {wire.Generation{Epoch: 1, N: 1}, 0, state.LineageKnown},
		"the first run never came so far":  {wire.Generation{Epoch: 1, N: last}, 7, state.LineageBeyond},
		"of a run that is not in this log": {wire.Generation{Epoch: 1, N: last - 1}, 8, state.LineageBeyond},
		"ahead":                            {wire.Generation{Epoch: 1, N: last + 5}, 9, state.LineageBeyond},
		"of a later epoch":                 {wire.Generation{Epoch: 2, N: 1}, 9, state.LineageBeyond},
	} {
		if got := w.store.View().Lineage(c.held, c.mark); got != c.want {
			t.Errorf("%s: lineage %d, want %d", name, got, c.want)
		}
	}
	for i := range state.MarksMax + 3 {
		do[state.Region](w, MarkBegin{ID: uint64(100 + i), After: w.index})
	}
	if r := w.store.View().Region(); len(r.Marks) != state.MarksMax || !r.Dropped {
		t.Fatalf("%d marks, dropped %t", len(r.Marks), r.Dropped)
	}
	if got := w.store.View().Lineage(wire.Generation{Epoch: 1, N: last - 1}, 7); got != state.LineageUnsure {
		t.Errorf("a run whose mark was dropped: lineage %d", got)
	}
	w.refuse(MarkBegin{ID: 0, After: w.index}, ErrInvalid)
	w.refuse(MarkBegin{ID: 3, After: w.index + 5}, ErrInvalid)
	w.refuse(MarkBegin{ID: 3, After: 1}, ErrInvalid)
}

func TestEpochIsRaisedOnceAndForAReason(t *testing.T) {
	w := newWorld(t)
	do[state.Region](w, RegionFound{ID: uid(1), Name: "r", Epoch: 1})
	do[state.Region](w, MarkBegin{ID: 7, After: w.index})
	proof := EpochRaise{Epoch: 1, Node: uid(4), Held: wire.Generation{Epoch: 1, N: 900}, Mark: 7, At: 1000}
	known := proof
	known.Held.N = w.index
	if r := do[EpochRaised](w, known); r.Raised {
		t.Fatal("the epoch was raised for what the region knows")
	}
	if r := do[EpochRaised](w, proof); !r.Raised || r.Epoch != 2 {
		t.Fatalf("%+v", r)
	}
	if r := do[EpochRaised](w, proof); r.Raised || r.Epoch != 2 {
		t.Fatalf("a second device with the same proof: %+v", r)
	}
	again := proof
	again.Epoch, again.Held.Epoch = 2, 2
	w.refuse(again, ErrEpochJustRaised)
	again.At += int64(EpochRaiseEvery)
	again.Held.Epoch = 5
	if r := do[EpochRaised](w, again); r.Epoch != 6 {
		t.Fatalf("a device of epoch 5 makes it %d", r.Epoch)
	}
	lie := EpochRaise{Epoch: 6, Node: uid(4), Held: wire.Generation{Epoch: 1 << 62, N: 1}, At: again.At + int64(EpochRaiseEvery)}
	w.refuse(lie, ErrInvalid)
	if r := do[EpochRaised](w, EpochRaise{Epoch: 6, Operator: true, At: again.At}); r.Epoch != 7 {
		t.Fatalf("an operator makes it %d", r.Epoch)
	}
}

// orphaned is a region with a job of count 2 that runs nothing, and a device that
// runs an allocation of it which the region does not know.
func orphaned(t *testing.T) (*world, wire.Orphan) {
	w := newWorld(t)
	w.job("a", "service", 1)
	w.node(1)
	j := w.store.View().JobByID("default", "a")
	o := wire.Orphan{ID: uid(70), Job: j.Current().Key(), Group: j.Current().Spec.TaskGroups[0].Name, Status: fleet.ClientRunning}
	if r := do[OrphansSet](w, NodeOrphans{Node: uid(1), Orphans: []wire.Orphan{o}}); !r.Changed || r.Count != 1 {
		t.Fatalf("%+v", r)
	}
	if r := do[OrphansSet](w, NodeOrphans{Node: uid(1), Orphans: []wire.Orphan{o}}); r.Changed {
		t.Fatal("the same list changes something")
	}
	return w, o
}

func TestOrphanIsAdopted(t *testing.T) {
	w, o := orphaned(t)
	w.place("a", 1, 60) // the region's own, of the same name
	r := do[AllocAdopted](w, AllocAdopt{Alloc: o.ID, EvalID: uid(80), At: 5})
	if r.Stopped != uid(60) || w.alloc(60).Desired != state.DesiredStop || w.alloc(60).Detail.DesiredReason == "" {
		t.Fatalf("%+v, and the other is %+v", r, w.alloc(60))
	}
	if a := w.alloc(70); !a.Holds() || a.Observed != state.ObservedRunning || a.Name() != o.Name() {
		t.Fatalf("%+v", a)
	}
	if n := w.store.View().NodeByID(uid(1)); len(n.Orphans) != 0 {
		t.Fatalf("%+v is an orphan still", n.Orphans)
	}
	w.refuse(AllocAdopt{Alloc: o.ID, EvalID: uid(81)}, ErrNoSuchAlloc)
}

func TestOrphanOfAnotherVersionIsNotAdopted(t *testing.T) {
	w, o := orphaned(t)
	other := o
	other.ID, other.Job.Sum = uid(71), 5
	beyond := o
	beyond.ID, beyond.Index = uid(72), 99
	do[OrphansSet](w, NodeOrphans{Node: uid(1), Orphans: []wire.Orphan{o, other, beyond}})
	w.refuse(AllocAdopt{Alloc: other.ID, EvalID: uid(80)}, ErrNotAdoptable)
	w.refuse(AllocAdopt{Alloc: beyond.ID, EvalID: uid(80)}, ErrNotAdoptable)
	do[AllocStopped](w, AllocStop{Alloc: o.ID})
	stopped := w.index
	w.refuse(AllocAdopt{Alloc: o.ID, EvalID: uid(80)}, ErrNotAdoptable)
	if n := w.store.View().NodeByID(uid(1)); n.Orphans[0].StopReason == "" || n.Orphans[0].Changed != stopped {
		t.Fatalf("%+v", n.Orphans[0])
	}
	do[AllocStopped](w, AllocStop{Alloc: other.ID, Gone: true})
	if n := w.store.View().NodeByID(uid(1)); len(n.Orphans) != 2 {
		t.Fatalf("%d orphans after one was given up", len(n.Orphans))
	}
}

func TestAllocIsStoppedByHand(t *testing.T) {
	w := newWorld(t)
	w.job("a", "service", 1)
	w.place("a", w.node(1), 60, 61)
	w.report(1, 60, fleet.ClientRunning)
	r := do[AllocStopped](w, AllocStop{Alloc: uid(60), EvalID: uid(80), At: 9})
	if a := w.alloc(60); r.EvalID != uid(80) || a.Desired != state.DesiredStop || a.Detail.DesiredReason != stopAsked {
		t.Fatalf("%+v: %+v", r, a)
	}
	if e := w.store.View().Eval(uid(80)); e == nil || e.Trigger != fleet.TriggerAllocStop {
		t.Fatalf("%+v", e)
	}
	w.refuse(AllocStop{Alloc: uid(60), EvalID: uid(81)}, ErrEnded)
	w.refuse(AllocStop{Alloc: uid(60), Gone: true, EvalID: uid(81)}, ErrInvalid) // its device is linked
	do[LinksChanged](w, NodeLinks{Changes: []LinkChange{{uid(1), fleet.LinkUnreachable, "cut"}}, At: 20})
	if n := w.store.View().NodeByID(uid(1)); n.AwaySince != 20 {
		t.Fatalf("away since %d", n.AwaySince)
	}
	do[AllocStopped](w, AllocStop{Alloc: uid(60), Gone: true, EvalID: uid(82), At: 30})
	if a := w.alloc(60); a.Observed != state.ObservedLost || a.Detail.DesiredReason != stopGone {
		t.Fatalf("%+v", a)
	}
	w.refuse(AllocStop{Alloc: uid(99), EvalID: uid(83)}, ErrNoSuchAlloc)
}

func TestBrakeIsSetAndForgets(t *testing.T) {
	w := newWorld(t)
	do[state.Region](w, RegionFound{ID: uid(1), Name: "r", Epoch: 1})
	if b := do[BrakeIs](w, BrakeSet{On: true, Reason: "many", At: 5}); !b.On || b.Since != 5 || !b.Changed {
		t.Fatalf("%+v", b)
	}
	if b := do[BrakeIs](w, BrakeSet{On: true, Reason: "more", At: 6}); b.Since != 5 || b.Changed {
		t.Fatalf("%+v", b)
	}
	if b := do[BrakeIs](w, BrakeSet{Forget: true, Reason: "released", At: 7}); b.On || b.ReleasedAt != 7 || b.Since != 7 {
		t.Fatalf("%+v", b)
	}
}
