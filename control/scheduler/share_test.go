package scheduler

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// sites adds n nodes to each site.
func (r *region) sites(n int, names ...string) {
	for i := range n {
		for _, site := range names {
			r.node(fmt.Sprintf("%s-%d", site, i), func(n *fleet.Node) {
				n.Datacenter, n.Meta["rack"] = site, fmt.Sprintf("%s-r%d", site, i%2)
			})
		}
	}
}

// bySite counts the live allocations of each site.
func (r *region) bySite() string {
	count := map[string]int{}
	for _, node := range r.live() {
		site, _, _ := strings.Cut(node, "-")
		count[site]++
	}
	return strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(count), "map["), "]")
}

func spreadOver(attribute string, targets ...fleet.SpreadTarget) func(*fleet.Job) {
	return func(j *fleet.Job) {
		j.Spreads = []fleet.Spread{{Attribute: attribute, SpreadTarget: targets}}
	}
}

func TestSpreadShares(t *testing.T) {
	const dc = "${node.datacenter}"
	tests := []struct {
		name  string
		count int
		edit  func(*fleet.Job)
		want  string
	}{
		{"evenly", 9, spreadOver(dc), "a:3 b:3 c:3"},
		{"targets", 10, spreadOver(dc, fleet.SpreadTarget{Value: "a", Percent: 70}, fleet.SpreadTarget{Value: "b", Percent: 30}), "a:7 b:3"},
		{"the rest is shared", 12, spreadOver(dc, fleet.SpreadTarget{Value: "a", Percent: 50}), "a:6 b:3 c:3"},
		{"a target for the rest", 10, spreadOver(dc, fleet.SpreadTarget{Value: "a", Percent: 20}, fleet.SpreadTarget{Value: "*", Percent: 80}), "a:2 b:4 c:4"},
		{"a site that is not there", 6, spreadOver(dc, fleet.SpreadTarget{Value: "x", Percent: 50}, fleet.SpreadTarget{Value: "b", Percent: 50}), "b:5 c:1|a:1 b:5|a:1 b:4 c:1"},
		{"a spread of weight 0", 8, func(j *fleet.Job) {
			j.TaskGroups[0].Spreads = []fleet.Spread{{Attribute: dc, Weight: fleet.Ptr(0), SpreadTarget: []fleet.SpreadTarget{{Value: "a", Percent: 100}}}}
			j.Affinities = []fleet.Affinity{{LTarget: dc, RTarget: "c"}}
		}, "c:8"},
		{"the group's own replaces the job's", 6, func(j *fleet.Job) {
			spreadOver(dc)(j)
			j.TaskGroups[0].Spreads = []fleet.Spread{{Attribute: dc, SpreadTarget: []fleet.SpreadTarget{{Value: "c", Percent: 100}}}}
		}, "c:6"},
		{"two spreads", 8, func(j *fleet.Job) {
			j.Spreads = []fleet.Spread{{Attribute: dc, SpreadTarget: []fleet.SpreadTarget{{Value: "a", Percent: 50}, {Value: "b", Percent: 50}}}, {Attribute: "${meta.rack}"}}
		}, "a:4 b:4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegion(t)
			r.sites(4, "a", "b", "c")
			r.job(func(j *fleet.Job) { j.TaskGroups[0].Count = &tt.count; tt.edit(j) })
			r.run(fleet.TriggerJobRegister)
			if got := r.bySite(); !strings.Contains("|"+tt.want+"|", "|"+got+"|") {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// A spread counts what stands already, on nodes that take no new work too.
func TestSpreadCountsWhatStands(t *testing.T) {
	r := newRegion(t)
	r.sites(3, "a")
	r.job(func(j *fleet.Job) { j.TaskGroups[0].Count = fleet.Ptr(3); spreadOver("${node.datacenter}")(j) })
	r.run(fleet.TriggerJobRegister)
	r.sites(3, "b")
	r.link("a-0", fleet.LinkUnreachable)
	r.link("a-1", fleet.LinkUnreachable)
	r.job(func(j *fleet.Job) { j.TaskGroups[0].Count = fleet.Ptr(6); spreadOver("${node.datacenter}")(j) })
	r.run(fleet.TriggerJobRegister)
	if got := r.bySite(); got != "a:3 b:3" {
		t.Errorf("got %s", got)
	}
}

func TestAffinity(t *testing.T) {
	r := newRegion(t)
	r.sites(3, "a", "b", "c")
	r.job(func(j *fleet.Job) {
		j.TaskGroups[0].Count = fleet.Ptr(1)
		j.Affinities = []fleet.Affinity{{LTarget: "${node.datacenter}", RTarget: "b", Weight: fleet.Ptr(50)}}
		j.TaskGroups[0].Tasks[0].Affinities = []fleet.Affinity{{LTarget: "${meta.rack}", RTarget: "b-r0", Weight: fleet.Ptr(-100)}}
	})
	out := r.run(fleet.TriggerJobRegister)
	// Of b's three nodes b-1 alone is in the other rack.
	if got := fmt.Sprint(r.live()); got != "map[0:b-1]" {
		t.Errorf("got %s", got)
	}
	scores := out.Explain.Groups[0].Metric.ScoreMetaData
	if len(scores) != fleet.ScoresShownMax || scores[0].Scores["node-affinity"] <= 0.33 || scores[0].Scores["node-affinity"] >= 0.34 {
		t.Errorf("scores %+v", scores)
	}
	if _, some := scores[0].Scores["allocation-spread"]; some {
		t.Error("a spread is scored that the job has not")
	}
}

func TestDistinctProperty(t *testing.T) {
	limit := func(of string, n string) fleet.Constraint {
		return fleet.Constraint{LTarget: of, Operand: fleet.OpDistinctProperty, RTarget: n}
	}
	r := newRegion(t)
	r.sites(4, "a", "b")
	r.node("norack", nil)
	r.job(func(j *fleet.Job) {
		j.TaskGroups[0].Count = fleet.Ptr(8)
		j.Constraints = []fleet.Constraint{limit("${meta.rack}", "")}
	})
	out := r.run(fleet.TriggerJobRegister)
	if got := r.bySite(); got != "a:2 b:2" {
		t.Errorf("got %s", got)
	}
	want := "distinct_property: distinct_property ${meta.rack} (at most 1 of a value); a-r0, a-r1, b-r0, b-r1 have as many as allowed; " +
		"set value = 2, lower the count of web to 4 or add a node with another value of ${meta.rack} [8 a-0]\n" +
		"constraint: ${meta.rack} is_set; 1 node has no value; set meta \"rack\" on a node or drop the constraint [1 norack]"
	if got := words(out.Explain.Groups[0].Metric); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// More of a value, and what stands counts.
	r.job(func(j *fleet.Job) {
		j.TaskGroups[0].Count = fleet.Ptr(8)
		j.TaskGroups[0].Constraints = []fleet.Constraint{limit("${node.datacenter}", "3")}
		j.Datacenters = []string{"?"}
	})
	r.run(fleet.TriggerJobRegister)
	if got := r.bySite(); got != "a:3 b:3" {
		t.Errorf("got %s", got)
	}
	if again := r.run(fleet.TriggerNodeUpdate); len(again.Plan.Groups) > 0 {
		t.Error("placed beyond the limit")
	}
}

// What found no successor runs on, but not beyond what the new version allows;
// those on devices that take no new work count too.
func TestPropertyLimitsWhatRunsOn(t *testing.T) {
	r := newRegion(t)
	r.sites(4, "a")
	r.job(func(j *fleet.Job) {
		j.TaskGroups[0].Count = fleet.Ptr(4)
		j.TaskGroups[0].Constraints = []fleet.Constraint{{Operand: fleet.OpDistinctHosts}}
	})
	r.run(fleet.TriggerJobRegister)
	for i := range 3 {
		r.link(fmt.Sprintf("a-%d", i), fleet.LinkUnreachable)
	}
	r.job(func(j *fleet.Job) {
		j.TaskGroups[0].Count = fleet.Ptr(4)
		j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": "2"}
		j.TaskGroups[0].Constraints = []fleet.Constraint{{LTarget: "${node.datacenter}", Operand: fleet.OpDistinctProperty, RTarget: "2"}}
	})
	out := r.run(fleet.TriggerJobRegister)
	if got := r.bySite(); got != "a:2" {
		t.Errorf("got %s after %+v", got, out.Plan.Stops)
	}
}

// An allocation that failed goes to none of the nodes it failed on, as long as
// there is another.
func TestFailedNodesAreAvoided(t *testing.T) {
	r := newRegion(t)
	r.node("a", nil)
	r.node("b", nil)
	r.node("c", nil)
	r.job(func(j *fleet.Job) {
		j.TaskGroups[0].Count = fleet.Ptr(1)
		j.TaskGroups[0].ReschedulePolicy = &fleet.ReschedulePolicy{Delay: fleet.Ptr(fleet.Duration(0)), DelayFunction: fleet.Ptr(fleet.DelayConstant)}
	})
	seen := map[string]bool{}
	for range 3 {
		r.run(fleet.TriggerJobRegister)
		node := r.live()[0]
		if seen[node] {
			t.Fatalf("placed on %s again, after %v", node, seen)
		}
		seen[node] = true
		r.observe(0, state.ObservedFailed)
	}
}
