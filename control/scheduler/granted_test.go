package scheduler

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

func withPorts(count int, ports ...fleet.Port) func(*fleet.Job) {
	return func(j *fleet.Job) {
		j.TaskGroups[0].Count, j.TaskGroups[0].Networks = &count, []fleet.Network{{Ports: ports}}
	}
}

// ports are the numbers that live allocations hold, by node and label.
func ports(r *region) map[string]uint16 {
	out := map[string]uint16{}
	v := r.store.View()
	for n := range v.Nodes() {
		for k, g := range v.Held(n.Key) {
			held, err := g.Unpack()
			if err != nil {
				r.t.Fatal(err)
			}
			for _, p := range held.Ports {
				out[fmt.Sprintf("%s/%s/%d", n.Spec.Name, p.Label, v.Alloc(k).Index)] = p.Number
			}
		}
	}
	return out
}

func TestAStaticPortNeedsANodeEach(t *testing.T) {
	r := newRegion(t)
	r.nodes(2)
	r.job(withPorts(3, fleet.Port{Label: "http", Value: 8080}))
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 2, 0, 0, 0)
	held := ports(r)
	if len(held) != 2 || held["n0/http/0"]+held["n0/http/1"] != 8080 || held["n1/http/0"]+held["n1/http/1"] != 8080 {
		t.Fatalf("held: %v", held)
	}
	m := out.Explain.Groups[0].Metric
	if m.DimensionExhausted["port 8080"] != 2 || m.NodesExhausted != 2 || len(m.Refusals) != 1 {
		t.Fatalf("metric: %+v", m)
	}
	if got := m.Refusals[0].Has; !strings.HasPrefix(got, "port 8080 is held by job app's group web on n") || !strings.HasSuffix(got, "; 2 nodes in all cannot give it") {
		t.Fatalf("has: %q", got)
	}
	wait := r.run(fleet.TriggerNodeUpdate)
	if got := wait.Explain.Groups[0].Metric.Refusals[0].Has; !strings.HasPrefix(got, "port 8080 is held by job app's group web on n") {
		t.Fatalf("has: %q", got)
	}
	r.node("n2", nil)
	more := r.run(fleet.TriggerQueued)
	wantCounts(t, &more.Plan, 1, 0, 0, 0)
}

func TestAReservedPortIsNotGiven(t *testing.T) {
	r := newRegion(t)
	r.node("n0", func(n *fleet.Node) { n.ReservedResources.Networks.ReservedHostPorts = "8000-9000" })
	r.job(withPorts(1, fleet.Port{Label: "http", Value: 8080}))
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 0, 0, 0, 0)
	if got := out.Explain.Groups[0].Metric.Refusals[0].Has; got != "port 8080 is reserved on n0" {
		t.Fatalf("has: %q", got)
	}
}

func TestDynamicPortsDiffer(t *testing.T) {
	r := newRegion(t)
	r.node("n0", func(n *fleet.Node) {
		n.NodeResources.MinDynamicPort, n.NodeResources.MaxDynamicPort = 30000, 30004
	})
	r.job(withPorts(4, fleet.Port{Label: "a"}, fleet.Port{Label: "b"}))
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 2, 0, 0, 0) // five ports are two pairs
	seen := map[uint16]bool{}
	for at, p := range ports(r) {
		if seen[p] || p < 30000 || p > 30004 {
			t.Fatalf("%s: %d", at, p)
		}
		seen[p] = true
	}
	if got := out.Explain.Groups[0].Metric; got.DimensionExhausted["dynamic ports"] != 1 || !strings.Contains(got.Refusals[0].Has, "has 1 free of 30000 to 30004") {
		t.Fatalf("%+v", got)
	}
}

