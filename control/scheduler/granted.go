package scheduler

import (
	"fmt"
	"slices"

	"github.com/dunlin-edge/dunlin/control/grant"
	"github.com/dunlin-edge/dunlin/control/scheduler/feasible"
	"github.com/dunlin-edge/dunlin/control/scheduler/rank"
	"github.com/dunlin-edge/dunlin/control/scheduler/reconcile"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Ports and devices of the nodes. Ranking sees them as one more limit: of each
// node, how many of the group it can still give what they ask for. What each gets
// is picked when a node is taken. A job that asks for nothing pays nothing.

// granted is what is held of the nodes of a pool, as far as somebody asked.
type granted struct {
	on   bool // some group of the job asks
	held map[int]*grant.Node
	gone map[state.AllocKey]bool // allocations that this plan stops
	plan map[int][]grant.Given   // what this plan gives, for words
}

// asks reports whether any group of the job wants to hold something.
func asks(job *fleet.Job) bool {
	for i := range job.TaskGroups {
		if job.TaskGroups[i].Wants() {
			return true
		}
	}
	return false
}

// held is what is held of node i, the plan itself included.
func (p *pool) held(i int) *grant.Node {
	n := p.granted.held[i]
	if n == nil {
		if p.granted.held == nil {
			p.granted.held = map[int]*grant.Node{}
		}
		n = grant.Load(p.in.View, p.rows[i], p.inFlight(p.rows[i].Key), func(k state.AllocKey) bool { return p.granted.gone[k] })
		p.granted.held[i] = n
	}
	return n
}

// heldWithout is what is held of node i once a placement has replaced what it
// replaces.
func (p *pool) heldWithout(i int, s reconcile.Place) *grant.Node {
	if !s.Replace {
		return p.held(i)
	}
	return grant.Load(p.in.View, p.rows[i], p.inFlight(p.rows[i].Key), func(k state.AllocKey) bool { return k == s.Prev.Key })
}

func (p *pool) inFlight(k state.NodeKey) wire.Granted {
	if p.in.InFlight == nil {
		return ""
	}
	return p.in.InFlight(k).Granted
}

// release gives back what an allocation holds that the plan stops.
func (p *pool) release(a *state.Alloc) {
	if !p.granted.on || !a.Holds() {
		return
	}
	g := p.in.View.Granted(a)
	if g == "" || p.granted.gone[a.Key] {
		return
	}
	if p.granted.gone == nil {
		p.granted.gone = map[state.AllocKey]bool{}
	}
	p.granted.gone[a.Key] = true
	if i, ok := p.position(a.Node); ok && p.granted.held[i] != nil {
		p.granted.held[i].ReleasePacked(g)
	}
}

// regain takes back what release gave, for an allocation that is not stopped after
// all. It reports false when somebody was given it.
func (p *pool) regain(a *state.Alloc) bool {
	if !p.granted.gone[a.Key] {
		return true
	}
	if i, ok := p.position(a.Node); ok && p.granted.held[i] != nil {
		g, err := p.in.View.Granted(a).Unpack()
		if err != nil || p.granted.held[i].Clash(&g) != "" {
			return false
		}
		p.granted.held[i].Hold(&g)
	}
	delete(p.granted.gone, a.Key)
	return true
}

// grantLimit is how many of the group each node can still give what they ask for. How
// much they like that is noted in the request.
func (p *placing) grantLimit() (limit rank.Limit, ok bool) {
	if p.ask = grant.Of(p.group.Spec); p.ask == nil {
		return limit, false
	}
	most := max(1, len(p.group.Place))
	limit = rank.Limit{Value: make([]int32, len(p.pool.rows)), Left: make([]int64, len(p.pool.rows))}
	if p.ask.Prefers() {
		p.request.Given = make([][]int64, len(p.pool.rows))
	}
	for i := range p.pool.rows {
		limit.Value[i] = int32(i)
		if !p.may[i] && !p.eachRule {
			continue
		}
		held := p.pool.held(i)
		room := held.Room(p.ask, most)
		limit.Left[i] = int64(room)
		if p.request.Given != nil {
			p.request.Given[i] = held.Likes(p.ask, room, rank.Scale)
		}
	}
	return limit, true
}

// grant picks what a placement on node i holds.
func (p *placing) grant(i int) wire.Granted {
	if p.ask == nil {
		return ""
	}
	g, ok := p.pool.held(i).Take(p.ask, p.rng.Uint64())
	if !ok {
		panic("scheduler: a node was handed out that has not free what is asked for")
	}
	return p.pool.gives(i, p.cur.Spec.ID, p.group.Spec.Name, g.Pack())
}

// gives remembers whom this plan gave what on node i.
func (p *pool) gives(i int, job fleet.JobID, group string, g wire.Granted) wire.Granted {
	if p.granted.plan == nil {
		p.granted.plan = map[int][]grant.Given{}
	}
	p.granted.plan[i] = append(p.granted.plan[i], grant.Given{Job: job, Group: group, Granted: g})
	return g
}

// holders finds who holds something of node i.
func (p *pool) holders(i int) grant.Holders {
	return grant.Holders{View: p.in.View, Node: p.rows[i], Plan: p.granted.plan[i]}
}

// refuseGrants explains nodes that have not free what the group wants to hold.
func (p *placing) refuseGrants(m *fleet.AllocMetric) {
	if p.ask == nil {
		return
	}
	x := lacks{at: map[string]int{}}
	for i, row := range p.pool.rows {
		if !p.may[i] && !p.eachRule || p.ranker.Crowded(i) && !p.eachRule {
			continue
		}
		x.see(p.pool.held(i).Lacks(p.ask, p.pool.holders(i)), row.Spec.Name)
	}
	x.add(m)
}

// lacks collects what nodes have not free, each thing once.
type lacks struct {
	at    map[string]int
	all   []fleet.Refusal
	names []string
	free  []int
	nodes int
}

// see adds what a node lacks, except where a rule of the group has said so.
func (x *lacks) see(list []grant.Lack, node string) {
	list = slices.DeleteFunc(list, func(l grant.Lack) bool { return l.Ruled })
	if len(list) > 0 {
		x.nodes++
	}
	for _, l := range list {
		i, known := x.at[l.Dimension]
		if !known {
			i, x.at[l.Dimension] = len(x.all), len(x.all)
			x.all = append(x.all, fleet.Refusal{Rule: l.Rule, Wants: l.Wants})
			x.names, x.free = append(x.names, l.Dimension), append(x.free, l.Free)
		}
		r := &x.all[i]
		if r.Nodes++; !known || l.Free > x.free[i] {
			r.Has, r.Fix, r.Node, x.free[i] = l.Has, l.Fix, node, l.Free
		}
	}
}

func (x *lacks) add(m *fleet.AllocMetric) {
	m.NodesExhausted += x.nodes
	for i := range x.all {
		r := x.all[i]
		if r.Nodes > 1 {
			r.Has += fmt.Sprintf("; %s in all cannot give it", feasible.Nodes(r.Nodes))
		}
		if m.DimensionExhausted == nil {
			m.DimensionExhausted = map[string]int{}
		}
		m.DimensionExhausted[x.names[i]] = r.Nodes
		m.Refusals = append(m.Refusals, r)
	}
}

// takePinned makes room for one of a group on a node, and picks what it holds there.
// A zero ID: the node has not got it free, and what would be replaced holds on to its
// own. Nobody gives way where what is asked for is not free.
func (a *attempt) takePinned(g *reconcile.Group, n *rank.Node, alone *grant.Ask) (id fleet.UUID, held wire.Granted) {
	i, ok := a.pool.position(n.Key)
	if !ok || alone != nil && a.pool.held(i).Room(alone, 1) == 0 {
		return id, ""
	}
	if id = a.room(n, a.cur.Asks[g.Index], g.Spec.Name); id.IsZero() || alone == nil {
		return id, ""
	}
	got, ok := a.pool.held(i).Take(alone, a.rng.Uint64())
	if !ok {
		panic("scheduler: a node that has room for what is asked for did not give it")
	}
	return id, a.pool.gives(i, a.cur.Spec.ID, g.Spec.Name, got.Pack())
}

// grants reports whether a node has free what one of a group holds, instead of an
// allocation there.
func (a *attempt) grants(group int, n *state.Node, instead *state.Alloc) bool {
	ask := grant.Of(&a.cur.Spec.TaskGroups[group])
	if ask == nil {
		return true
	}
	var inFlight wire.Granted
	if a.in.InFlight != nil {
		inFlight = a.in.InFlight(n.Key).Granted
	}
	return grant.Load(a.in.View, n, inFlight, func(k state.AllocKey) bool { return k == instead.Key }).Room(ask, 1) > 0
}
