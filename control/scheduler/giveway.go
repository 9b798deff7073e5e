package scheduler

import (
	"cmp"
	"container/heap"
	"fmt"
	"iter"
	"slices"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/scheduler/preempt"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// What a job does to others of lower priority when no node has room for it: package preempt chooses on each node, and here
// nodes are compared. Nothing of this is looked at as long as there is room.

// HintNodesMax bounds the nodes that are looked at to say that preemption would help where it is switched off.
const HintNodesMax = 64

// yields is what this attempt has done to others.
type yields struct {
	gone   map[state.AllocKey]bool
	groups map[yieldGroup]int // how many of a group
	named  []Displaced
}

type yieldGroup struct {
	job   state.JobKey
	group string
}

// Displaced is an allocation that gives way in a plan.
type Displaced struct {
	Alloc *state.Alloc
	By    fleet.UUID // the placement
	Group string     // of the placement
}

// preempts reports whether the attempt's job may take the room of others, and has any below it.
func (a *attempt) preempts() bool { return a.in.View.Preempts(a.cur.Spec) && a.outranks() }

func (a *attempt) outranks() bool { return a.priority() >= fleet.JobPriorityMin+fleet.PreemptionGap }

func (a *attempt) priority() int { return fleet.Or(a.cur.Spec.Priority, fleet.DefaultPriority) }

// bid is what would give way on one node.
type bid struct {
	at     int // position in the pool
	rows   []*state.Alloc
	choice preempt.Choice
	score  int64 // of the node, as rank has it
}

// bidOn chooses on a node that has free left.
func (a *attempt) bidOn(k state.NodeKey, whole, free, ask fleet.Ask) (o bid, ok bool) {
	n := preempt.Node{Free: free, Cap: whole}
	groups := map[yieldGroup]int{}
	for row := range a.in.View.AllocsByNode(k) {
		if !row.Yields(a.priority()) || a.yields.gone[row.Key] || a.own(row) {
			continue
		}
		g := yieldGroup{row.Version.Job, row.GroupName()}
		at, known := groups[g]
		if !known {
			at, groups[g] = len(n.Groups), len(n.Groups)
			n.Groups = append(n.Groups, preempt.Group{Gone: a.yields.groups[g], Max: mayGo(row)})
		}
		n.Candidates = append(n.Candidates, preempt.Candidate{Age: uint64(row.Key), Priority: row.Priority(), Ask: row.Ask(), Group: at})
		o.rows = append(o.rows, row)
	}
	if o.choice, ok = preempt.Choose(ask, n); !ok {
		return o, false
	}
	taken := make([]*state.Alloc, len(o.choice.Taken))
	for i, c := range o.choice.Taken {
		taken[i] = o.rows[c]
	}
	o.rows = taken
	return o, true
}

// own reports whether an allocation is of the attempt's job, or of one of its name that was purged.
func (a *attempt) own(row *state.Alloc) bool {
	s := row.Version.Spec
	return row.Version.Job == a.job.Key || s.ID == a.cur.Spec.ID && s.Namespace == a.cur.Spec.Namespace
}

// mayGo is how many of an allocation's group may go at a time: services say so, others do not mind.
func mayGo(row *state.Alloc) int {
	if row.Version.Spec.Type == fleet.JobTypeService {
		return row.GroupSpec().MigrateStep()
	}
	return fleet.GroupCountMax
}

// evict ends what a bid takes, for the placement of that ID.
func (a *attempt) evict(o *bid, by fleet.UUID, group string) {
	for _, row := range o.rows {
		if a.yields.gone == nil {
			a.yields.gone, a.yields.groups = map[state.AllocKey]bool{}, map[yieldGroup]int{}
		}
		a.yields.gone[row.Key] = true
		a.yields.groups[yieldGroup{row.Version.Job, row.GroupName()}]++
		a.yields.named = append(a.yields.named, Displaced{Alloc: row, By: by, Group: group})
		a.plan.Evictions = append(a.plan.Evictions, command.Eviction{Alloc: row.ID, By: by})
		if n := a.pool.find(row.Node); n != nil {
			give(n, row.Ask(), 1)
		}
	}
}

// givers are the nodes on which others would give way to one more of a group, the best first.
type givers struct {
	*placing
	bids []bid
}

func (g *givers) Len() int { return len(g.bids) }
func (g *givers) Less(i, k int) bool {
	a, b := &g.bids[i], &g.bids[k]
	return cmp.Or(preempt.Compare(a.choice, b.choice), cmp.Compare(b.score, a.score), cmp.Compare(a.at, b.at)) < 0
}
func (g *givers) Swap(i, k int) { g.bids[i], g.bids[k] = g.bids[k], g.bids[i] }
func (g *givers) Push(x any)    { g.bids = append(g.bids, x.(bid)) }
func (g *givers) Pop() any {
	last := g.bids[len(g.bids)-1]
	g.bids = g.bids[:len(g.bids)-1]
	return last
}

func (p *placing) newGivers() *givers {
	g := &givers{placing: p}
	if p.preempts() {
		for i := range p.pool.nodes {
			if o, ok := g.bid(i); ok {
				g.bids = append(g.bids, o)
			}
		}
		heap.Init(g)
	}
	return g
}

// bid looks at one node. One that has room by now, because more gave way there than was needed, takes nothing of anybody.
func (g *givers) bid(i int) (bid, bool) {
	if !g.may[i] || g.ranker.Crowded(i) || g.ranker.Spent(i) {
		return bid{}, false
	}
	n := &g.pool.nodes[i]
	o, ok := g.bidOn(n.Key, n.Cap, n.Free, g.request.Ask)
	if ok {
		s := g.ranker.Score(i)
		o.at, o.score = i, s.Total()
	}
	return o, ok
}

// take hands out the best node, one that is to be avoided only if there is no other.
func (g *givers) take(avoid []state.NodeKey) (out bid, ok bool) {
	var avoided []bid
	for len(g.bids) > 0 && !ok {
		o := heap.Pop(g).(bid)
		switch {
		case g.ranker.Spent(o.at): // by what was placed since; limits only ever get tighter
		case slices.Contains(avoid, g.pool.nodes[o.at].Key):
			avoided = append(avoided, o)
		default:
			out, ok = o, true
		}
	}
	if !ok && len(avoided) > 0 {
		out, ok, avoided = avoided[0], true, avoided[1:]
	}
	for _, o := range avoided {
		heap.Push(g, o)
	}
	return out, ok
}

// place ends what a bid takes, and takes the node.
func (g *givers) place(o *bid, by fleet.UUID) {
	g.evict(o, by, g.group.Spec.Name)
	g.ranker.Give(o.at)
	if again, ok := g.bid(o.at); ok {
		heap.Push(g, again)
	}
}

// mayHelp adds to the reasons that others would give way, if only jobs of this type were let. at are the positions of nodes
// that lack nothing but room.
func (a *attempt) mayHelp(m *fleet.AllocMetric, ask fleet.Ask, at iter.Seq[int]) {
	if a.in.View.Preempts(a.cur.Spec) || !a.outranks() {
		return
	}
	r, looked := fleet.Refusal{Rule: "preemption", Wants: fmt.Sprintf("priority %d", a.priority())}, 0
	for i := range at {
		if looked++; looked > HintNodesMax {
			break
		}
		n := &a.pool.nodes[i]
		if _, ok := a.bidOn(n.Key, n.Cap, n.Free, ask); ok {
			r.Nodes++
			r.Node = cmp.Or(r.Node, a.pool.rows[i].Spec.Name)
		}
	}
	if r.Nodes == 0 {
		return
	}
	r.Has = fmt.Sprintf("on %s others of priority %d or less could give way, but jobs of type %s may not preempt",
		r.Node, a.priority()-fleet.PreemptionGap, a.cur.Spec.Type)
	r.Fix = fmt.Sprintf("dunlin operator scheduler set-config -preempt-%s-scheduler=true", a.cur.Spec.Type)
	m.Refusals = append(m.Refusals, r)
}

// full yields the positions of nodes that lack nothing but room.
func (p *placing) full(yield func(int) bool) {
	for i := range p.pool.nodes {
		if !p.ranker.Fits(i) && p.may[i] && !p.ranker.Crowded(i) && !p.ranker.Spent(i) && !yield(i) {
			return
		}
	}
}

// wouldTake is how many more nodes could take one if others gave way there, and what would on the first of them.
func (p *placing) wouldTake() (nodes int, rows []*state.Alloc) {
	if !p.preempts() {
		return 0, nil
	}
	for i := range p.full {
		n := &p.pool.nodes[i]
		o, ok := p.bidOn(n.Key, n.Cap, n.Free, p.request.Ask)
		if ok && nodes == 0 {
			rows = o.rows
		}
		if ok {
			nodes++
		}
	}
	return nodes, rows
}

// PreemptedView is what an API shows of an allocation that gives way.
func PreemptedView(v *state.View, row *state.Alloc) fleet.Preempted {
	out := fleet.Preempted{ID: fleet.AllocID(row.ID.String()), Name: row.Name(), JobID: row.Version.Spec.ID, Priority: row.Priority()}
	if n := v.Node(row.Node); n != nil {
		out.NodeName = n.Spec.Name
	}
	return out
}
