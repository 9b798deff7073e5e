package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

func uid(n int) fleet.UUID {
	return fleet.MintUUID([16]byte{15: byte(n), 14: byte(n >> 8)})
}

// world is a state with two-group jobs (100 MHz, 16 MiB and no disk; 300 MHz, 64 MiB and 50 MiB of disk).
type world struct {
	store *state.Store
	index uint64
	ids   int
}

func newWorld() *world { return &world{store: state.New()} }

func (w *world) do(f func(x *state.Txn)) *state.View {
	w.index++
	x := w.store.Begin()
	f(x)
	return x.Commit(w.index)
}

func (w *world) node(cpu, mem int64, link fleet.LinkState) state.NodeKey {
	return w.nodeOf(cpu, mem, 0, link)
}

// nodeOf is a node with so much disk; 0: unknown.
func (w *world) nodeOf(cpu, mem, disk int64, link fleet.LinkState) state.NodeKey {
	w.ids++
	spec := &fleet.Node{Name: fmt.Sprintf("n%d", w.ids)}
	spec.NodeResources.Disk.DiskMB = disk
	spec.NodeResources.CPU.CPUShares, spec.NodeResources.Memory.MemoryMB = cpu, mem
	var k state.NodeKey
	w.do(func(x *state.Txn) {
		k = x.PutNode(state.Node{ID: uid(w.ids), Spec: spec, Link: link}, w.index).Key
	})
	return k
}

func (w *world) job(name string) {
	group := func(name string, cpu, mem int) fleet.TaskGroup {
		return fleet.TaskGroup{Name: name, Tasks: []fleet.Task{{Name: "t", Driver: "wasm", Resources: &fleet.Resources{CPU: fleet.Ptr(cpu), MemoryMB: fleet.Ptr(mem)}}}}
	}
	spec := &fleet.Job{ID: fleet.JobID(name), TaskGroups: []fleet.TaskGroup{group("small", 100, 16), group("large", 300, 64)}}
	spec.TaskGroups[1].EphemeralDisk = &fleet.EphemeralDisk{SizeMB: fleet.Ptr(50)}
	fleet.Canonicalize(spec)
	w.do(func(x *state.Txn) {
		v := state.NewJobVersion(x.NextJobKey(), 0, spec, fleet.CanonicalBytes(spec), 0, w.index)
		x.PutJob(state.Job{Namespace: spec.Namespace, ID: spec.ID, Versions: []*state.JobVersion{v}}, w.index)
	})
}

func (w *world) plan(job string) *command.Plan {
	return &command.Plan{Namespace: fleet.DefaultNamespace, Job: fleet.JobID(job), Snapshot: w.index, Evals: []state.Eval{{ID: uid(9999)}}}
}

func (w *world) place(p *command.Plan, group uint16, nodes ...state.NodeKey) []fleet.UUID {
	g := command.Placements{Group: group}
	for _, k := range nodes {
		w.ids++
		g.Nodes, g.Names, g.IDs = append(g.Nodes, k), append(g.Names, uint32(w.ids)), append(g.IDs, uid(w.ids))
	}
	p.Groups = append(p.Groups, g)
	return g.IDs
}

