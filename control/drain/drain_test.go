package drain

import (
	"slices"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

func uid(n int) fleet.UUID { return fleet.UUID{0: byte(n >> 8), 1: byte(n), 6: 0x40, 8: 0x80, 15: 1} }

// world is a state built by hand: nodes 1…, each drained if it has a drain.
type world struct {
	store *state.Store
	index uint64
	jobs  map[string]*state.JobVersion
}

func newWorld() *world { return &world{store: state.New(), jobs: map[string]*state.JobVersion{}} }

func (w *world) do(f func(x *state.Txn)) {
	w.index++
	x := w.store.Begin()
	f(x)
	x.Commit(w.index)
}

func (w *world) job(name, typ string, count, parallel int) {
	spec := &fleet.Job{ID: fleet.JobID(name), Type: typ, TaskGroups: []fleet.TaskGroup{{Name: "g", Count: &count, Tasks: []fleet.Task{{Name: "t", Driver: "wasm"}}}}}
	if parallel > 0 {
		spec.TaskGroups[0].Migrate = &fleet.MigrateStrategy{MaxParallel: &parallel}
	}
	fleet.Canonicalize(spec)
	w.do(func(x *state.Txn) {
		v := state.NewJobVersion(x.NextJobKey(), 0, spec, nil, 0, w.index)
		w.jobs[name] = x.PutJob(state.Job{Namespace: "default", ID: spec.ID, Versions: []*state.JobVersion{v}}, w.index).Current()
	})
}

func (w *world) node(n int, d *state.Drain) {
	w.do(func(x *state.Txn) {
		x.PutNode(state.Node{ID: uid(n), Spec: &fleet.Node{}, Link: fleet.LinkOnline, Ineligible: d != nil, Drain: d}, w.index)
	})
}

func (w *world) alloc(id int, job string, node int, o state.Observed) {
	w.do(func(x *state.Txn) {
		row := &state.Alloc{ID: uid(id), Version: w.jobs[job], Node: x.NodeByID(uid(node)).Key, Observed: o, Index: uint32(id)}
		if err := x.InsertAllocs([]*state.Alloc{row}, w.index); err != nil {
			panic(err)
		}
	})
}

func (w *world) decide(now int64) Decision {
	v := w.store.View()
	return Decide(v, slices.Collect(v.Nodes()), now)
}

func marked(d *Decision) (ids []fleet.UUID) {
	for _, m := range d.Step.Marks {
		ids = append(ids, m.Allocs...)
	}
	return ids
}

const running = state.ObservedRunning

func TestAServiceLeavesAsFastAsItMay(t *testing.T) {
	w := newWorld()
	w.job("web", fleet.JobTypeService, 4, 2)
	w.node(1, &state.Drain{StartedAt: 7})
	w.node(2, &state.Drain{StartedAt: 7})
	for i := range 4 {
		w.alloc(10+i, "web", 1+i%2, running)
	}
	d := w.decide(100)
	if got := marked(&d); !slices.Equal(got, []fleet.UUID{uid(10), uid(12)}) || d.Wake != 0 || len(d.Step.Done) != 0 {
		t.Fatalf("%+v", d)
	}
}

func TestBatchWaitsAndWhatEveryNodeHasGoesLast(t *testing.T) {
	w := newWorld()
	w.job("web", fleet.JobTypeService, 1, 0)
	w.job("work", fleet.JobTypeBatch, 1, 0)
	w.job("probe", fleet.JobTypeSystem, 1, 0)
	w.node(1, &state.Drain{Deadline: 500, StartedAt: 7})
	w.alloc(10, "web", 1, running)
	w.alloc(11, "work", 1, running)
	w.alloc(12, "probe", 1, running)
	d := w.decide(100)
	if got := marked(&d); !slices.Equal(got, []fleet.UUID{uid(10)}) || d.Wake != 500 {
		t.Fatalf("%+v", d)
	}
	d = w.decide(500)
	if got := marked(&d); len(got) != 3 || !d.Step.Marks[0].Force {
		t.Fatalf("at the deadline: %+v", d)
	}
	for _, id := range []int{10, 11} {
		w.end(id)
	}
	d = w.decide(200)
	if got := marked(&d); !slices.Equal(got, []fleet.UUID{uid(12)}) || d.Step.Marks[0].Force {
		t.Fatalf("when only it is left: %+v", d)
	}
	w.end(12)
	if d = w.decide(200); len(d.Step.Done) != 1 || d.Step.Done[0].StartedAt != 7 || len(d.Step.Marks) != 0 {
		t.Fatalf("%+v", d)
	}
}

func (w *world) end(id int) {
	w.do(func(x *state.Txn) {
		a := x.AllocByID(uid(id))
		c := *a
		c.Observed = state.ObservedComplete
		x.UpdateAlloc(a, c, w.index)
	})
}

func TestWhatStaysMayStay(t *testing.T) {
	w := newWorld()
	w.job("probe", fleet.JobTypeSystem, 1, 0)
	w.node(1, &state.Drain{IgnoreSystem: true})
	w.alloc(12, "probe", 1, running)
	if d := w.decide(200); len(d.Step.Done) != 1 {
		t.Fatalf("%+v", d)
	}
}

// The end of what was stopped is waited for, as long as the device can tell it.
func TestADrainWaitsForTheEnd(t *testing.T) {
	w := newWorld()
	w.job("web", fleet.JobTypeService, 1, 0)
	w.node(1, &state.Drain{})
	w.alloc(10, "web", 1, running)
	w.do(func(x *state.Txn) {
		a := x.AllocByID(uid(10))
		c := *a
		c.Desired = state.DesiredStop
		x.UpdateAlloc(a, c, w.index)
	})
	if d := w.decide(200); !d.Empty() {
		t.Fatalf("%+v", d)
	}
	w.do(func(x *state.Txn) {
		n := *x.NodeByID(uid(1))
		n.Link = fleet.LinkUnreachable
		x.PutNode(n, w.index)
	})
	if d := w.decide(200); len(d.Step.Done) != 1 {
		t.Fatalf("%+v", d)
	}
}

// However groups, nodes and drains lie, no decision takes more of a group than it
// can spare, and deciding again before anything changed marks nothing else.
func TestNoGroupLosesMoreThanItCanSpare(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		count, parallel := rapid.IntRange(0, 6).Draw(rt, "count"), rapid.IntRange(1, 3).Draw(rt, "parallel")
		w.job("web", fleet.JobTypeService, count, parallel)
		nodes := rapid.IntRange(1, 4).Draw(rt, "nodes")
		for n := range nodes {
			var d *state.Drain
			if rapid.Bool().Draw(rt, "drained") {
				d = &state.Drain{StartedAt: 1}
			}
			w.node(1+n, d)
		}
		states := map[fleet.UUID]state.Observed{}
		for i := range rapid.IntRange(0, 6).Draw(rt, "allocs") {
			o := rapid.SampledFrom([]state.Observed{state.ObservedPending, running, state.ObservedFailed}).Draw(rt, "state")
			w.alloc(10+i, "web", 1+rapid.IntRange(0, nodes-1).Draw(rt, "node"), o)
			states[uid(10+i)] = o
		}
		ran := 0
		for _, o := range states {
			if o == running {
				ran++
			}
		}
		d := w.decide(100)
		taken := 0
		for _, id := range marked(&d) {
			if states[id] == running {
				taken++
			}
			if states[id] == state.ObservedFailed {
				rt.Fatalf("marks %s, which has ended", id)
			}
		}
		if taken > 0 && ran-taken < count-parallel {
			rt.Fatalf("%d run, %d are taken, %d must stay", ran, taken, count-parallel)
		}
		w.do(func(x *state.Txn) {
			for _, m := range d.Step.Marks {
				n := *x.NodeByID(m.Node)
				c := *n.Drain
				c.Marks = m.Allocs
				n.Drain = &c
				x.PutNode(n, w.index)
			}
		})
		if again := w.decide(100); len(marked(&again)) > 0 {
			rt.Fatalf("decided again, %v is marked too", marked(&again))
		}
	})
}
