package term

import (
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// filled is where work was placed that others may displace. Of a plan under way a scheduler sees how much it takes and not of
// what priority: a job that could have taken that room blocks, and no room comes when the plan lands. So it is told here.
type filled struct {
	nodes []placed // oldest first
	floor uint64   // newest index that is forgotten
	began uint64   // what landed in earlier terms is not known
	fresh bool     // there are some that nobody was told of
}

type placed struct {
	came
	priority int
}

// landed adds the nodes of a plan that is in the view.
func (f *filled) landed(v *state.View, p *command.Plan) {
	if v.SchedulerConfig().PreemptionConfig == (fleet.PreemptionConfig{}) {
		return
	}
	for i := range p.Groups {
		for _, k := range p.Groups[i].Nodes {
			f.nodes, f.fresh = append(f.nodes, placed{came{v.Index() + 1, k}, p.Priority}), true
		}
	}
	if over := len(f.nodes) - RoomsMax; over > 0 {
		f.floor = f.nodes[over-1].index
		f.nodes = f.nodes[over:] // append copies what is left when the array is full, not each plan
	}
}

// preempts is an index above after since which an evaluation's job may find others to displace, or 0.
func (r *room) preempts(v *state.View, e *state.Eval, after uint64) uint64 {
	j := v.JobByID(e.Namespace, e.Job)
	if j == nil || j.Stop || !v.Preempts(j.Current().Spec) {
		return 0
	}
	f := &r.filled
	if all := max(f.floor, f.began, v.SchedulerConfig().ModifyIndex); all > after {
		return all
	}
	priority := fleet.Or(j.Current().Spec.Priority, fleet.DefaultPriority)
	for i := len(f.nodes) - 1; i >= 0 && f.nodes[i].index > after; i-- {
		p := &f.nodes[i]
		if p.priority > priority-fleet.PreemptionGap {
			continue
		}
		if n := v.Node(p.node); n != nil && r.uses(v, e, n) {
			return p.index
		}
	}
	return 0
}