// apply commits what was accepted, by hand.
func (w *world) apply(p *command.Plan) {
	w.do(func(x *state.Txn) {
		for _, s := range p.Stops {
			a := x.AllocByID(s.Alloc)
			c := *a
			c.Desired = s.Desired
			x.UpdateAlloc(a, c, w.index)
		}
		var rows []*state.Alloc
		for _, g := range p.Groups {
			for i, id := range g.IDs {
				rows = append(rows, &state.Alloc{ID: id, Version: x.JobByID(p.Namespace, p.Job).Current(), Node: g.Nodes[i], Group: g.Group, Index: g.Names[i]})
			}
		}
		if err := x.InsertAllocs(rows, w.index); err != nil {
			panic(err)
		}
	})
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		setup func(w *world, p *command.Plan)
		want  string // part of the reason; "" = accepted whole
	}{
		"fits":          {func(w *world, p *command.Plan) { w.place(p, 0, w.node(200, 32, "online")); w.place(p, 0, 1) }, ""},
		"late is ready": {func(w *world, p *command.Plan) { w.place(p, 0, w.node(200, 32, "late")) }, ""},
		"cpu":           {func(w *world, p *command.Plan) { w.place(p, 1, w.node(299, 999, "online")) }, "has 299 MHz"},
		"memory":        {func(w *world, p *command.Plan) { w.place(p, 1, w.node(999, 63, "online")) }, "has 63 MiB"},
		"disk":          {func(w *world, p *command.Plan) { w.place(p, 1, w.nodeOf(999, 999, 49, "online")) }, "has 49 MiB of disk"},
		"disk of two": {func(w *world, p *command.Plan) {
			k := w.nodeOf(999, 999, 99, "online")
			w.place(p, 1, k, k)
		}, "99 MiB of disk for allocations, 0 are taken by now, the plan wants 100"},
		"enough disk":   {func(w *world, p *command.Plan) { w.place(p, 1, w.nodeOf(999, 999, 50, "online")) }, ""},
		"no disk asked": {func(w *world, p *command.Plan) { w.place(p, 0, w.nodeOf(999, 999, 1, "online")) }, ""},
		"disk unknown":  {func(w *world, p *command.Plan) { w.place(p, 1, w.nodeOf(999, 999, 0, "online")) }, ""},
		"unreachable":   {func(w *world, p *command.Plan) { w.place(p, 0, w.node(999, 999, "unreachable")) }, "it is unreachable"},
		"no such node":  {func(w *world, p *command.Plan) { w.place(p, 0, 77) }, "#77 is gone"},
		"no such job":   {func(w *world, p *command.Plan) { w.place(p, 0, w.node(999, 999, "online")); p.Job = "other" }, "job other is gone"},
		"version gone":  {func(w *world, p *command.Plan) { w.place(p, 0, w.node(999, 999, "online")); p.Version = 9 }, "version 9"},
		"newer version": {func(w *world, p *command.Plan) { // of which the plan could not know
			w.place(p, 0, w.node(999, 999, "online"))
			w.do(func(x *state.Txn) {
				j := *x.JobByID(fleet.DefaultNamespace, "a")
				j.Versions = append([]*state.JobVersion{state.NewJobVersion(j.Key, 1, j.Current().Spec, nil, 0, w.index)}, j.Versions...)
				x.PutJob(j, w.index)
			})
		}, "version 1 of job a was registered"},
		"no such group": {func(w *world, p *command.Plan) { w.place(p, 7, w.node(999, 999, "online")) }, "malformed"},
		"ragged":        {func(w *world, p *command.Plan) { w.place(p, 0, w.node(999, 999, "online")); p.Groups[0].Names = nil }, "malformed"},
		"stopped job": {func(w *world, p *command.Plan) {
			w.place(p, 0, w.node(999, 999, "online"))
			w.do(func(x *state.Txn) {
				j := *x.JobByID(fleet.DefaultNamespace, "a")
				j.Stop = true
				x.PutJob(j, w.index)
			})
		}, "job a is stopped"},
		"updates of a job that is gone": {func(w *world, p *command.Plan) { p.Updates = []fleet.UUID{uid(1)}; p.Job = "other" }, "job other is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.job("a")
			p := w.plan("a")
			c.setup(w, p)
			v := Verify(w.store.View(), nil, p)
			if c.want == "" {
				if !v.Whole() || len(v.Accepted.Evals) != 1 {
					t.Fatalf("refused: %+v", v.Rejected)
				}
				return
			}
			if len(v.Rejected) != 1 || !strings.Contains(v.Rejected[0].Reason, c.want) {
				t.Fatalf("rejected %+v, want %q", v.Rejected, c.want)
			}
			if !v.Empty() {
				t.Fatalf("something is left of it: %+v", v.Accepted)
			}
		})
	}
}

func TestRefusedNodeLeavesTheOthers(t *testing.T) {
	w := newWorld()
	w.job("a")
	good, bad := w.node(300, 999, "online"), w.node(150, 999, "online")
	p := w.plan("a")
	ids := w.place(p, 0, good, bad, good, bad)
	v := Verify(w.store.View(), nil, p)
	if len(v.Rejected) != 1 || v.Rejected[0].Node != bad || v.Rejected[0].Placements != 2 {
		t.Fatalf("rejected %+v", v.Rejected)
	}
	if got := v.Accepted.Groups[0].IDs; !slices.Equal(got, []fleet.UUID{ids[0], ids[2]}) || v.Accepted.Evals != nil {
		t.Fatalf("accepted %v, evals %v", got, v.Accepted.Evals)
	}
	if v.Witness() != ids[0] || v.Delta[good].CPU != 200 {
		t.Fatalf("witness %s, delta %+v", v.Witness(), v.Delta)
	}
}

