package scheduler

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

func (r *region) why(node string) *fleet.JobExplanation {
	v := r.store.View()
	var only *state.Node
	for n := range v.Nodes() {
		if n.Spec.Name == node {
			only = n
		}
	}
	return Why(Input{View: v, Now: r.now}, v.JobByID("default", "app"), only)
}

func TestWhyNotOneNode(t *testing.T) {
	r := newRegion(t)
	r.node("free", nil)
	r.node("holder", nil)
	r.node("full", func(n *fleet.Node) { n.NodeResources.Memory.MemoryMB = 100 })
	r.node("all-wrong", func(n *fleet.Node) {
		n.Datacenter, n.NodePool, n.Attributes["cpu.arch"] = "dc9", "vans", "arm64"
		n.NodeResources.CPU.CPUShares = 400
		n.Drivers["wasm"] = fleet.DriverInfo{Detected: true, HealthDescription: "no host"}
	})
	r.link("all-wrong", fleet.LinkUnreachable)
	r.job(func(j *fleet.Job) {
		j.Datacenters, j.TaskGroups[0].Count = []string{"dc1"}, fleet.Ptr(1)
		j.Constraints = []fleet.Constraint{{LTarget: "${attr.cpu.arch}", RTarget: "amd64"}, {Operand: fleet.OpDistinctHosts}}
		j.Affinities = []fleet.Affinity{{LTarget: "${node.unique.name}", RTarget: "holder"}}
	})
	r.run(fleet.TriggerJobRegister)
	tests := map[string]struct {
		here, could int
		want        string
	}{
		"free":   {0, 1, ""},
		"holder": {1, 0, "distinct_hosts: each on a node of its own; holder has one already; add 1 node [1 holder]"},
		"full": {0, 0, "memory: asks 256 MiB; the roomiest feasible node full has 100 MiB free of 100; " +
			"ask for at most 100 or add a larger node [1 full]"},
		"all-wrong": {0, 0, `node: a node that is linked and eligible; all-wrong is unreachable; bring the device's link back [1 all-wrong]
node pool: the job wants default; all-wrong is in vans; use node_pool = "vans", or put a node into default (client { node_pool = "default" } on the device) [1 all-wrong]
datacenter: the job wants dc1; all-wrong is in dc9; add "dc9" to datacenters or add a node in dc1 [1 all-wrong]
constraint: ${attr.cpu.arch} = amd64; all-wrong has arm64; accept arm64 or add a node with ${attr.cpu.arch} = amd64 [1 all-wrong]
driver: wasm; all-wrong has it unhealthy; repair the driver on all-wrong: no host [1 all-wrong]
cpu: asks 500 MHz; the roomiest feasible node all-wrong has 400 MHz free of 400; ask for at most 400 or add a larger node [1 all-wrong]`},
	}
	for name, tt := range tests {
		g := r.why(name).Groups[0]
		if got := words(g.Metric); got != tt.want || g.Here != tt.here || g.Could != tt.could || g.Live != 1 || g.Count != 1 {
			t.Errorf("%s: %+v\n%s\nwant\n%s", name, g, got, tt.want)
		}
	}
	whole := r.why("").Groups[0]
	if whole.Could != 1 || len(whole.Metric.Refusals) != 2 || len(whole.Metric.ScoreMetaData) != 1 {
		t.Errorf("of all nodes: %+v", whole)
	}
}

// A job for every node wants one on each that its rules admit.
func TestWhyOfASystemJob(t *testing.T) {
	r := newRegion(t)
	r.nodes(2)
	r.node("arm", func(n *fleet.Node) { n.Attributes["cpu.arch"] = "arm64" })
	r.job(func(j *fleet.Job) {
		j.Type, j.TaskGroups[0].Count = fleet.JobTypeSystem, fleet.Ptr(1)
		constrain("${attr.cpu.arch}", "=", "amd64")(j)
	})
	r.run(fleet.TriggerJobRegister)
	r.node("late", nil)
	g := r.why("").Groups[0]
	want := `type: one on each node, as a job of type system; 2 nodes have one already; add 1 node [2 n0]
constraint: ${attr.cpu.arch} = amd64; 1 node has arm64; accept arm64 or add a node with ${attr.cpu.arch} = amd64 [1 arm]`
	if got := words(g.Metric); got != want || g.Live != 2 || g.Count != 3 || g.Could != 1 {
		t.Errorf("%+v\n%s\nwant\n%s", g, got, want)
	}
}

