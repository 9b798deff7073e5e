package scheduler

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/scheduler/reconcile"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

// everywhere registers the job "app" as one of that type.
func everywhere(r *region, typ string, f func(j *fleet.Job)) {
	r.job(func(j *fleet.Job) {
		j.Type, j.TaskGroups[0].Count, j.TaskGroups[0].ReschedulePolicy = typ, fleet.Ptr(1), nil
		if f != nil {
			f(j)
		}
	})
}

// on lists by node the states of what is wanted there.
func on(r *region) map[string][]state.Observed {
	out := map[string][]state.Observed{}
	v := r.store.View()
	for a := range v.Allocs() {
		if a.Desired == state.DesiredRun {
			name := v.Node(a.Node).Spec.Name
			out[name] = append(out[name], a.Observed)
		}
	}
	return out
}

func (r *region) report(node string, o state.Observed) {
	r.do(func(x *state.Txn, index uint64) {
		for a := range r.store.View().Allocs() {
			if a.Holds() && x.Node(a.Node).Spec.Name == node {
				c := *a
				c.Observed = o
				x.UpdateAlloc(a, c, index)
			}
		}
	})
}

func TestOneOnEachFeasibleNode(t *testing.T) {
	r := newRegion(t)
	r.nodes(3)
	r.node("arm", func(n *fleet.Node) { n.Attributes["cpu.arch"] = "arm64" })
	r.node("small", func(n *fleet.Node) { n.NodeResources.Memory.MemoryMB = 100 })
	everywhere(r, fleet.JobTypeSystem, func(j *fleet.Job) {
		j.Constraints = []fleet.Constraint{{LTarget: "${attr.cpu.arch}", RTarget: "amd64"}}
	})
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 3, 0, 0, 0)
	g := out.Explain.Groups[0]
	if g.Queued != 1 || g.Metric.NodesExhausted != 1 || g.Metric.DimensionExhausted["memory"] != 1 || g.Metric.NodesFiltered != 1 {
		t.Fatalf("%+v %+v", g, g.Metric)
	}
	last := g.Metric.Refusals[len(g.Metric.Refusals)-1]
	if last.Node != "small" || !strings.Contains(last.Has, "has 100 MiB free of 100") {
		t.Fatalf("%+v", last)
	}
	if e := out.Plan.Evals; e[0].Status != fleet.EvalComplete || e[1].Status != fleet.EvalBlocked {
		t.Fatalf("%+v", e)
	}
	for a := range r.store.View().Allocs() {
		if a.Name() != "app.web[0]" {
			t.Fatalf("its name is %s", a.Name())
		}
	}
}

func TestFilteredNodesAreNoFailure(t *testing.T) {
	r := newRegion(t)
	r.node("arm", func(n *fleet.Node) { n.Attributes["cpu.arch"] = "arm64" })
	everywhere(r, fleet.JobTypeSystem, func(j *fleet.Job) {
		j.Constraints = []fleet.Constraint{{LTarget: "${attr.cpu.arch}", RTarget: "amd64"}}
	})
	out := r.run(fleet.TriggerJobRegister)
	if e := out.Plan.Evals; len(e) != 1 || e[0].Status != fleet.EvalComplete {
		t.Fatalf("%+v", e)
	}
}

func TestLostIsKeptForItsReturn(t *testing.T) {
	r := newRegion(t)
	r.nodes(2)
	everywhere(r, fleet.JobTypeSystem, nil)
	r.run(fleet.TriggerJobRegister)
	r.report("n0", state.ObservedRunning)
	r.link("n0", fleet.LinkLost)
	out := r.run(fleet.TriggerNodeUpdate)
	if s := out.Plan.Stops; len(s) != 1 || s[0].Desired != state.DesiredRun || !s[0].Lost || len(out.Plan.Groups) != 0 {
		t.Fatalf("%+v", out.Plan)
	}
	r.do(func(x *state.Txn, index uint64) {
		a := x.AllocByID(out.Plan.Stops[0].Alloc)
		c := *a
		c.Observed = state.ObservedUnknown // as the plan command has it
		x.UpdateAlloc(a, c, index)
	})
	out = r.run(fleet.TriggerNodeUpdate)
	wantCounts(t, &out.Plan, 0, 0, 0, 0)
	r.link("n0", fleet.LinkOnline)
	out = r.run(fleet.TriggerReconnect)
	wantCounts(t, &out.Plan, 0, 0, 0, 0)
	if out.Explain.Groups[0].Keep != 2 {
		t.Fatalf("%+v", out.Explain)
	}
}