// An update that must replace: the old one's room counts for the plan itself, and
// the old one stays when its successor is refused, whose room others counted on.
func TestStopsGoWithTheirReplacements(t *testing.T) {
	w := newWorld()
	w.job("a")
	n1, n2 := w.node(300, 999, "online"), w.node(50, 999, "online")
	first := w.plan("a")
	old := w.place(first, 1, n1)[0]
	w.apply(first)

	same := w.plan("a")
	w.place(same, 1, n1)
	same.Stops = []command.Stop{{Alloc: old, Desired: state.DesiredStop}}
	same.Groups[0].Prevs = []command.Replaced{{Alloc: old}}
	// In flight it counts in full: the old one may end by itself before the plan lands, and its room is then free only once.
	if v := Verify(w.store.View(), nil, same); !v.Whole() || v.Delta[n1] != (state.Usage{CPU: 300, MemoryMB: 64, DiskMB: 50, Allocs: 1}) {
		t.Fatalf("replacing in place: %+v, delta %v", v.Rejected, v.Delta)
	}

	moved := w.plan("a")
	w.place(moved, 1, n2) // no room there
	moved.Groups[0].Prevs = []command.Replaced{{Alloc: old}}
	w.place(moved, 0, n1) // in the room the old one would leave
	moved.Stops = []command.Stop{{Alloc: old, Desired: state.DesiredStop}, {Alloc: uid(1), Followup: uid(2)}}
	if v := Verify(w.store.View(), nil, moved); !v.Empty() || len(v.Rejected) != 2 {
		t.Fatalf("accepted %+v, rejected %+v", v.Accepted, v.Rejected)
	}

	moved.Stops[0].Lost = true
	if v := Verify(w.store.View(), nil, moved); len(v.Accepted.Stops)+len(v.Accepted.Groups) != 0 || !strings.Contains(v.Rejected[0].Reason, "is back") {
		t.Fatalf("what is back is kept: %+v, rejected %+v", v.Accepted, v.Rejected)
	}
	moved.Groups = nil
	if v := Verify(w.store.View(), nil, moved); v.Whole() || len(v.Accepted.Stops) != 0 {
		t.Fatalf("what is back is kept, also when nothing would replace it: %+v", v.Accepted)
	}
	w.do(func(x *state.Txn) {
		n := *x.Node(n1)
		n.Link = fleet.LinkLost
		x.PutNode(n, w.index)
	})
	w.place(moved, 1, n2)
	moved.Groups[0].Prevs = []command.Replaced{{Alloc: old}}
	if v := Verify(w.store.View(), nil, moved); len(v.Accepted.Stops) != 1 || len(v.Accepted.Groups) != 0 {
		t.Fatalf("what is lost is given up in any case: %+v", v.Accepted)
	}
}

// Any plans, verified one on top of the other, committed in any order or not at
// all, never take more of a node than it has; and what a plan alone on an idle
// region asks for within capacity is never refused.
func TestNeverOvercommits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		w.job("a")
		var keys []state.NodeKey
		for range rapid.IntRange(1, 3).Draw(rt, "nodes") {
			cpu, mem := rapid.IntRange(1, 8).Draw(rt, "cpu"), rapid.IntRange(1, 10).Draw(rt, "mem")
			keys = append(keys, w.nodeOf(int64(cpu)*100, int64(mem)*16, int64(rapid.IntRange(0, 5).Draw(rt, "disk"))*30, "online"))
		}
		var overlay Overlay
		type flying struct {
			id uint64
			v  Verdict
		}
		var air []flying
		var placed []fleet.UUID
		stopping := map[fleet.UUID]bool{}
		for id := range uint64(rapid.IntRange(1, 25).Draw(rt, "steps")) {
			if rapid.Bool().Draw(rt, "land") && len(air) > 0 {
				i := rapid.IntRange(0, len(air)-1).Draw(rt, "which")
				f := air[i]
				air = slices.Delete(air, i, i+1)
				overlay.Remove(f.id)
				if rapid.IntRange(0, 3).Draw(rt, "fails") == 0 {
					continue
				}
				w.apply(&f.v.Accepted)
				for _, g := range f.v.Accepted.Groups {
					placed = append(placed, g.IDs...)
				}
				for _, k := range keys {
					u, c := w.store.View().Usage(k), w.store.View().Node(k).Spec.Capacity()
					if !u.Ask().Within(c) {
						rt.Fatalf("node %d: %+v of %+v", k, u, c)
					}
				}
				continue
			}
			p := w.plan("a")
			for g := range uint16(2) {
				w.place(p, g, rapid.SliceOfN(rapid.SampledFrom(keys), 0, 4).Draw(rt, "placements")...)
			}
			if len(placed) > 0 && rapid.Bool().Draw(rt, "stop") {
				if s := rapid.SampledFrom(placed).Draw(rt, "stopped"); !stopping[s] {
					stopping[s] = true // a job is evaluated once at a time
					p.Stops = []command.Stop{{Alloc: s, Desired: state.DesiredStop}}
				}
			}
			before := *p
			v := Verify(w.store.View(), overlay.Usage(), p)
			if len(p.Evals) != len(before.Evals) || len(p.Groups) != len(before.Groups) {
				rt.Fatal("the plan was changed")
			}
			for _, r := range v.Rejected {
				naive(rt, w, &overlay, p, r.Node)
			}
			overlay.Add(id, v.Delta)
			air = append(air, flying{id, v})
		}
		for _, f := range air {
			overlay.Remove(f.id)
		}
		if overlay.Usage() != nil {
			rt.Fatal("an overlay of nothing is not empty")
		}
	})
}

