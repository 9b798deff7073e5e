package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

// prioritised registers a job as a new version of that priority.
func (w *world) prioritised(name string, priority int) {
	w.job(name)
	w.do(func(x *state.Txn) {
		j := *x.JobByID(fleet.DefaultNamespace, fleet.JobID(name))
		spec := j.Versions[0].Spec.Clone()
		spec.Priority = &priority
		j.Versions = []*state.JobVersion{state.NewJobVersion(j.Key, 0, spec, fleet.CanonicalBytes(spec), 0, w.index)}
		x.PutJob(j, w.index)
	})
}

func (w *world) preempting(on bool) {
	w.do(func(x *state.Txn) {
		x.SetSchedulerConfig(fleet.SchedulerConfiguration{PreemptionConfig: fleet.PreemptionConfig{ServiceSchedulerEnabled: on}}, w.index)
	})
}

func (w *world) change(id fleet.UUID, f func(a *state.Alloc)) {
	w.do(func(x *state.Txn) {
		old := x.AllocByID(id)
		c := *old
		f(&c)
		x.UpdateAlloc(old, c, w.index)
	})
}

// evicting is a full node, and a plan that places a large one where a large one of priority 20 gives way.
func evicting() (w *world, p *command.Plan, n state.NodeKey, victim fleet.UUID) {
	w = newWorld()
	w.preempting(true)
	w.prioritised("low", 20)
	w.prioritised("high", 80)
	n = w.node(300, 999, "online")
	first := w.plan("low")
	victim = w.place(first, 1, n)[0]
	w.apply(first)
	p = w.plan("high")
	p.Evictions = []command.Eviction{{Alloc: victim, By: w.place(p, 1, n)[0]}}
	return w, p, n, victim
}

func TestEvictions(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(w *world, p *command.Plan, victim fleet.UUID)
		want    string // part of the reason; empty: accepted whole
		evicted int
	}{
		"gives way": {func(*world, *command.Plan, fleet.UUID) {}, "", 1},
		"has ended meanwhile": {func(w *world, _ *command.Plan, v fleet.UUID) {
			w.change(v, func(a *state.Alloc) { a.Observed = state.ObservedComplete })
		}, "", 0},
		"gives way already": {func(w *world, _ *command.Plan, v fleet.UUID) {
			w.change(v, func(a *state.Alloc) { a.Desired = state.DesiredEvict })
		}, "", 0},
		"is named twice": {func(_ *world, p *command.Plan, _ fleet.UUID) { p.Evictions = append(p.Evictions, p.Evictions[0]) }, "", 1},
		"is away": {func(w *world, _ *command.Plan, v fleet.UUID) {
			w.change(v, func(a *state.Alloc) { a.Observed = state.ObservedUnknown })
		}, "is of priority 20 and unknown", 0},
		"is near by now": {func(w *world, _ *command.Plan, v fleet.UUID) {
			w.prioritised("low2", 71)
			now := w.store.View().JobByID(fleet.DefaultNamespace, "low2").Current()
			w.change(v, func(a *state.Alloc) { a.Version = now })
		}, "is of priority 71 and pending, and the plan of 80", 0},
		"switched off": {func(w *world, _ *command.Plan, _ fleet.UUID) { w.preempting(false) }, "may not be evicted any more", 0},
		"for nothing":  {func(_ *world, p *command.Plan, _ fleet.UUID) { p.Evictions[0].By = uid(7777) }, "malformed", 0},
		"elsewhere": {func(w *world, p *command.Plan, _ fleet.UUID) {
			p.Groups[0].Nodes[0] = w.node(999, 999, "online")
		}, "on another node", 0},
		"of its own": {func(w *world, p *command.Plan, v fleet.UUID) { p.Job = "low"; p.Version = 0 }, "its own job", 0},
		"the placement has no room all the same": {func(w *world, p *command.Plan, _ fleet.UUID) {
			w.place(p, 0, p.Groups[0].Nodes[0])
		}, "has 300 MHz", 0},
		"the job is gone": {func(w *world, p *command.Plan, _ fleet.UUID) { p.Job = "other" }, "job other is gone", 0},
	} {
		w, p, _, victim := evicting()
		c.change(w, p, victim)
		v := Verify(w.store.View(), nil, p)
		switch {
		case len(v.Accepted.Evictions) != c.evicted:
			t.Errorf("%s: %d evictions are accepted", name, len(v.Accepted.Evictions))
		case c.want == "" && !v.Whole(), c.want != "" && (v.Whole() || !strings.Contains(v.Rejected[0].Reason, c.want) || !v.Empty()):
			t.Errorf("%s: rejected %+v, accepted %+v", name, v.Rejected, v.Accepted)
		}
	}
}

