package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/control/scheduler/feasible"
	"github.com/dunlin-edge/dunlin/control/scheduler/rank"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Explain says what a plan does, for `dunlin plan` and for logs.
type Explain struct {
	Refused  string // why nothing could be decided; empty normally
	Stops    int    // of allocations that are not wanted or are lost, over all groups
	Groups   []GroupChange
	NextWake time.Time // when the first delayed placement is due; zero if none is
	// Displaced are allocations of other jobs that give way, in the order of the placements.
	Displaced []Displaced
}

// GroupChange is what a plan does to one group.
type GroupChange struct {
	Group       string
	Place       int // new allocations, those that replace lost and failed ones included
	Reschedule  int // of which replace failed ones
	Destructive int // running ones replaced by the new version
	InPlace     int // running ones that take the new version and go on
	Stop        int // running ones that are too many
	Lost        int // on lost nodes
	Keep        int // running ones that are not touched
	Done        int // completed, of a batch job
	Delayed     int // failed, placed again later
	Spent       int // failed, not placed again: the policy is used up
	Queued      int // found no place
	Metric      *fleet.AllocMetric
}

// metric is how the nodes fared.
func (p *placing) metric() *fleet.AllocMetric {
	nodes := p.pool.nodes
	m := &fleet.AllocMetric{NodesEvaluated: len(nodes), NodesInPool: len(nodes) + len(p.pool.absent)}
	for _, s := range p.best {
		m.ScoreMetaData = append(m.ScoreMetaData, p.score(s))
	}
	if len(p.failed) == 0 {
		return m
	}
	m.CoalescedFailures = len(p.failed) - 1
	p.refusals(m)
	return m
}

// refusals adds why nodes could not take one more.
func (p *placing) refusals(m *fleet.AllocMetric) {
	m.NodesAvailable = map[string]int{}
	for _, row := range p.pool.rows {
		m.NodesAvailable[row.Spec.Datacenter]++
	}
	p.refuseEmpty(m)
	p.checker.Explain(m)
	p.refuseHosts(m)
	p.refuseShares(m)
	p.refuseRoom(m)
	p.refuseGrants(m)
	p.mayHelp(m, p.request.Ask, p.full)
	slices.SortStableFunc(m.Refusals, func(a, b fleet.Refusal) int { return cmp.Compare(b.Nodes, a.Nodes) })
	m.Refusals = m.Refusals[:min(len(m.Refusals), fleet.RefusalsMax)]
}

// score is a node's score by its parts, under the field's names.
func (p *placing) score(s rank.Scored) fleet.NodeScore {
	out := fleet.NodeScore{
		NodeID: fleet.NodeID(p.pool.rows[s.Node].ID.String()), NormScore: ratio(s.Total()),
		Scores: map[string]float64{"binpack": ratio(s.Fit), "job-anti-affinity": ratio(-s.Crowd)},
	}
	if p.request.Affinity != nil {
		out.Scores["node-affinity"] = ratio(s.Affinity)
	}
	if p.request.Given != nil {
		out.Scores["devices"] = ratio(s.Given)
	}
	if len(p.request.Spreads) > 0 {
		out.Scores["allocation-spread"] = ratio(s.Spread)
	}
	return out
}

// ratio is a score as the public API shows it. A division alone gives the same
// bits on every machine, and nothing is decided by it.
func ratio(score int64) float64 { return float64(score) / rank.Scale }

// refuseEmpty explains nodes that take no new work at all.
func (p *placing) refuseEmpty(m *fleet.AllocMetric) {
	if m.NodesInPool == 0 && len(p.pool.outside) > 0 {
		c := feasible.InPool(p.cur.Spec)
		for _, row := range p.pool.outside {
			c.Judge(row.Spec, row.Class)
		}
		c.Explain(m)
		return
	}
	if m.NodesInPool == 0 {
		m.Refusals = append(m.Refusals, fleet.Refusal{
			Rule: "region", Wants: "a node", Has: "no node is in the region yet", Fix: "run dunlin node invite",
		})
		return
	}
	byWord := map[string]int{}
	var words []fleet.Refusal
	for _, row := range p.pool.absent {
		word, fix := string(row.Link), "bring the device's link back"
		switch {
		case row.Identity.Revoked():
			word, fix = fleet.StandingRevoked, "let the device join again: dunlin node invite"
		case !row.Identity.Trusted():
			word, fix = fleet.StandingQuarantined, "look into it and run: dunlin node approve "+row.Spec.Name
		case row.Ineligible:
			word, fix = fleet.NodeIneligible, "make it eligible for new work again"
		}
		i, known := byWord[word]
		if !known {
			i, byWord[word] = len(words), len(words)
			words = append(words, fleet.Refusal{Rule: "node", Wants: "a node that is linked and eligible", Node: row.Spec.Name, Fix: fix})
		}
		words[i].Nodes++
		verb := "are"
		if words[i].Nodes == 1 {
			verb = "is"
		}
		words[i].Has = fmt.Sprintf("%s %s %s", feasible.Nodes(words[i].Nodes), verb, word)
	}
	m.Refusals = append(m.Refusals, words...)
}

// refuseHosts explains nodes that have one already and may have only one.
func (p *placing) refuseHosts(m *fleet.AllocMetric) {
	r := fleet.Refusal{Rule: fleet.OpDistinctHosts, Wants: "each on a node of its own"}
	if p.perNode {
		r = fleet.Refusal{Rule: "type", Wants: "one on each node, as a job of type " + p.cur.Spec.Type}
	}
	for i, row := range p.pool.rows {
		if p.ranker.Crowded(i) && (p.may[i] || p.eachRule) {
			r.Nodes++
			r.Node = cmp.Or(r.Node, row.Spec.Name)
		}
	}
	if r.Nodes == 0 {
		return
	}
	m.NodesFiltered += r.Nodes
	verb := "have"
	if r.Nodes == 1 {
		verb = "has"
	}
	r.Has = fmt.Sprintf("%s %s one already", feasible.Nodes(r.Nodes), verb)
	r.Fix = p.fewer() + "add " + feasible.Nodes(max(1, p.short))
	feasible.Count(m, r.Rule, r)
}

// fewer offers a count at which nothing would be left over.
func (p *placing) fewer() string {
	if p.short == 0 {
		return ""
	}
	return fmt.Sprintf("lower the count of %s to %d or ", p.group.Spec.Name, max(0, *p.group.Spec.Count-p.short))
}

// refuseRoom explains feasible nodes without room.
func (p *placing) refuseRoom(m *fleet.AllocMetric) {
	dims := dimensions(p.request.Ask)
	for i := range p.pool.nodes {
		if p.ranker.Fits(i) || !p.eachRule && (p.ranker.Crowded(i) || p.ranker.Spent(i) || !p.may[i]) {
			continue
		}
		m.NodesExhausted++
		n := &p.pool.nodes[i]
		lacks := 0
		for k := range dims {
			if dims[k].ask > dims[k].of(n.Free) {
				lacks++
			}
		}
		for k := range dims {
			dims[k].see(n, i, lacks == 1)
		}
	}
	exhausted(m, dims, p.pool)
}