// A pool without nodes is said, with where they are.
func TestWhyNotInAnEmptyPool(t *testing.T) {
	r := newRegion(t)
	r.nodes(2)
	r.job(func(j *fleet.Job) { j.NodePool = "vans" })
	out := r.run(fleet.TriggerJobRegister)
	want := `node pool: the job wants vans; 2 nodes are in default; use node_pool = "default", ` +
		`or put a node into vans (client { node_pool = "vans" } on the device) [2 n0]`
	if got := words(out.Explain.Groups[0].Metric); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	r.job(func(j *fleet.Job) { j.NodePool = fleet.NodePoolAll })
	r.run(fleet.TriggerJobRegister)
	if n := len(r.live()); n != 3 {
		t.Errorf("%d placed in the pool of all", n)
	}
}

// The algorithm is the pool's, else the region's.
func TestAlgorithms(t *testing.T) {
	r := newRegion(t)
	r.node("big", nil)
	r.node("small", func(n *fleet.Node) { n.NodeResources.CPU.CPUShares, n.NodeResources.Memory.MemoryMB = 1000, 1024 })
	place := func(want string, set func(x *state.Txn, index uint64)) {
		t.Helper()
		r.do(set)
		r.job(func(j *fleet.Job) { j.TaskGroups[0].Count = fleet.Ptr(1); j.NodePool = fleet.NodePoolAll })
		out := Schedule(r.input(r.eval(fleet.TriggerJobRegister)))
		if got := r.store.View().Node(out.Plan.Groups[0].Nodes[0]).Spec.Name; got != want {
			t.Errorf("placed on %s, want %s", got, want)
		}
	}
	place("small", func(*state.Txn, uint64) {})
	place("big", func(x *state.Txn, index uint64) {
		x.SetSchedulerConfig(fleet.SchedulerConfiguration{SchedulerAlgorithm: fleet.AlgorithmSpread}, index)
	})
}

// Why and Schedule agree: what could take another is exactly where one more of a
// larger count goes, and a job that is queued has no such node.
func TestWhyAgreesWithPlacing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRegion(t)
		for i := range rapid.IntRange(1, 5).Draw(rt, "nodes") {
			r.node(fmt.Sprintf("n%d", i), func(n *fleet.Node) {
				n.NodeResources.CPU.CPUShares = int64(rapid.IntRange(0, 4).Draw(rt, "cpu") * 500)
				n.Meta["rack"] = rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "rack")
				n.Attributes["cpu.arch"] = rapid.SampledFrom([]string{"amd64", "arm64"}).Draw(rt, "arch")
			})
		}
		register(rt, r, fleet.JobTypeService)
		out := r.run(fleet.TriggerJobRegister)
		could := r.why("").Groups[0].Could
		if out.Explain.Groups[0].Queued > 0 && could > 0 {
			rt.Fatalf("%d are queued and %d nodes could take one", out.Explain.Groups[0].Queued, could)
		}
		sum := 0
		for n := range r.store.View().Nodes() {
			g := r.why(n.Spec.Name).Groups[0]
			sum += g.Could
			if (g.Could == 0) != (len(g.Metric.Refusals) > 0) {
				rt.Fatalf("%s: could %d, %s", n.Spec.Name, g.Could, words(g.Metric))
			}
			for _, f := range g.Metric.Refusals {
				if f.Wants == "" || f.Has == "" || f.Fix == "" || strings.Contains(f.Has, "1 node ") {
					rt.Fatalf("%s: %+v", n.Spec.Name, f)
				}
			}
		}
		if sum != could {
			rt.Fatalf("%d of all, %d one by one", could, sum)
		}
	})
}
