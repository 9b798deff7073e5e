package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

// other registers another job and places it, one after the other, on the named nodes.
func (r *region) other(name string, priority, cpu, memory int, nodes ...string) {
	j := &fleet.Job{ID: fleet.JobID(name), Priority: &priority, TaskGroups: []fleet.TaskGroup{{
		Name: "web", Count: fleet.Ptr(len(nodes)),
		Tasks: []fleet.Task{{Name: "main", Driver: "wasm", Resources: &fleet.Resources{CPU: &cpu, MemoryMB: &memory}}},
	}}}
	fleet.Canonicalize(j)
	r.do(func(x *state.Txn, index uint64) {
		v := state.NewJobVersion(x.NextJobKey(), 0, j, fleet.CanonicalBytes(j), 0, index)
		x.PutJob(state.Job{Namespace: j.Namespace, ID: j.ID, Versions: []*state.JobVersion{v}, JobModifyIndex: index}, index)
		at := map[string]state.NodeKey{}
		for n := range x.Nodes() {
			at[n.Spec.Name] = n.Key
		}
		var rows []*state.Alloc
		for i, name := range nodes {
			rows = append(rows, &state.Alloc{ID: r.id(), Version: v, Node: at[name], Index: uint32(i), Observed: state.ObservedRunning})
		}
		if err := x.InsertAllocs(rows, index); err != nil {
			r.t.Fatal(err)
		}
	})
}

func (r *region) preempting(p fleet.PreemptionConfig) {
	r.do(func(x *state.Txn, index uint64) {
		x.SetSchedulerConfig(fleet.SchedulerConfiguration{PreemptionConfig: p}, index)
	})
}

// evicted lists what a plan evicts, by name.
func evicted(v *state.View, out *Output) (names []string) {
	for _, e := range out.Plan.Evictions {
		a := v.AllocByID(e.Alloc)
		names = append(names, a.Name()+"@"+v.Node(a.Node).Spec.Name)
	}
	slices.Sort(names)
	return names
}

var serviceMay = fleet.PreemptionConfig{ServiceSchedulerEnabled: true}

func TestGiveWay(t *testing.T) {
	important := func(j *fleet.Job) { j.Priority = fleet.Ptr(80) } // three of 500 MHz and 256 MiB
	for name, c := range map[string]struct {
		others  func(r *region)
		job     func(j *fleet.Job)
		may     fleet.PreemptionConfig
		placed  int
		evicted string
	}{
		"room elsewhere": {func(r *region) { r.other("low", 20, 4000, 100, "n0") }, important, serviceMay, 3, ""},
		"switched off":   {func(r *region) { r.other("low", 20, 4000, 100, "n0", "n1") }, important, fleet.PreemptionConfig{BatchSchedulerEnabled: true}, 0, ""},
		// What gave way once is room for the next: one gives way for all three.
		"once for three": {func(r *region) { r.other("low", 20, 4000, 100, "n0", "n1") }, important, serviceMay, 3, "low.web[0]@n0"},
		"the lowest anywhere": {func(r *region) {
			r.other("low", 30, 4000, 100, "n0")
			r.other("lower", 20, 4000, 100, "n1")
		}, important, serviceMay, 3, "lower.web[0]@n1"},
		"near is not lower": {func(r *region) { r.other("near", 71, 4000, 100, "n0", "n1") }, important, serviceMay, 0, ""},
		"lower by ten":      {func(r *region) { r.other("low", 70, 4000, 100, "n0", "n1") }, important, serviceMay, 3, "low.web[0]@n0"},
		"as far as it goes": {func(r *region) {
			r.other("low", 20, 600, 100, "n0")
			r.other("near", 75, 3400, 100, "n0")
			r.other("same", 80, 4000, 100, "n1")
		}, important, serviceMay, 1, "low.web[0]@n0"},
		"no more than one goes at a time, if it can be helped": {func(r *region) {
			r.other("pair", 20, 2000, 100, "n0", "n0")
			r.other("single", 20, 4000, 100, "n1")
		}, func(j *fleet.Job) {
			j.Priority, j.TaskGroups[0].Count = fleet.Ptr(80), fleet.Ptr(1)
			j.TaskGroups[0].Tasks[0].Resources.CPU = fleet.Ptr(3000)
		}, serviceMay, 1, "single.web[0]@n1"},
		"rules come first": {func(r *region) { r.other("low", 20, 4000, 100, "n0", "n1") }, func(j *fleet.Job) {
			j.Priority = fleet.Ptr(80)
			j.Constraints = []fleet.Constraint{{Operand: fleet.OpDistinctHosts}, {LTarget: "${node.unique.name}", RTarget: "n1"}}
		}, serviceMay, 1, "low.web[1]@n1"},
		"batch": {func(r *region) { r.other("low", 20, 4000, 100, "n0", "n1") }, func(j *fleet.Job) {
			j.Priority, j.Type = fleet.Ptr(80), fleet.JobTypeBatch
		}, fleet.PreemptionConfig{BatchSchedulerEnabled: true}, 3, "low.web[0]@n0"},
		"system, on each full node": {func(r *region) {
			r.other("low", 20, 4000, 100, "n0")
			r.other("near", 75, 4000, 100, "n1")
		}, func(j *fleet.Job) {
			j.Priority, j.Type, j.TaskGroups[0].Count, j.TaskGroups[0].ReschedulePolicy = fleet.Ptr(80), fleet.JobTypeSystem, fleet.Ptr(1), nil
		}, fleet.DefaultSchedulerConfiguration().PreemptionConfig, 1, "low.web[0]@n0"},
	} {
		r := newRegion(t)
		r.nodes(2)
		r.preempting(c.may)
		c.others(r)
		r.job(c.job)
		out := r.run(fleet.TriggerJobRegister)
		placed, _, _, _ := counts(&out.Plan)
		if got := strings.Join(evicted(r.store.View(), &out), " "); placed != c.placed || got != c.evicted {
			t.Errorf("%s: placed %d, evicted %q; want %d and %q", name, placed, got, c.placed, c.evicted)
		}
	}
}

