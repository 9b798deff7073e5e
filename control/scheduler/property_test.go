package scheduler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/grant"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"pgregory.net/rapid"
)

// A region lives through random events; after each evaluation the whole state is
// checked against what a naive reader of the job would demand.
func TestPlansAreSound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRegion(t)
		for i := range rapid.IntRange(1, 6).Draw(rt, "nodes") {
			r.node(fmt.Sprintf("n%d", i), func(n *fleet.Node) {
				n.NodeResources.CPU.CPUShares = int64(rapid.IntRange(0, 8).Draw(rt, "cpu") * 500)
				n.NodeResources.Memory.MemoryMB = int64(rapid.IntRange(0, 8).Draw(rt, "memory") * 256)
				n.NodeResources.Disk.DiskMB = int64(rapid.IntRange(0, 8).Draw(rt, "disk") * 100) // 0: unknown
				n.Meta["rack"] = rapid.SampledFrom([]string{"x", "y", "z"}).Draw(rt, "rack")
				n.NodeResources.MaxDynamicPort = rapid.IntRange(20001, 20004).Draw(rt, "dynamic")
				n.Attributes["cpu.arch"] = rapid.SampledFrom([]string{"amd64", "arm64"}).Draw(rt, "arch")
				drawCameras(rt)(n)
			})
		}
		typ := rapid.SampledFrom([]string{fleet.JobTypeService, fleet.JobTypeBatch}).Draw(rt, "type")
		register(rt, r, typ)
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			event(rt, r, typ)
			before := r.store.View()
			out := r.run(fleet.TriggerNodeUpdate)
			checkStops(rt, before, &out)
			checkState(rt, r)
			checkProgress(rt, r, &out)
			again := r.run(fleet.TriggerNodeUpdate)
			if p, s, u, m := counts(&again.Plan); p+s+u+m > 0 {
				rt.Fatalf("the second run placed %d, stopped %d, updated %d, marked %d", p, s, u, m)
			}
		}
	})
}

func register(rt *rapid.T, r *region, typ string) {
	arch := rapid.SampledFrom([]string{"", "amd64", "arm64"}).Draw(rt, "wants arch")
	distinct := rapid.Bool().Draw(rt, "distinct")
	count := rapid.IntRange(0, 7).Draw(rt, "count")
	perRack, spread := rapid.IntRange(0, 3).Draw(rt, "per rack"), rapid.Bool().Draw(rt, "spread")
	memory := rapid.IntRange(1, 4).Draw(rt, "asks memory") * 200
	disk := rapid.IntRange(0, 3).Draw(rt, "asks disk") * 100
	var network []fleet.Network
	switch rapid.IntRange(0, 4).Draw(rt, "ports") {
	case 0:
		network = []fleet.Network{{Ports: []fleet.Port{{Label: "a", Value: rapid.IntRange(20000, 20002).Draw(rt, "static")}, {Label: "b"}}}}
	case 1:
		network = []fleet.Network{{Ports: []fleet.Port{{Label: "a"}}}}
	}
	devices := drawRequests(rt)
	r.job(func(j *fleet.Job) {
		j.TaskGroups[0].Tasks[0].Resources.Devices = devices
		j.TaskGroups[0].EphemeralDisk = &fleet.EphemeralDisk{SizeMB: &disk}
		j.Type, j.TaskGroups[0].Count, j.TaskGroups[0].Tasks[0].Resources.MemoryMB = typ, &count, &memory
		if arch != "" {
			j.Constraints = append(j.Constraints, fleet.Constraint{LTarget: "${attr.cpu.arch}", RTarget: arch})
		}
		if distinct {
			j.TaskGroups[0].Constraints = []fleet.Constraint{{Operand: fleet.OpDistinctHosts}}
		}
		if perRack > 0 {
			j.TaskGroups[0].Tasks[0].Constraints = []fleet.Constraint{{LTarget: "${meta.rack}", Operand: fleet.OpDistinctProperty, RTarget: fmt.Sprint(perRack)}}
		}
		j.TaskGroups[0].Networks = network
		if spread {
			j.Spreads = []fleet.Spread{{Attribute: "${meta.rack}"}}
		}
	})
}

func event(rt *rapid.T, r *region, typ string) {
	r.now = r.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(rt, "seconds")) * time.Second)
	var live []uint32
	for i := range uint32(10) {
		if _, ok := r.live()[i]; ok {
			live = append(live, i)
		}
	}
	switch rapid.IntRange(0, 4).Draw(rt, "event") {
	case 0:
		register(rt, r, typ)
	case 4:
		r.replug(fmt.Sprintf("n%d", rapid.IntRange(0, 5).Draw(rt, "replugged")), drawCameras(rt))
	case 1:
		node := fmt.Sprintf("n%d", rapid.IntRange(0, 5).Draw(rt, "node"))
		r.link(node, rapid.SampledFrom([]fleet.LinkState{
			fleet.LinkOnline, fleet.LinkLate, fleet.LinkUnreachable, fleet.LinkLost}).Draw(rt, "link"))
	default:
		if len(live) > 0 {
			r.observe(rapid.SampledFrom(live).Draw(rt, "index"), rapid.SampledFrom([]state.Observed{
				state.ObservedRunning, state.ObservedComplete, state.ObservedFailed}).Draw(rt, "observed"))
		}
	}
}

