package scheduler

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/grant"
	"github.com/dunlin-edge/dunlin/control/scheduler/feasible"
	"github.com/dunlin-edge/dunlin/control/scheduler/rank"
	"github.com/dunlin-edge/dunlin/control/scheduler/reconcile"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// placing is the placement of one group.
type placing struct {
	*attempt
	group   *reconcile.Group
	ver     *state.JobVersion // that is placed
	checker *feasible.Checker
	request rank.Request
	ranker  *rank.Ranker
	may     []bool     // by position in the pool: the rules admit it
	shares  []limit    // parallel to request.Limits, which ends with that of ask
	ask     *grant.Ask // nil: its allocations hold nothing alone
	best    []rank.Scored
	failed  []reconcile.Place
	short   int // how many found no place
	// eachRule explains every rule for itself, also of nodes that another refuses.
	eachRule bool
	perNode  bool    // the job has one on each node
	others   *givers // nil as long as there is room
}

// place finds nodes for what a group lacks and writes down how it went.
func (a *attempt) place(g *reconcile.Group) {
	change := GroupChange{
		Group: g.Spec.Name, InPlace: len(g.InPlace), Keep: len(g.Keep), Stop: g.Surplus, Lost: g.Lost,
		Delayed: len(g.Delayed), Spent: g.Spent, Done: g.Done,
	}
	outcome := state.GroupOutcome{Group: g.Spec.Name}
	if len(g.Place) > 0 {
		p := a.newPlacing(g, false)
		outcome.Placed = p.fill(&change)
		a.lookAt(g, &change)
		outcome.Queued = len(p.failed)
		outcome.Metric = p.metric()
		p.restore(&change)
		change.Queued, change.Metric = outcome.Queued, outcome.Metric
	}
	if g.Version != nil {
		a.explain.Groups[len(a.explain.Groups)-1].join(&change)
		a.joinOutcome(&outcome)
		return
	}
	a.explain.Groups = append(a.explain.Groups, change)
	a.outcomes = append(a.outcomes, outcome)
}

// join adds what was placed of an older version of the same group.
func (c *GroupChange) join(o *GroupChange) {
	c.Place, c.Reschedule, c.Destructive = c.Place+o.Place, c.Reschedule+o.Reschedule, c.Destructive+o.Destructive
	c.Stop, c.Queued = c.Stop+o.Stop, c.Queued+o.Queued
	if c.Metric == nil || o.Queued > 0 {
		c.Metric = o.Metric
	}
}

func (a *attempt) joinOutcome(o *state.GroupOutcome) {
	last := &a.outcomes[len(a.outcomes)-1]
	last.Placed, last.Queued = last.Placed+o.Placed, last.Queued+o.Queued
	if last.Metric == nil || o.Queued > 0 {
		last.Metric = o.Metric
	}
}

func (a *attempt) newPlacing(g *reconcile.Group, eachRule bool) *placing {
	a.pool.enter(g)
	ver := a.cur
	if g.Version != nil {
		ver = g.Version
		a.beside(g)
	}
	p := &placing{attempt: a, group: g, ver: ver, checker: feasible.New(ver.Spec, g.Spec), eachRule: eachRule}
	hosts := p.checker.Hosts()
	if p.perNode = fleet.PerNode(ver.Spec.Type); p.perNode {
		hosts.OnePerGroup = true
	}
	p.request = rank.Request{
		Ask: ver.Asks[g.Index], Count: *g.Spec.Count, Seed: a.rng.Uint64(), Stripe: a.in.Stripe,
		OnePerJob: hosts.OnePerJob, OnePerGroup: hosts.OnePerGroup, Emptiest: a.emptiest(),
	}
	p.may = make([]bool, len(a.pool.rows))
	for i, row := range a.pool.rows {
		p.may[i] = p.checker.Judge(row.Spec, row.Class) && (!a.pool.mixed || row.Spec.InPool(ver.Spec.NodePool))
	}
	p.request.Affinity, p.request.Spreads, p.request.Limits = p.affinities(), p.spreads(), p.limits()
	if limit, some := p.grantLimit(); some {
		p.request.Limits = append(p.request.Limits, limit)
	}
	p.ranker = rank.New(p.request, a.pool.nodes, func(i int) bool { return p.may[i] })
	p.best = p.ranker.Best(fleet.ScoresShownMax)
	return p
}