// What is away or ending is left alone, whatever its priority.
func TestWhoNeedNotGiveWay(t *testing.T) {
	for name, change := range map[string]func(a *state.Alloc){
		"away":   func(a *state.Alloc) { a.Observed = state.ObservedUnknown },
		"ending": func(a *state.Alloc) { a.Desired = state.DesiredStop },
		"ended":  func(a *state.Alloc) { a.Observed = state.ObservedFailed },
	} {
		r := newRegion(t)
		r.nodes(1)
		r.preempting(serviceMay)
		r.other("low", 20, 3000, 100, "n0")
		r.other("near", 75, 1000, 100, "n0")
		r.do(func(x *state.Txn, index uint64) {
			for a := range x.AllocsByJob(x.JobByID("default", "low").Key) {
				c := *a
				change(&c)
				x.UpdateAlloc(a, c, index)
			}
		})
		r.job(func(j *fleet.Job) { j.Priority = fleet.Ptr(80) })
		if out := r.run(fleet.TriggerJobRegister); len(out.Plan.Evictions) > 0 {
			t.Errorf("%s: %v gives way", name, evicted(r.store.View(), &out))
		}
	}
}

func TestWhyPreemption(t *testing.T) {
	r := newRegion(t)
	r.nodes(2)
	r.other("low", 20, 4000, 100, "n0")
	r.other("near", 75, 4000, 100, "n1")
	r.job(func(j *fleet.Job) { j.Priority, j.TaskGroups[0].Count = fleet.Ptr(80), fleet.Ptr(1) })
	want := "preemption: priority 80; on n0 others of priority 70 or less could give way, but jobs of type service may not preempt; " +
		"dunlin operator scheduler set-config -preempt-service-scheduler=true [1 n0]"
	out := Schedule(r.input(r.eval(fleet.TriggerJobRegister)))
	if got := words(out.Explain.Groups[0].Metric); !strings.Contains(got, want) {
		t.Errorf("evaluation: %s", got)
	}
	if got := words(r.why("n0").Groups[0].Metric); !strings.Contains(got, want) {
		t.Errorf("n0: %s", got)
	}
	if got := words(r.why("n1").Groups[0].Metric); strings.Contains(got, "preemption") {
		t.Errorf("n1: %s", got)
	}
	r.preempting(serviceMay)
	if g := r.why("n0").Groups[0]; g.WouldPreempt != 1 || g.Could != 0 || len(g.Preempts) != 1 || g.Preempts[0].Name != "low.web[0]" || g.Preempts[0].Priority != 20 {
		t.Errorf("%+v", g)
	}
	if g := r.why("").Groups[0]; g.WouldPreempt != 1 || g.Could != 0 {
		t.Errorf("%+v", g)
	}
	if g := r.why("n1").Groups[0]; g.WouldPreempt != 0 || len(g.Preempts) != 0 {
		t.Errorf("%+v", g)
	}
}

