package scheduler

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

func words(m *fleet.AllocMetric) string {
	var lines []string
	for _, r := range m.Refusals {
		lines = append(lines, fmt.Sprintf("%s: %s; %s; %s [%d %s]", r.Rule, r.Wants, r.Has, r.Fix, r.Nodes, r.Node))
	}
	return strings.Join(lines, "\n")
}

func constrain(l, op, right string) func(*fleet.Job) {
	return func(j *fleet.Job) {
		j.Constraints = []fleet.Constraint{{LTarget: l, Operand: op, RTarget: right}}
	}
}

func TestRefusalsInWords(t *testing.T) {
	three := func(r *region) { r.nodes(3) }
	tests := []struct {
		name  string
		fleet func(r *region)
		job   func(j *fleet.Job)
		want  string
	}{
		{"empty region", func(*region) {}, nil, `region: a node; no node is in the region yet; run dunlin node invite [0 ]`},
		{"memory, room taken", func(r *region) {
			r.node("kiosk-7", func(n *fleet.Node) {
				n.NodeResources.Memory.MemoryMB, n.ReservedResources.Memory.MemoryMB = 2000, 100
			})
		}, func(j *fleet.Job) { j.TaskGroups[0].Tasks[0].Resources.MemoryMB = fleet.Ptr(1000) },
			`memory: asks 1000 MiB; the roomiest feasible node kiosk-7 has 900 MiB free of 1900; ask for at most 900 or stop something there [1 kiosk-7]`},
		{"memory, too large", three, func(j *fleet.Job) { j.TaskGroups[0].Tasks[0].Resources.MemoryMB = fleet.Ptr(8000) },
			`memory: asks 8000 MiB; the roomiest feasible node n0 has 4096 MiB free of 4096; ask for at most 4096 or add a larger node [3 n0]`},
		{"disk, room taken", func(r *region) {
			r.node("tiny", func(n *fleet.Node) { n.NodeResources.Disk.DiskMB, n.ReservedResources.Disk.DiskMB = 900, 100 })
		}, func(j *fleet.Job) { j.TaskGroups[0].EphemeralDisk = &fleet.EphemeralDisk{SizeMB: fleet.Ptr(300)} },
			`disk: asks 300 MiB of disk; the roomiest feasible node tiny has 200 MiB of disk free of 800; ask for at most 200 or stop something there [1 tiny]`},
		{"cpu full", func(r *region) { r.nodes(1) }, func(j *fleet.Job) { j.TaskGroups[0].Tasks[0].Resources.CPU = fleet.Ptr(4000) },
			`cpu: asks 4000 MHz; the roomiest feasible node n0 has 0 MHz free of 4000; stop something there or add a node [1 n0]`},
		{"equality", three, constrain("${attr.cpu.arch}", "=", "arm64"),
			`constraint: ${attr.cpu.arch} = arm64; 3 nodes have amd64; accept amd64 or add a node with ${attr.cpu.arch} = arm64 [3 n0]`},
		{"order", func(r *region) {
			r.node("a", func(n *fleet.Node) { n.Attributes["cores"] = "9" })
			r.node("b", func(n *fleet.Node) { n.Attributes["cores"] = "10" })
		}, constrain("${attr.cores}", ">=", "16"),
			`constraint: ${attr.cores} >= 16; 1 node has 9, 1 node has 10; the nearest is 10 on b: use ${attr.cores} >= 10 [2 a]`},
		{"unset meta", three, constrain("${meta.rack}", "regexp", "^r"),
			`constraint: ${meta.rack} regexp ^r; 3 nodes have no value; set meta "rack" on a node or drop the constraint [3 n0]`},
		{"misspelt attribute", three, constrain("${attr.cpu.arhc}", "=", "amd64"),
			`constraint: ${attr.cpu.arhc} = amd64; 3 nodes have no value; no node reports attribute "cpu.arhc": check its spelling or add a node that has it [3 n0]`},
		{"reference to nothing", three, constrain("${arch}", "=", "amd64"),
			`constraint: ${arch} = amd64; 3 nodes have no value; ${arch} refers to nothing; use ${attr.…}, ${meta.…} or ${node.…} [3 n0]`},
		{"driver", three, func(j *fleet.Job) { j.TaskGroups[0].Tasks[0].Driver = "docker" },
			`driver: docker; 3 nodes have no such driver; install the driver on a device or use one that is there: wasm [3 n0]`},
		{"driver unhealthy", func(r *region) {
			r.node("n0", func(n *fleet.Node) {
				n.Drivers["wasm"] = fleet.DriverInfo{Detected: true, HealthDescription: "the host process is gone"}
			})
		}, nil, `driver: wasm; 1 node has it unhealthy; repair the driver on n0: the host process is gone [1 n0]`},
		{"datacenter", three, func(j *fleet.Job) { j.Datacenters = []string{"berlin"} },
			`datacenter: the job wants berlin; 3 nodes are in dc1; add "dc1" to datacenters or add a node in berlin [3 n0]`},
		{"distinct hosts", func(r *region) { r.nodes(2) }, constrain("", fleet.OpDistinctHosts, ""),
			`distinct_hosts: each on a node of its own; 2 nodes have one already; lower the count of web to 2 or add 1 node [2 n0]`},
		{"not linked", func(r *region) {
			r.nodes(2)
			r.link("n0", fleet.LinkUnreachable)
			r.link("n1", fleet.LinkUnreachable)
		}, nil, `node: a node that is linked and eligible; 2 nodes are unreachable; bring the device's link back [2 n0]`},
		{"every broken rule, most frequent first", func(r *region) {
			r.nodes(2)
			r.node("arm", func(n *fleet.Node) { n.Attributes["cpu.arch"] = "arm64" })
		}, func(j *fleet.Job) {
			j.Datacenters = []string{"b*"}
			constrain("${attr.cpu.arch}", "=", "arm64")(j)
		}, `datacenter: the job wants b*; 3 nodes are in dc1; add "dc1" to datacenters or add a node in b* [3 n0]
constraint: ${attr.cpu.arch} = arm64; 2 nodes have amd64; accept amd64 or add a node with ${attr.cpu.arch} = arm64 [2 n0]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegion(t)
			tt.fleet(r)
			r.job(tt.job)
			out := r.run(fleet.TriggerJobRegister)
			if got := words(out.Explain.Groups[0].Metric); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestMetricCounts(t *testing.T) {
	r := newRegion(t)
	r.node("fits", nil)
	r.node("small", func(n *fleet.Node) { n.NodeResources.Memory.MemoryMB = 100 })
	r.node("arm", func(n *fleet.Node) { n.Attributes["cpu.arch"] = "arm64" })
	r.node("away", nil)
	r.link("away", fleet.LinkUnreachable)
	r.job(func(j *fleet.Job) {
		j.TaskGroups[0].Count = fleet.Ptr(10)
		constrain("${attr.cpu.arch}", "=", "amd64")(j)
	})
	out := r.run(fleet.TriggerJobRegister)
	m := out.Explain.Groups[0].Metric
	if m.NodesEvaluated != 3 || m.NodesInPool != 4 || m.NodesFiltered != 1 || m.NodesExhausted != 2 || m.NodesAvailable["dc1"] != 3 ||
		m.ConstraintFiltered["${attr.cpu.arch} = amd64"] != 1 || m.DimensionExhausted["cpu"] != 1 || m.DimensionExhausted["memory"] != 1 ||
		m.CoalescedFailures != 1 {
		t.Fatalf("metric %+v", m)
	}
	if view := (&state.Eval{Groups: out.Plan.Evals[0].Groups}).View(); view.FailedTGAllocs["web"] != m {
		t.Fatal("the evaluation does not show the metric")
	}
}