func TestOncePerNodeToCompletion(t *testing.T) {
	r := newRegion(t)
	r.nodes(2)
	everywhere(r, fleet.JobTypeSysBatch, nil)
	r.run(fleet.TriggerJobRegister)
	r.report("n0", state.ObservedComplete)
	r.report("n1", state.ObservedFailed)
	out := r.run(fleet.TriggerAllocFailure)
	wantCounts(t, &out.Plan, 0, 0, 0, 0)
	if g := out.Explain.Groups[0]; g.Done != 1 || g.Spent != 1 {
		t.Fatalf("%+v", g)
	}
	r.node("late", nil)
	out = r.run(fleet.TriggerNodeUpdate)
	wantCounts(t, &out.Plan, 1, 0, 0, 0)
	everywhere(r, fleet.JobTypeSysBatch, func(j *fleet.Job) { j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": "2"} })
	out = r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 3, 1, 0, 0)
}

func TestNewVersionOfAJobForEveryNode(t *testing.T) {
	r := newRegion(t)
	r.nodes(3)
	everywhere(r, fleet.JobTypeSystem, nil)
	r.run(fleet.TriggerJobRegister)
	r.link("n2", fleet.LinkUnreachable)
	everywhere(r, fleet.JobTypeSystem, func(j *fleet.Job) { j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": "2"} })
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 2, 2, 0, 0)
	for i, id := range out.Plan.Groups[0].Prevs {
		if r.store.View().AllocByID(id.Alloc).Node != out.Plan.Groups[0].Nodes[i] {
			t.Fatal("a successor is on another node")
		}
	}
	r.link("n2", fleet.LinkOnline)
	out = r.run(fleet.TriggerNodeUpdate)
	wantCounts(t, &out.Plan, 1, 1, 0, 0)
	everywhere(r, fleet.JobTypeSystem, func(j *fleet.Job) { j.TaskGroups[0].Count = fleet.Ptr(0) })
	out = r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 0, 3, 0, 0)
}

// A successor that asks for more than its node has leaves the old one running.
func TestNoRoomForTheNewVersion(t *testing.T) {
	r := newRegion(t)
	r.nodes(1)
	everywhere(r, fleet.JobTypeSystem, nil)
	r.run(fleet.TriggerJobRegister)
	everywhere(r, fleet.JobTypeSystem, func(j *fleet.Job) { j.TaskGroups[0].Tasks[0].Resources.MemoryMB = fleet.Ptr(5000) })
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 0, 0, 0, 0)
	if out.Explain.Groups[0].Queued != 1 || len(on(r)["n0"]) != 1 {
		t.Fatalf("%+v", out.Explain.Groups[0])
	}
}

// A scheduler of one's own is one entry in the registry that is passed in.
func TestOwnScheduler(t *testing.T) {
	r := newRegion(t)
	r.nodes(3)
	r.job(func(j *fleet.Job) { j.Type = "first-two" })
	in := r.input(r.eval(fleet.TriggerJobRegister))
	in.Strategies = Builtin().With("first-two", func(in reconcile.Input) reconcile.Result {
		g := reconcile.Group{Spec: &in.Job.Current().Spec.TaskGroups[0], Pinned: true}
		for n := range in.Field.Nodes {
			if len(g.Place) < 2 {
				g.Place = append(g.Place, reconcile.Place{Index: uint32(len(g.Place)), Node: n.Key})
			}
		}
		return reconcile.Result{Groups: []reconcile.Group{g}}
	})
	out := Schedule(in)
	wantCounts(t, &out.Plan, 2, 0, 0, 0)
	if _, known := Builtin()["first-two"]; known {
		t.Fatal("a registration of one caller is seen by another")
	}
}