// checkState looks at everything that lives.
func checkState(rt *rapid.T, r *region) {
	v := r.store.View()
	job := v.JobByID("default", "app").Current()
	held := map[state.NodeKey]*grant.Node{}
	for a := range v.Allocs() {
		if !a.Holds() {
			continue
		}
		n := held[a.Node]
		if n == nil {
			n = grant.New(v.Node(a.Node).Spec)
			held[a.Node] = n
		}
		g, err := v.Granted(a).Unpack()
		if why := n.Clash(&g); err != nil || why != "" || grant.Of(a.GroupSpec()).Differs(&g) != "" {
			rt.Fatalf("%s: %v %s %s", a.Name(), err, why, grant.Of(a.GroupSpec()).Differs(&g))
		}
		n.Hold(&g)
	}
	names := map[uint32]bool{}
	used := map[state.NodeKey]fleet.Ask{}
	for a := range v.Allocs() {
		if !a.Holds() {
			continue
		}
		if names[a.Index] {
			rt.Fatalf("index %d lives twice", a.Index)
		}
		names[a.Index] = true
		used[a.Node] = used[a.Node].Plus(a.Ask())
	}
	if want := *job.Spec.TaskGroups[0].Count; len(names) > want {
		rt.Fatalf("%d live, the count is %d", len(names), want)
	}
	for k, u := range used {
		n := v.Node(k)
		if whole := n.Spec.Capacity(); !u.Within(whole) {
			rt.Fatalf("node %s has %+v, %+v are taken", n.Spec.Name, whole, u)
		}
		if n.Link == fleet.LinkLost {
			rt.Fatalf("node %s is lost and still has live allocations", n.Spec.Name)
		}
	}
	blocked := 0
	for e := range v.Evals() {
		if e.Status == fleet.EvalBlocked {
			blocked++
		}
	}
	if blocked > 1 {
		rt.Fatalf("%d evaluations are blocked", blocked)
	}
}

// checkStops demands a reason for each stop and rules for each placement.
func checkStops(rt *rapid.T, before *state.View, out *Output) {
	job := before.JobByID("default", "app").Current()
	group := &job.Spec.TaskGroups[0]
	live := 0
	for a := range before.Allocs() {
		if a.Holds() && before.Node(a.Node).Link != fleet.LinkLost {
			live++
		}
	}
	hosts := map[state.NodeKey]bool{}
	stopped := map[fleet.UUID]bool{}
	for _, s := range out.Plan.Stops {
		a := before.AllocByID(s.Alloc)
		stopped[s.Alloc] = true
		switch {
		case s.Desired == state.DesiredRun, a.Observed.Terminal():
		case s.Lost != (before.Node(a.Node).Link == fleet.LinkLost):
			rt.Fatalf("stop %+v on a node that is %s", s, before.Node(a.Node).Link)
		case s.Lost, a.Version != job:
		case live <= *group.Count:
			// Holders that do not live (spent, delayed, done) may push it over.
			if int(a.Index) < *group.Count && !heldByEnded(before, job) {
				rt.Fatalf("stopped %s without need: %s", a.Name(), s.Reason)
			}
		}
	}
	racks, most := map[string]int{}, rackMax(job)
	for a := range before.Allocs() {
		if a.Holds() && !stopped[a.ID] {
			hosts[a.Node] = true
			racks[before.Node(a.Node).Spec.Meta["rack"]]++
		}
	}
	for _, g := range out.Plan.Groups {
		for i, k := range g.Nodes {
			n := before.Node(k)
			if len(g.Granted) > 0 {
				checkGiven(rt, group, n, g.Granted[i])
			}
			if !n.Ready() {
				rt.Fatalf("placed on %s, which is %s", n.Spec.Name, n.Link)
			}
			for _, c := range job.Spec.Constraints {
				if n.Spec.Attributes["cpu.arch"] != c.RTarget {
					rt.Fatalf("placed on %s against %s", n.Spec.Name, c)
				}
			}
			if racks[n.Spec.Meta["rack"]]++; racks[n.Spec.Meta["rack"]] > most {
				rt.Fatalf("more than %d in the rack of %s", most, n.Spec.Name)
			}
			if len(group.Constraints) > 0 && hosts[k] {
				rt.Fatalf("two on %s against distinct_hosts", n.Spec.Name)
			}
			hosts[k] = true
		}
	}
}