// A new version takes the port of the one that it replaces on its node, and a
// changed port is a new version that replaces.
func TestAnUpdateTakesItsPredecessorsPort(t *testing.T) {
	r := newRegion(t)
	r.nodes(1)
	r.job(withPorts(1, fleet.Port{Label: "http", Value: 8080}))
	r.run(fleet.TriggerJobRegister)
	for _, port := range []int{8080, 9090} {
		r.job(func(j *fleet.Job) {
			withPorts(1, fleet.Port{Label: "http", Value: port})(j)
			j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": "2"}
		})
		out := r.run(fleet.TriggerJobRegister)
		wantCounts(t, &out.Plan, 1, 1, 0, 0)
		if held := ports(r); len(held) != 1 || held["n0/http/0"] != uint16(port) {
			t.Fatalf("held: %v", held)
		}
	}
	again := r.run(fleet.TriggerNodeUpdate)
	wantCounts(t, &again.Plan, 0, 0, 0, 0)
}

// What cannot get the port that its new version wants runs on with its own.
func TestAnUpdateToATakenPortLetsTheOldRun(t *testing.T) {
	r := newRegion(t)
	r.nodes(1)
	r.job(withPorts(1, fleet.Port{Label: "http", Value: 8080}))
	r.run(fleet.TriggerJobRegister)
	r.do(func(x *state.Txn, index uint64) { // somebody else's
		row := &state.Alloc{ID: r.id(), Version: x.JobByID("default", "app").Current(), Node: 1, Index: 9}
		row.Version = state.NewJobVersion(77, 0, row.Version.Spec, row.Version.JSON, 0, index)
		if err := x.InsertAllocs([]*state.Alloc{row}, index); err != nil {
			t.Fatal(err)
		}
		g := wire.Grants{Ports: []wire.GrantedPort{{Label: "x", Number: 9090}}}
		x.Grant(row, g.Pack())
	})
	r.job(withPorts(1, fleet.Port{Label: "http", Value: 9090}))
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 0, 0, 0, 0)
	if held := ports(r); held["n0/http/0"] != 8080 {
		t.Fatalf("held: %v", held)
	}
}

func TestPortsInFlightAreHeld(t *testing.T) {
	r := newRegion(t)
	r.nodes(2)
	r.job(withPorts(2, fleet.Port{Label: "http", Value: 8080}))
	in := r.input(r.eval(fleet.TriggerJobRegister))
	g := wire.Grants{Ports: []wire.GrantedPort{{Label: "x", Number: 8080}}}
	in.InFlight = func(k state.NodeKey) state.Usage {
		if k == 1 {
			return state.Usage{Granted: g.Pack()}
		}
		return state.Usage{}
	}
	out := Schedule(in)
	wantCounts(t, &out.Plan, 1, 0, 0, 0)
	if out.Plan.Groups[0].Nodes[0] != 2 {
		t.Fatal("the port of a plan in flight was given out")
	}
	dump, err := Dump(in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Replay(dump)
	if err != nil || len(again.Plan.Groups) != 1 || again.Plan.Groups[0].Granted[0] != out.Plan.Groups[0].Granted[0] {
		t.Fatalf("the replay gives %+v, %v", again.Plan.Groups, err)
	}
}

func TestAPortOnEveryNode(t *testing.T) {
	r := newRegion(t)
	r.nodes(3)
	r.do(func(x *state.Txn, index uint64) {
		n := *x.Node(2)
		g := wire.Grants{Ports: []wire.GrantedPort{{Label: "x", Number: 53}}}
		n.Orphans = []state.Orphan{{Orphan: wire.Orphan{ID: r.id(), Job: wire.JobKey{ID: "old"}, Group: "g", Granted: g.Pack()}}}
		x.PutNode(n, index)
	})
	everywhere(r, fleet.JobTypeSystem, func(j *fleet.Job) { withPorts(1, fleet.Port{Label: "dns", Value: 53})(j) })
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 2, 0, 0, 0)
	if got := out.Explain.Groups[0].Metric; !strings.HasPrefix(got.Refusals[0].Has, "port 53 is held by orphan ") || got.NodesExhausted != 1 {
		t.Fatalf("%+v", got)
	}
	everywhere(r, fleet.JobTypeSystem, func(j *fleet.Job) {
		withPorts(1, fleet.Port{Label: "dns", Value: 53})(j)
		j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": "2"}
	})
	out = r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 2, 2, 0, 0)
}