// Whatever happens: at most one of a group on a node, exactly one where the rules
// and the room let it, and what runs and is wanted is not touched.
func TestPerNodePlansAreSound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRegion(t)
		typ := rapid.SampledFrom([]string{fleet.JobTypeSystem, fleet.JobTypeSysBatch}).Draw(rt, "type")
		add := func() {
			r.node(fmt.Sprintf("n%d", r.store.View().NodeCount()), func(n *fleet.Node) {
				n.NodeResources.Memory.MemoryMB = int64(rapid.IntRange(0, 4).Draw(rt, "memory") * 256)
				n.Attributes["cpu.arch"] = rapid.SampledFrom([]string{"amd64", "arm64"}).Draw(rt, "arch")
			})
		}
		register := func() {
			arch, memory := rapid.SampledFrom([]string{"", "amd64"}).Draw(rt, "wants"), rapid.IntRange(1, 3).Draw(rt, "asks")*200
			everywhere(r, typ, func(j *fleet.Job) {
				j.TaskGroups[0].Tasks[0].Resources.MemoryMB = &memory
				if arch != "" {
					j.Constraints = []fleet.Constraint{{LTarget: "${attr.cpu.arch}", RTarget: arch}}
				}
			})
		}
		add()
		register()
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			node := fmt.Sprintf("n%d", rapid.IntRange(0, 4).Draw(rt, "node"))
			switch rapid.IntRange(0, 3).Draw(rt, "event") {
			case 0:
				add()
			case 1:
				register()
			case 2:
				r.link(node, rapid.SampledFrom([]fleet.LinkState{fleet.LinkOnline, fleet.LinkUnreachable, fleet.LinkLost}).Draw(rt, "link"))
			case 3:
				r.report(node, rapid.SampledFrom([]state.Observed{state.ObservedRunning, state.ObservedComplete, state.ObservedFailed}).Draw(rt, "observed"))
			}
			before := r.store.View()
			out := r.run(fleet.TriggerNodeUpdate)
			checkPerNode(rt, before, r.store.View(), &out)
		}
	})
}

func checkPerNode(rt *rapid.T, before, after *state.View, out *Output) {
	job := after.JobByID("default", "app").Current()
	arch := ""
	for _, c := range job.Spec.Constraints {
		arch = c.RTarget
	}
	meets := func(n *state.Node) bool { return arch == "" || n.Spec.Attributes["cpu.arch"] == arch }
	for _, s := range out.Plan.Stops {
		a := before.AllocByID(s.Alloc)
		if n := before.Node(a.Node); s.Desired != state.DesiredRun && a.Version == job {
			rt.Fatalf("stopped %s on %s (%s), which is wanted: %s", a.ID, n.Spec.Name, n.Link, s.Reason)
		}
	}
	waits := 0
	for n := range after.Nodes() {
		live, ended := 0, 0
		for a := range after.AllocsByNode(n.Key) {
			switch {
			case a.Holds():
				live++
			case a.Desired == state.DesiredRun && a.Ask() == job.Asks[0]: // else it is a new version that starts over
				ended++
			}
			if a.Holds() && !meets(n) && n.Link == fleet.LinkOnline {
				rt.Fatalf("%s runs against the rules on %s", a.ID, n.Spec.Name)
			}
		}
		u, whole, ask := after.Usage(n.Key), n.Spec.Capacity(), job.Asks[0]
		if live > 1 || u.MemoryMB > whole.MemoryMB {
			rt.Fatalf("%s has %d and %+v of %+v", n.Spec.Name, live, u, whole)
		}
		fits := u.MemoryMB+ask.MemoryMB <= whole.MemoryMB
		switch {
		case !n.Ready() || !meets(n) || live+ended > 0:
		case fits:
			rt.Fatalf("%s could have one and has none", n.Spec.Name)
		default:
			waits++
		}
	}
	if q := out.Explain.Groups[0].Queued; q < waits {
		rt.Fatalf("%d wait for room, and %d are said to", waits, q)
	}
}
