package scheduler

import (
	"math/rand/v2"
	"strings"

	"github.com/dunlin-edge/dunlin/control/scheduler/reconcile"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Why says of each group of a job which nodes could take one more, and by which
// rules the others could not. With a node it is asked about that one alone, each
// rule for itself, and a node that takes no new work is judged like the others.
// It places nothing; it is the very code that would.
func Why(in Input, job *state.Job, only *state.Node) *fleet.JobExplanation {
	in.Eval = &state.Eval{Namespace: job.Namespace, Job: job.ID}
	cur := job.Current()
	out := &fleet.JobExplanation{JobID: job.ID, Version: cur.Version}
	if only != nil {
		out.NodeID, out.NodeName = fleet.NodeID(only.ID.String()), only.Spec.Name
	}
	groups := standing(in.View, job)
	for i := range groups {
		g := &groups[i]
		e := fleet.GroupExplanation{Name: g.Spec.Name, Count: *g.Spec.Count, Live: len(g.Keep)}
		short := max(0, e.Count-e.Live)
		if fleet.PerNode(cur.Spec.Type) {
			short = 0
		}
		whole := newLook(in, job, groups).look(g, loadPool(&in, cur.Spec), short, false)
		if whole.perNode {
			e.Count = whole.everywhere(e.Live)
		}
		e.Metric, e.Could = whole.metric(), whole.could()
		e.WouldPreempt, _ = whole.wouldTake()
		if only != nil {
			for _, row := range g.Keep {
				if row.Node == only.Key {
					e.Here++
				}
			}
			whole.single(&in, groups, g, only, short, &e)
		} else {
			whole.refusals(e.Metric)
		}
		out.Groups = append(out.Groups, e)
	}
	return out
}

func newLook(in Input, job *state.Job, groups []reconcile.Group) *attempt {
	return &attempt{in: in, job: job, cur: job.Current(), rng: rand.NewChaCha8(in.Seed), groups: groups}
}

// look is a placing that nothing is taken from.
func (a *attempt) look(g *reconcile.Group, nodes *pool, short int, eachRule bool) *placing {
	a.pool = nodes
	a.pool.settle(&reconcile.Result{Groups: a.groups})
	p := a.newPlacing(g, eachRule)
	p.short = short
	return p
}

// standing is what lives of the job, as a reconciler that keeps all of it says.
func standing(v *state.View, job *state.Job) []reconcile.Group {
	spec := job.Current().Spec
	groups := make([]reconcile.Group, len(spec.TaskGroups))
	at := map[string]int{}
	for i := range groups {
		groups[i] = reconcile.Group{Index: i, Spec: &spec.TaskGroups[i]}
		at[spec.TaskGroups[i].Name] = i
	}
	for row := range v.AllocsByJob(job.Key) {
		if i, known := at[row.GroupName()]; known && row.Holds() {
			groups[i].Keep = append(groups[i].Keep, row)
		}
	}
	return groups
}

// could counts the nodes that could take one more.
func (p *placing) could() int {
	n := 0
	for i := range p.pool.nodes {
		if p.may[i] && p.ranker.Open(i) {
			n++
		}
	}
	return n
}

// everywhere is how many a job with one on each node should have: on those that
// the rules admit, and those that live elsewhere and are let be.
func (p *placing) everywhere(live int) int {
	for i := range p.pool.nodes {
		if p.may[i] && p.pool.nodes[i].InGroup == 0 {
			live++
		}
	}
	return live
}

// single is the explanation of one node: its refusals by themselves, its score
// among all.
func (p *placing) single(in *Input, groups []reconcile.Group, g *reconcile.Group, only *state.Node, short int, e *fleet.GroupExplanation) {
	alone := &pool{in: in, granted: granted{on: asks(p.cur.Spec)}}
	alone.add(in, only, in.View.Usage(only.Key))
	if !only.Ready() {
		alone.absent = append(alone.absent, only)
	}
	one := newLook(*in, p.job, groups)
	s := one.look(g, alone, short, true)
	m := &fleet.AllocMetric{NodesEvaluated: 1, NodesInPool: 1}
	s.refusals(m)
	for i := range m.Refusals {
		m.Refusals[i].Has = strings.ReplaceAll(m.Refusals[i].Has, "1 node ", only.Spec.Name+" ")
	}
	if i, ok := p.pool.position(only.Key); ok && p.may[i] {
		m.ScoreMetaData = []fleet.NodeScore{p.score(p.ranker.Score(i))}
	}
	e.Metric, e.Could, e.WouldPreempt = m, 1, 0
	if len(m.Refusals) == 0 {
		return
	}
	e.Could = 0
	if !only.Ready() {
		return
	}
	var rows []*state.Alloc
	e.WouldPreempt, rows = s.wouldTake()
	for _, row := range rows {
		e.Preempts = append(e.Preempts, PreemptedView(in.View, row))
	}
}