// rackMax is how many of the job may be in one rack.
func rackMax(job *state.JobVersion) int {
	for _, k := range job.Spec.TaskGroups[0].Tasks[0].Constraints {
		n, _ := k.PropertyMax()
		return n
	}
	return fleet.GroupCountMax
}

func heldByEnded(v *state.View, job *state.JobVersion) bool {
	for a := range v.Allocs() {
		if a.Version.Job == job.Job && a.Desired == state.DesiredRun && a.Observed.Terminal() {
			return true
		}
	}
	return false
}

// checkProgress: what is queued has no node that could take it.
func checkProgress(rt *rapid.T, r *region, out *Output) {
	v := r.store.View()
	job := v.JobByID("default", "app").Current()
	group := &job.Spec.TaskGroups[0]
	if out.Explain.Groups[0].Queued == 0 {
		return
	}
	taken, racks := map[state.NodeKey]bool{}, map[string]int{}
	for a := range v.Allocs() {
		if a.Holds() {
			taken[a.Node] = true
			racks[v.Node(a.Node).Spec.Meta["rack"]]++
		}
	}
	for n := range v.Nodes() {
		fits := v.Usage(n.Key).Ask().Plus(job.Asks[0]).Within(n.Spec.Capacity())
		may := racks[n.Spec.Meta["rack"]] < rackMax(job) && n.Ready() && fits
		may = may && grant.Load(v, n, "", nil).Room(grant.Of(group), 1) > 0
		for _, c := range job.Spec.Constraints {
			may = may && n.Spec.Attributes["cpu.arch"] == c.RTarget
		}
		if may && (len(group.Constraints) == 0 || !taken[n.Key]) {
			rt.Fatalf("%d are queued while %s could take one", out.Explain.Groups[0].Queued, n.Spec.Name)
		}
	}
	if len(out.Explain.Groups[0].Metric.Refusals) == 0 {
		rt.Fatal("queued without a reason")
	}
}

// drawCameras gives a node some of two kinds, of which some are sick.
func drawCameras(rt *rapid.T) func(*fleet.Node) {
	var offer []func(*fleet.Node)
	for _, model := range []string{"near", "far"} {
		var ids []string
		for i := range rapid.IntRange(0, 2).Draw(rt, model) {
			ids = append(ids, rapid.SampledFrom([]string{"", "", "sick "}).Draw(rt, "health")+fmt.Sprint(model, i))
		}
		offer = append(offer, cameras(model, ids...))
	}
	return func(n *fleet.Node) {
		for _, f := range offer {
			f(n)
		}
	}
}

func drawRequests(rt *rapid.T) (out []fleet.RequestedDevice) {
	for range max(0, rapid.IntRange(-3, 2).Draw(rt, "requests")) {
		d := fleet.RequestedDevice{
			Name:  rapid.SampledFrom([]string{"camera", "acme/camera", "acme/camera/far"}).Draw(rt, "device"),
			Count: fleet.Ptr(rapid.IntRange(1, 2).Draw(rt, "devices")),
		}
		if rapid.Bool().Draw(rt, "rule") {
			d.Constraints = []fleet.Constraint{{LTarget: "${device.attr.model}", RTarget: "near", Operand: "!="}}
		}
		if w := rapid.SampledFrom([]int{0, 50, -50}).Draw(rt, "likes far"); w != 0 {
			d.Affinities = []fleet.Affinity{{LTarget: "${device.model}", RTarget: "far", Weight: &w}}
		}
		out = append(out, d)
	}
	return out
}

// checkGiven reads from the node itself whether what was given is there, healthy, and what was asked for.
func checkGiven(rt *rapid.T, group *fleet.TaskGroup, n *state.Node, packed wire.Granted) {
	g, err := packed.Unpack()
	if err != nil {
		rt.Fatal(err)
	}
	requests := group.Tasks[0].Resources.Devices
	if len(g.Devices) != len(requests) {
		rt.Fatalf("%d requests, and given was %+v", len(requests), g.Devices)
	}
	for i, d := range g.Devices {
		healthy, model := 0, ""
		for _, k := range n.Spec.NodeResources.Devices {
			for _, x := range k.Instances {
				if x.Healthy && k.ID() == d.Device && slices.Contains(d.IDs, x.ID) && requests[i].Names(&k) {
					healthy, model = healthy+1, k.Name
				}
			}
		}
		if healthy != *requests[i].Count || healthy != len(d.IDs) || len(requests[i].Constraints) > 0 && model == "near" {
			rt.Fatalf("%s got %+v of %+v", requests[i].String(), d, n.Spec.NodeResources.Devices)
		}
	}
}
