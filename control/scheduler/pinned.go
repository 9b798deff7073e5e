package scheduler

import (
	"fmt"
	"slices"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/grant"
	"github.com/dunlin-edge/dunlin/control/scheduler/feasible"
	"github.com/dunlin-edge/dunlin/control/scheduler/rank"
	"github.com/dunlin-edge/dunlin/control/scheduler/reconcile"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// ready yields the nodes that take new work.
func (a *attempt) ready(yield func(*state.Node) bool) {
	for n := range a.in.View.Nodes() {
		if n.Ready() && !yield(n) {
			return
		}
	}
}

// admits judges a node by the rules of a group, and counts it for the explanation
// of that group.
func (a *attempt) admits(group int, n *state.Node) bool {
	c := a.checkers[group]
	if c == nil {
		if a.checkers == nil {
			a.checkers = map[int]*feasible.Checker{}
		}
		c = feasible.New(a.cur.Spec, &a.cur.Spec.TaskGroups[group])
		a.checkers[group] = c
	}
	return c.Judge(n.Spec, n.Class)
}

// fits reports whether a node has room for one of a group instead of what is there.
func (a *attempt) fits(group int, n *state.Node, instead *state.Alloc) bool {
	used := a.in.View.Usage(n.Key).Ask()
	if a.in.InFlight != nil {
		used = used.Plus(a.in.InFlight(n.Key).Ask())
	}
	if !a.grants(group, n, instead) {
		return false
	}
	ask, whole := a.cur.Asks[group], n.Room
	free := whole.Minus(used).Plus(instead.Ask())
	if ask.Within(free) || !a.preempts() {
		return ask.Within(free)
	}
	_, ok := a.bidOn(n.Key, whole, free, ask)
	return ok
}

// placePinned places where the strategy said, as far as there is room. A node that
// the rules keep out is not missed: the job is for those that they let in. One
// without room is, and the evaluation waits for it.
func (a *attempt) placePinned(g *reconcile.Group) {
	change := GroupChange{
		Group: g.Spec.Name, InPlace: len(g.InPlace), Keep: len(g.Keep), Stop: g.Surplus, Lost: g.Lost,
		Delayed: len(g.Delayed), Spent: g.Spent, Done: g.Done,
	}
	outcome := state.GroupOutcome{Group: g.Spec.Name}
	if len(g.Place) > 0 {
		a.pool.enter(g)
		full := a.fillPinned(g, &change)
		a.lookAt(g, &change)
		outcome.Placed, outcome.Queued = len(g.Place)-len(full), len(full)
		outcome.Metric = a.pinnedMetric(g, full)
		change.Queued, change.Metric = outcome.Queued, outcome.Metric
	}
	a.explain.Groups = append(a.explain.Groups, change)
	a.outcomes = append(a.outcomes, outcome)
}

// fillPinned places and returns the placements that found no room.
func (a *attempt) fillPinned(g *reconcile.Group, change *GroupChange) (full []reconcile.Place) {
	ask, alone := a.cur.Asks[g.Index], grant.Of(g.Spec)
	cols, chained := command.Placements{Group: uint16(g.Index)}, false
	var prevs []command.Replaced
	for _, s := range g.Place {
		n, id, held := a.pool.find(s.Node), fleet.UUID{}, wire.Granted("")
		if n != nil && !s.NoRoom {
			id, held = a.takePinned(g, n, alone)
		}
		if id.IsZero() {
			full = append(full, s)
			if n != nil && s.Replace { // it runs on, and holds what nobody else is given on its node in the meantime
				give(n, s.Prev.Ask(), -1)
				n.InJob++
				a.pool.regain(s.Prev)
			}
			continue
		}
		if alone != nil {
			cols.Granted = append(cols.Granted, held)
		}
		give(n, ask, -1)
		n.InJob++
		cols.Nodes, cols.Names, cols.IDs = append(cols.Nodes, s.Node), append(cols.Names, s.Index), append(cols.IDs, id)
		prev := command.Replaced{}
		if s.Prev != nil {
			prev.Alloc, chained = s.Prev.ID, true
		}
		prevs = append(prevs, prev)
		if !s.Replace {
			change.Place++
			continue
		}
		change.Destructive++
		a.stop(s.Prev, false, fmt.Sprintf("replaced by version %d of the job", a.cur.Version))
	}
	if chained {
		cols.Prevs = prevs
	}
	if len(cols.IDs) > 0 {
		a.plan.Groups = append(a.plan.Groups, cols)
	}
	return full
}

// room makes the ID of a placement on a node, if it fits there or others give way to it; zero: neither.
func (a *attempt) room(n *rank.Node, ask fleet.Ask, group string) fleet.UUID {
	if ask.Within(n.Free) {
		return a.mint()
	}
	if !a.preempts() {
		return fleet.UUID{}
	}
	o, ok := a.bidOn(n.Key, n.Cap, n.Free, ask)
	if !ok {
		return fleet.UUID{}
	}
	id := a.mint()
	a.evict(&o, id, group)
	return id
}

// pinnedMetric says how the nodes fared: those that the rules keep out are counted
// and explained, for whoever wonders where the job is not, and so are those without
// room.
func (a *attempt) pinnedMetric(g *reconcile.Group, full []reconcile.Place) *fleet.AllocMetric {
	m := &fleet.AllocMetric{NodesInPool: len(a.pool.rows) + len(a.pool.absent), NodesEvaluated: len(g.Place)}
	if c := a.checkers[g.Index]; c != nil {
		c.Explain(m)
		m.NodesEvaluated += m.NodesFiltered
	}
	if len(full) == 0 {
		return m
	}
	m.CoalescedFailures = len(full) - 1
	dims := dimensions(a.cur.Asks[g.Index])
	alone, held := grant.Of(g.Spec), lacks{at: map[string]int{}}
	for _, s := range full {
		i, there := slices.BinarySearchFunc(a.pool.nodes, s.Node, func(n rank.Node, k state.NodeKey) int { return int(n.Key) - int(k) })
		if !there {
			continue
		}
		n := &a.pool.nodes[i]
		free := n.Free
		if s.Replace { // what would be free once it is replaced
			free = free.Plus(s.Prev.Ask())
		}
		for k := range dims {
			dims[k].see(&rank.Node{Key: n.Key, Cap: n.Cap, Free: free}, i, true)
		}
		if alone != nil {
			held.see(a.pool.heldWithout(i, s).Lacks(alone, a.pool.holders(i)), a.pool.rows[i].Spec.Name)
		}
	}
	exhausted(m, dims, a.pool)
	held.add(m)
	m.NodesExhausted = len(full)
	a.mayHelp(m, a.cur.Asks[g.Index], func(yield func(int) bool) {
		for _, s := range full {
			if i, there := a.pool.position(s.Node); there && !yield(i) {
				return
			}
		}
	})
	m.Refusals = m.Refusals[:min(len(m.Refusals), fleet.RefusalsMax)]
	return m
}