// On regions drawn at random: what is evicted may be, and only when nobody has room; nothing is given more than it has; what is
// left over could not be placed by evicting anything; scheduling again changes nothing.
func TestGiveWayIsSound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRegion(t)
		typ := rapid.SampledFrom([]string{fleet.JobTypeService, fleet.JobTypeBatch, fleet.JobTypeSystem}).Draw(rt, "type")
		r.preempting(fleet.PreemptionConfig{ServiceSchedulerEnabled: true, BatchSchedulerEnabled: true, SystemSchedulerEnabled: true})
		for i := range rapid.IntRange(1, 4).Draw(rt, "nodes") {
			name := fmt.Sprintf("n%d", i)
			r.node(name, func(n *fleet.Node) { n.Meta["rack"] = rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "rack") })
			left := 4000
			for k := range rapid.IntRange(0, 4).Draw(rt, "others") {
				cpu := min(left, 500*rapid.IntRange(1, 5).Draw(rt, "cpu"))
				if left -= cpu; cpu > 0 {
					r.other(fmt.Sprintf("o%d-%d", i, k), 10*rapid.IntRange(1, 9).Draw(rt, "priority"), cpu, 300, name)
				}
			}
		}
		priority, distinct := 10*rapid.IntRange(3, 9).Draw(rt, "priority"), rapid.Bool().Draw(rt, "distinct")
		r.job(func(j *fleet.Job) {
			j.Type, j.Priority, j.TaskGroups[0].Count = typ, &priority, fleet.Ptr(rapid.IntRange(1, 5).Draw(rt, "count"))
			if typ == fleet.JobTypeSystem {
				j.TaskGroups[0].Count, j.TaskGroups[0].ReschedulePolicy = fleet.Ptr(1), nil
			}
			j.TaskGroups[0].Tasks[0].Resources.CPU = fleet.Ptr(500 * rapid.IntRange(1, 5).Draw(rt, "asks"))
			if distinct {
				j.TaskGroups[0].Constraints = []fleet.Constraint{{Operand: fleet.OpDistinctHosts}}
			}
		})
		before := r.store.View()
		out := r.run(fleet.TriggerJobRegister)
		ask := before.JobByID("default", "app").Current().Asks[0]
		placed, _, _, _ := counts(&out.Plan)
		checkEvictions(rt, before, &out, priority, ask, placed)
		for n := range r.store.View().Nodes() {
			u, whole := r.store.View().Usage(n.Key).Ask(), n.Spec.Capacity()
			if !u.Within(whole) {
				rt.Fatalf("%s: %+v of %+v", n.Spec.Name, u, whole)
			}
		}
		if out.Explain.Groups[0].Queued > 0 {
			checkNoneLeft(rt, r.store.View(), priority, ask, distinct || typ == fleet.JobTypeSystem)
		}
		again := r.run(fleet.TriggerNodeUpdate)
		if p, s, u, _ := counts(&again.Plan); p+s+u+len(again.Plan.Evictions) > 0 {
			rt.Fatalf("the second run placed %d and evicted %d", p, len(again.Plan.Evictions))
		}
	})
}

func checkEvictions(rt *rapid.T, before *state.View, out *Output, priority int, ask fleet.Ask, placed int) {
	at := map[fleet.UUID]state.NodeKey{}
	for _, g := range out.Plan.Groups {
		for i, id := range g.IDs {
			at[id] = g.Nodes[i]
		}
	}
	freed := map[state.NodeKey]fleet.Ask{}
	for _, e := range out.Plan.Evictions {
		a := before.AllocByID(e.Alloc)
		if a.Priority() > priority-fleet.PreemptionGap || !a.Holds() || at[e.By] != a.Node {
			rt.Fatalf("evicts %s of priority %d for one of %d", a.Name(), a.Priority(), priority)
		}
		freed[a.Node] = freed[a.Node].Plus(a.Ask())
	}
	if placed == 1 { // nobody could be left out, and no node had room
		for n := range before.Nodes() {
			free := n.Spec.Capacity().Minus(before.Usage(n.Key).Ask())
			if len(out.Plan.Evictions) > 0 && before.JobByID("default", "app").Current().Spec.Type != fleet.JobTypeSystem && ask.Within(free) {
				rt.Fatalf("evicts, and %s has room", n.Spec.Name)
			}
			for _, e := range out.Plan.Evictions {
				if a := before.AllocByID(e.Alloc); a.Node == n.Key && ask.Within(free.Plus(freed[n.Key]).Minus(a.Ask())) {
					rt.Fatalf("%s need not have gone", a.Name())
				}
			}
		}
	}
}

// checkNoneLeft: on no node would one more fit if all that may give way did.
func checkNoneLeft(rt *rapid.T, v *state.View, priority int, ask fleet.Ask, distinct bool) {
	for n := range v.Nodes() {
		free, here := n.Spec.Capacity().Minus(v.Usage(n.Key).Ask()), false
		for a := range v.AllocsByNode(n.Key) {
			if a.Version.Spec.ID == "app" {
				here = here || a.Holds()
			} else if a.Holds() && a.Priority() <= priority-fleet.PreemptionGap {
				free = free.Plus(a.Ask())
			}
		}
		if ask.Within(free) && !(distinct && here) {
			rt.Fatalf("some are queued, and %s could be made to have room", n.Spec.Name)
		}
	}
}

// BenchmarkGiveWay is a job on a region that is full of others: what no node with room costs.
func BenchmarkGiveWay(b *testing.B) {
	for _, nodes := range []int{1000, 5000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			r := newRegion(b)
			r.nodes(nodes)
			r.preempting(serviceMay)
			var each []string
			for i := range nodes {
				for range 8 {
					each = append(each, fmt.Sprintf("n%d", i))
				}
			}
			r.other("low", 20, 500, 300, each...)
			r.job(func(j *fleet.Job) { j.Priority, j.TaskGroups[0].Count = fleet.Ptr(80), fleet.Ptr(300) })
			in := r.input(r.eval(fleet.TriggerJobRegister))
			for b.Loop() {
				in.Seed[0]++
				if got := len(Schedule(in).Plan.Evictions); got != 300 {
					b.Fatalf("evicted %d", got)
				}
			}
			b.ReportMetric(300*float64(b.N)/b.Elapsed().Seconds(), "placements/s")
		})
	}
}