// Two jobs place, replace and evict, what runs ends by itself at any time, plans land in any order or not at all: no node is
// ever given more than it has.
func TestEvictionsNeverOvercommit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		w.preempting(true)
		jobs := []string{"low", "high", "higher"}
		for i, name := range jobs {
			w.prioritised(name, 20+30*i)
		}
		keys := []state.NodeKey{w.node(int64(rapid.IntRange(1, 8).Draw(rt, "cpu"))*100, 999, "online"), w.node(500, 200, "online")}
		var overlay Overlay
		air := map[string]*Verdict{} // one evaluation of a job at a time
		ids := map[string]uint64{}
		for id := range uint64(rapid.IntRange(1, 40).Draw(rt, "steps")) {
			job := rapid.SampledFrom(jobs).Draw(rt, "job")
			live := w.live()
			switch flying := air[job]; {
			case flying != nil && rapid.Bool().Draw(rt, "lands"):
				delete(air, job)
				overlay.Remove(ids[job])
				if rapid.IntRange(0, 3).Draw(rt, "is refused") == 0 {
					continue
				}
				w.apply(&flying.Accepted)
				for _, e := range flying.Accepted.Evictions {
					w.change(e.Alloc, func(a *state.Alloc) { a.Desired = max(a.Desired, state.DesiredEvict) })
				}
				for _, k := range keys {
					u, c := w.store.View().Usage(k), w.store.View().Node(k).Spec.Capacity()
					if u.CPU > c.CPU || u.MemoryMB > c.MemoryMB {
						rt.Fatalf("node %d: %+v of %+v", k, u, c)
					}
				}
			case flying == nil && rapid.IntRange(0, 3).Draw(rt, "plans") > 0:
				v := Verify(w.store.View(), overlay.Usage(), w.drawPlan(rt, job, keys, live))
				overlay.Add(id, v.Delta)
				air[job], ids[job] = &v, id
			case len(live) > 0:
				a := rapid.SampledFrom(live).Draw(rt, "ends")
				w.change(a.ID, func(a *state.Alloc) { a.Observed = state.ObservedComplete })
			}
		}
	})
}

func (w *world) live() (out []*state.Alloc) {
	for a := range w.store.View().Allocs() {
		if a.Holds() {
			out = append(out, a)
		}
	}
	return out
}

// drawPlan places some, for which some of others give way, and replaces one of its own.
func (w *world) drawPlan(rt *rapid.T, job string, keys []state.NodeKey, live []*state.Alloc) *command.Plan {
	p := w.plan(job)
	for g := range uint16(2) {
		w.place(p, g, rapid.SliceOfN(rapid.SampledFrom(keys), 0, 2).Draw(rt, "placements")...)
	}
	own := slices.IndexFunc(live, func(a *state.Alloc) bool { return string(a.Version.Spec.ID) == job })
	if own >= 0 && rapid.Bool().Draw(rt, "replaces") {
		a := live[own]
		w.place(p, a.Group, a.Node)
		p.Groups[2].Prevs = []command.Replaced{{Alloc: a.ID}}
		p.Stops = []command.Stop{{Alloc: a.ID, Desired: state.DesiredStop}}
	}
	for _, a := range live {
		for i := range p.Groups {
			if at := slices.Index(p.Groups[i].Nodes, a.Node); at >= 0 && string(a.Version.Spec.ID) != job && rapid.Bool().Draw(rt, "evicts") {
				p.Evictions = append(p.Evictions, command.Eviction{Alloc: a.ID, By: p.Groups[i].IDs[at]})
				break
			}
		}
	}
	return p
}
