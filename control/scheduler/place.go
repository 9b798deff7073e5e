package scheduler

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/control/command"
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
	checker *feasible.Checker
	request rank.Request
	ranker  *rank.Ranker
	may     []bool  // by position in the pool: the rules admit it
	shares  []limit // parallel to request.Limits
	best    []rank.Scored
	failed  []reconcile.Place
	short   int // how many found no place
	// eachRule explains every rule for itself, also of nodes that another refuses.
	eachRule bool
	perNode  bool // the job has one on each node
}

// place finds nodes for what a group lacks and writes down how it went.
func (a *attempt) place(g *reconcile.Group) {
	change := GroupChange{
		Group: g.Spec.Name, InPlace: len(g.InPlace), Keep: len(g.Keep), Stop: g.Surplus, Lost: g.Lost,
		Delayed: len(g.Delayed), Spent: g.Spent, Done: g.Done,
	}
	outcome := state.GroupOutcome{Group: g.Spec.Name}
	if len(g.Place) > 0 {
		p := a.newPlacing(g)
		outcome.Placed = p.fill(&change)
		a.lookAt(g, &change)
		outcome.Queued = len(p.failed)
		outcome.Metric = p.metric()
		p.restore(&change)
		change.Queued, change.Metric = outcome.Queued, outcome.Metric
	}
	a.explain.Groups = append(a.explain.Groups, change)
	a.outcomes = append(a.outcomes, outcome)
}

func (a *attempt) newPlacing(g *reconcile.Group) *placing {
	a.pool.enter(g)
	p := &placing{attempt: a, group: g, checker: feasible.New(a.cur.Spec, g.Spec)}
	hosts := p.checker.Hosts()
	if p.perNode = fleet.PerNode(a.cur.Spec.Type); p.perNode {
		hosts.OnePerGroup = true
	}
	p.request = rank.Request{
		Ask: a.cur.Asks[g.Index], Count: *g.Spec.Count, Seed: a.rng.Uint64(), Stripe: a.in.Stripe,
		OnePerJob: hosts.OnePerJob, OnePerGroup: hosts.OnePerGroup, Emptiest: a.emptiest(),
	}
	p.may = make([]bool, len(a.pool.rows))
	for i, row := range a.pool.rows {
		p.may[i] = p.checker.Judge(row.Spec)
	}
	p.request.Affinity, p.request.Spreads, p.request.Limits = p.affinities(), p.spreads(), p.limits()
	p.ranker = rank.New(p.request, a.pool.nodes, func(i int) bool { return p.may[i] })
	p.best = p.ranker.Best(fleet.ScoresShownMax)
	return p
}

// fill hands out nodes until the slots or the nodes run out.
func (p *placing) fill(change *GroupChange) int {
	want := p.group.Place
	cols := command.Placements{
		Group: uint16(p.group.Index), Nodes: make([]state.NodeKey, 0, len(want)),
		Names: make([]uint32, 0, len(want)), IDs: make([]fleet.UUID, 0, len(want)),
	}
	prevs, chained := make([]command.Replaced, 0, len(want)), false
	for k, s := range want {
		i, ok := p.ranker.Take(p.avoids(s.Avoid, s.Prev))
		if !ok {
			p.failed = want[k:]
			p.short = len(p.failed)
			break
		}
		cols.Nodes = append(cols.Nodes, p.pool.nodes[i].Key)
		cols.Names = append(cols.Names, s.Index)
		cols.IDs = append(cols.IDs, p.mint())
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