// naive checks that a refused node is really too full.
func naive(rt *rapid.T, w *world, o *Overlay, p *command.Plan, k state.NodeKey) {
	v := w.store.View()
	var sum fleet.Ask
	for a := range v.AllocsByNode(k) {
		stopped := slices.ContainsFunc(p.Stops, func(s command.Stop) bool { return s.Alloc == a.ID })
		if a.Holds() && !stopped {
			sum = sum.Plus(a.Ask())
		}
	}
	for _, d := range o.plans {
		sum = sum.Plus(d[k].Ask())
	}
	for _, g := range p.Groups {
		for _, n := range g.Nodes {
			if n == k {
				sum = sum.Plus(v.JobByID(p.Namespace, p.Job).Current().Asks[g.Group])
			}
		}
	}
	if c := v.Node(k).Spec.Capacity(); sum.Within(c) {
		rt.Fatalf("node %d refused though %+v fits in %+v", k, sum, c)
	}
}

func TestOverlayGivenOutDoesNotChange(t *testing.T) {
	var o Overlay
	o.Add(1, Delta{7: {CPU: 100, Allocs: 1}})
	use := o.Usage()
	o.Add(2, Delta{7: {CPU: 50, Allocs: 1}})
	o.Remove(1)
	if use(7).CPU != 100 || o.Usage()(7).CPU != 50 {
		t.Fatalf("given out %+v, now %+v", use(7), o.Usage()(7))
	}
}

func TestQueueOrderAndLimit(t *testing.T) {
	var q Queue
	for i, p := range []int{50, 80, 50, 80} {
		q.Push(Submitted{Plan: &command.Plan{Priority: p}, Request: uint64(i)})
	}
	var got []uint64
	for q.Len() > 0 {
		s, _ := q.Pop()
		got = append(got, s.Request)
	}
	if !slices.Equal(got, []uint64{1, 3, 0, 2}) {
		t.Fatalf("order %v", got)
	}
	for range QueueMax {
		q.Push(Submitted{Plan: &command.Plan{}})
	}
	if q.Push(Submitted{Plan: &command.Plan{}}) {
		t.Fatal("the queue has no limit")
	}
}

func BenchmarkVerify1000(b *testing.B) {
	w := newWorld()
	w.job("a")
	p := w.plan("a")
	for range 1000 {
		w.place(p, 0, w.node(1000, 1000, "online"))
	}
	for b.Loop() {
		if v := Verify(w.store.View(), nil, p); !v.Whole() {
			b.Fatal(v.Rejected)
		}
	}
}

// A plan in flight may fail: what it would free is nobody else's yet.
func TestFreedInFlightIsNotGivenToOthers(t *testing.T) {
	w := newWorld()
	w.job("a")
	n := w.node(300, 999, "online")
	first := w.plan("a")
	old := w.place(first, 1, n)[0]
	w.apply(first)
	shrink := w.plan("a")
	w.place(shrink, 0, n)
	shrink.Stops = []command.Stop{{Alloc: old, Desired: state.DesiredStop}}
	v := Verify(w.store.View(), nil, shrink)
	if !v.Whole() {
		t.Fatal(v.Rejected)
	}
	var o Overlay
	o.Add(1, v.Delta)
	other := w.plan("a")
	w.place(other, 0, n)
	if v := Verify(w.store.View(), o.Usage(), other); v.Whole() {
		t.Fatal("room was given away that is not free yet")
	}
}
