package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"pgregory.net/rapid"
)

// portJob registers a job of one group with one dynamic port.
func (w *world) portJob(name string) {
	spec := &fleet.Job{ID: fleet.JobID(name), TaskGroups: []fleet.TaskGroup{{
		Name: "g", Networks: []fleet.Network{{Ports: []fleet.Port{{Label: "p"}}}},
		Tasks: []fleet.Task{{Name: "t", Driver: "wasm", Resources: &fleet.Resources{CPU: fleet.Ptr(1), MemoryMB: fleet.Ptr(1)}}},
	}}}
	fleet.Canonicalize(spec)
	w.do(func(x *state.Txn) {
		v := state.NewJobVersion(x.NextJobKey(), 0, spec, fleet.CanonicalBytes(spec), 0, w.index)
		x.PutJob(state.Job{Namespace: spec.Namespace, ID: spec.ID, Versions: []*state.JobVersion{v}}, w.index)
	})
}

func port(number uint16) wire.Granted {
	g := wire.Grants{Ports: []wire.GrantedPort{{Label: "p", Number: number}}}
	return g.Pack()
}

// grant gives the placements of a plan's last group ports.
func grantTo(p *command.Plan, numbers ...uint16) *command.Plan {
	g := &p.Groups[len(p.Groups)-1]
	g.Granted = nil
	for _, n := range numbers {
		g.Granted = append(g.Granted, port(n))
	}
	return p
}

// commit applies what was accepted, ports included.
func (w *world) commit(p *command.Plan) {
	w.apply(p)
	w.do(func(x *state.Txn) {
		for _, g := range p.Groups {
			for i, packed := range g.Granted {
				x.Grant(x.AllocByID(g.IDs[i]), packed)
			}
		}
	})
}

func TestPortsAreChecked(t *testing.T) {
	w := newWorld()
	w.portJob("a")
	n1, n2 := w.node(100, 100, "online"), w.node(100, 100, "online")
	first := w.plan("a")
	old := w.place(first, 0, n1)[0]
	w.commit(grantTo(first, 8080))

	for want, numbers := range map[string][]uint16{
		"":                              {8081, 8080},
		"port 8080 is held on node":     {8080, 8080},
		"it holds 0 ports and asks for": {},
		"the plan is malformed":         {8080},
	} {
		p := w.plan("a")
		w.place(p, 0, n1, n2)
		v := Verify(w.store.View(), nil, grantTo(p, numbers...))
		if want == "" && !v.Whole() || want != "" && (len(v.Rejected) == 0 || !strings.Contains(v.Rejected[0].Reason, want)) {
			t.Errorf("%v: %+v, want %q", numbers, v.Rejected, want)
		}
		if want == "port 8080 is held on node" && (len(v.Accepted.Groups) != 1 || !slices.Equal(v.Accepted.Groups[0].Granted, []wire.Granted{port(8080)})) {
			t.Errorf("the other node's placement is not left: %+v", v.Accepted.Groups)
		}
	}
	twice := w.plan("a")
	w.place(twice, 0, n2, n2)
	if v := Verify(w.store.View(), nil, grantTo(twice, 9, 9)); v.Whole() {
		t.Error("one port was given to two of the same plan")
	}
	replace := w.plan("a")
	w.place(replace, 0, n1)
	replace.Stops = []command.Stop{{Alloc: old, Desired: state.DesiredStop}}
	v := Verify(w.store.View(), nil, grantTo(replace, 8080))
	if !v.Whole() || v.Delta[n1].Granted != port(8080) {
		t.Errorf("the port of the one it replaces: %+v, delta %+v", v.Rejected, v.Delta)
	}
	var o Overlay
	o.Add(1, v.Delta)
	o.Add(2, Delta{n1: {CPU: 1, Granted: port(7)}})
	o.Remove(1)
	if got := o.Usage()(n1); got != (state.Usage{CPU: 1, Granted: port(7)}) {
		t.Errorf("what is left in flight: %+v", got)
	}
}

// Any plans with any ports, verified one on top of the other and committed in any
// order or not at all, give no port of a node to two that hold it; and a refusal has
// a holder that a naive reader finds.
func TestNoPortIsHeldTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		w.portJob("a")
		keys := []state.NodeKey{w.node(1000, 1000, "online"), w.node(1000, 1000, "online")}
		var overlay Overlay
		var air []landing
		var placed []fleet.UUID
		stopping := map[fleet.UUID]bool{}
		for id := range uint64(rapid.IntRange(1, 30).Draw(rt, "steps")) {
			if len(air) > 0 && rapid.Bool().Draw(rt, "land") {
				i := rapid.IntRange(0, len(air)-1).Draw(rt, "which")
				f := air[i]
				air = slices.Delete(air, i, i+1)
				overlay.Remove(f.id)
				if rapid.IntRange(0, 3).Draw(rt, "fails") > 0 {
					w.commit(&f.v.Accepted)
					for _, g := range f.v.Accepted.Groups {
						placed = append(placed, g.IDs...)
					}
				}
				onePerPort(rt, w, keys)
				continue
			}
			p := w.plan("a")
			nodes := rapid.SliceOfN(rapid.SampledFrom(keys), 1, 3).Draw(rt, "nodes")
			w.place(p, 0, nodes...)
			grantTo(p, rapid.SliceOfN(rapid.Uint16Range(1, 4), len(nodes), len(nodes)).Draw(rt, "ports")...)
			if len(placed) > 0 && rapid.Bool().Draw(rt, "stop") {
				if s := rapid.SampledFrom(placed).Draw(rt, "stopped"); !stopping[s] {
					stopping[s] = true
					p.Stops = []command.Stop{{Alloc: s, Desired: state.DesiredStop}}
				}
			}
			v := Verify(w.store.View(), overlay.Usage(), p)
			for _, r := range v.Rejected {
				reallyHeld(rt, w, air, p, r.Node)
			}
			overlay.Add(id, v.Delta)
			air = append(air, landing{id, v})
		}
	})
}

type landing struct {
	id uint64
	v  Verdict
}

func onePerPort(rt *rapid.T, w *world, keys []state.NodeKey) {
	v := w.store.View()
	for _, k := range keys {
		seen := map[wire.Granted]bool{}
		for _, g := range v.Held(k) {
			if seen[g] {
				rt.Fatalf("a port of node %d is held twice", k)
			}
			seen[g] = true
		}
	}
}

func reallyHeld(rt *rapid.T, w *world, air []landing, p *command.Plan, k state.NodeKey) {
	want, seen := map[wire.Granted]int{}, fmt.Sprint(k)
	for i, n := range p.Groups[0].Nodes {
		if n == k {
			want[p.Groups[0].Granted[i]]++
		}
	}
	v := w.store.View()
	for key, g := range v.Held(k) {
		if !slices.ContainsFunc(p.Stops, func(s command.Stop) bool { return s.Alloc == v.Alloc(key).ID }) && want[g] > 0 {
			return
		}
	}
	for _, f := range air {
		for _, g := range f.v.Accepted.Groups {
			for i, n := range g.Nodes {
				if n == k && want[g.Granted[i]] > 0 {
					return
				}
			}
		}
	}
	for _, n := range want {
		if n > 1 {
			return
		}
	}
	rt.Fatalf("node %s is refused though nobody holds what is wanted: %v", seen, want)
}