// beside counts what this plan placed of the same name as another version.
func (a *attempt) beside(g *reconcile.Group) {
	for i := range a.plan.Groups {
		cols := &a.plan.Groups[i]
		if v := a.job.Back(a.cur, cols.Back); v.Spec.TaskGroups[cols.Group].Name != g.Spec.Name {
			continue
		}
		for _, k := range cols.Nodes {
			a.pool.find(k).InGroup++
		}
	}
}

// fill hands out nodes until the slots or the nodes run out.
func (p *placing) fill(change *GroupChange) int {
	want := p.group.Place
	cols := command.Placements{
		Group: uint16(p.group.Index), Back: uint8(p.cur.Version - p.ver.Version), Nodes: make([]state.NodeKey, 0, len(want)),
		Names: make([]uint32, 0, len(want)), IDs: make([]fleet.UUID, 0, len(want)),
	}
	prevs, chained := make([]command.Replaced, 0, len(want)), false
	for k, s := range want {
		i, id, ok := p.next(p.avoids(s.Avoid, s.Prev))
		if !ok {
			p.failed = want[k:]
			p.short = len(p.failed)
			break
		}
		cols.Nodes = append(cols.Nodes, p.pool.nodes[i].Key)
		cols.Names = append(cols.Names, s.Index)
		cols.IDs = append(cols.IDs, id)
		if p.ask != nil {
			cols.Granted = append(cols.Granted, p.grant(i))
		}
		prev := command.Replaced{Reschedule: s.Reschedule, Delay: fleet.Duration(s.Delay)}
		if s.Prev != nil {
			prev.Alloc, chained = s.Prev.ID, true
		}
		prevs = append(prevs, prev)
		p.count(change, s)
	}
	if chained {
		cols.Prevs = prevs
	}
	if len(cols.IDs) > 0 {
		p.plan.Groups = append(p.plan.Groups, cols)
	}
	return len(cols.IDs)
}

// next hands out a node: one with room, or else one where others give way; and the ID of the placement there.
func (p *placing) next(avoid []state.NodeKey) (i int, id fleet.UUID, ok bool) {
	if i, ok = p.ranker.Take(avoid); ok {
		return i, p.mint(), true
	}
	if p.others == nil {
		p.others = p.newGivers()
	}
	o, ok := p.others.take(avoid)
	if !ok {
		return 0, id, false
	}
	id = p.mint()
	p.others.place(&o, id)
	return o.at, id, true
}

func (p *placing) count(change *GroupChange, s reconcile.Place) {
	switch {
	case s.Replace:
		change.Destructive++
		reason := s.Reason
		if reason == "" {
			reason = fmt.Sprintf("replaced by version %d of the job", p.cur.Version)
		}
		p.stop(s.Prev, false, reason)
	case s.Reschedule:
		change.Reschedule++
		change.Place++
	default:
		change.Place++
	}
}

// restore lets run on what found no successor, as far as its room is still free.
// All of a group's room was given back before its successors were placed: one at
// a time, an update that asks for a little more could never begin on full nodes.
func (p *placing) restore(change *GroupChange) {
	for _, s := range p.failed {
		if s.Replace && !(p.within(s.Prev.Node) && p.pool.restore(s, &p.request)) {
			change.Stop++
			reason := fmt.Sprintf("version %d of the job took its room", p.cur.Version)
			if s.Reason != "" {
				reason = s.Reason + "; others of its job took its room"
			}
			p.stop(s.Prev, false, reason)
		} else if s.Replace {
			p.use(s.Prev.Node)
		}
	}
}
