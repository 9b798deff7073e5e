package term

import (
	"cmp"
	"slices"

	"github.com/dunlin-edge/dunlin/control/grant"
	"github.com/dunlin-edge/dunlin/control/scheduler/feasible"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Limits of what a term remembers of room.
const (
	RoomsMax  = 8192 // newest; whoever blocked before the oldest of them is woken by any
	JudgesMax = 4096 // groups whose rules are compiled
)

// room is where blocked work may find place: it wakes just those evaluations that could use what became free. Waking all of them
// was simpler, and in a region where thousands of jobs wait each end of an allocation then cost thousands of evaluations in vain.
//
// What it says yes to may still not be placed; what it says no to must not be placeable, or it would wait for ever. So it asks
// only what has to hold: that a group which waits fits into what is free on the node, plans under way not counted, and that the
// node meets the group's rules. Where it cannot know, the answer is yes.
type room struct {
	came   []came // oldest first
	floor  uint64 // newest index that is forgotten
	upto   uint64 // newest index that is known
	judges map[judged]*feasible.Checker
	filled filled
}

// came is a node that became able to take more.
type came struct {
	index uint64
	node  state.NodeKey
}

type judged struct {
	version *state.JobVersion
	group   int
}

// take adds the nodes that became able to take more since the last look.
func (r *room) take(fresh []came) {
	slices.SortFunc(fresh, func(a, b came) int { return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(a.node, b.node)) })
	r.came = append(r.came, fresh...)
	if n := len(r.came); n > 0 {
		r.upto = max(r.upto, r.came[n-1].index)
	}
	if over := len(r.came) - RoomsMax; over > 0 {
		r.floor = r.came[over-1].index
		r.came = slices.Delete(r.came, 0, over)
	}
}

// newest is the newest index above after at which room came that the evaluation may use, or 0, and up to which index that is
// known.
func (r *room) newest(v *state.View, e *state.Eval, after uint64) (index, upto uint64) {
	if after < r.floor {
		return r.upto, r.upto
	}
	if at := r.preempts(v, e, after); at > 0 {
		return at, r.upto
	}
	for i := len(r.came) - 1; i >= 0 && r.came[i].index > after; i-- {
		if n := v.Node(r.came[i].node); n != nil && r.uses(v, e, n) {
			return r.came[i].index, r.upto
		}
	}
	return 0, r.upto
}

// uses reports whether something that waits for room may find it on the node.
func (r *room) uses(v *state.View, e *state.Eval, n *state.Node) bool {
	j := v.JobByID(e.Namespace, e.Job)
	if j == nil || j.Stop || j.JobModifyIndex != e.JobIndex {
		return true // it has to look at another job than the one it waits with
	}
	waits := false
	for i := range e.Groups {
		g := &e.Groups[i]
		if g.Queued == 0 {
			continue
		}
		waits = true
		versions := j.Versions[:1]
		if v.DeploymentOf(j) != nil {
			versions = j.Versions // older ones may wait to be placed again
		}
		for _, version := range versions {
			if group := version.GroupIndex(g.Group); group < 0 || r.takes(v, version, group, n) {
				return true
			}
		}
	}
	return !waits
}

func (r *room) takes(v *state.View, version *state.JobVersion, group int, n *state.Node) bool {
	c := r.judge(version, group)
	if len(c.Properties()) > 0 {
		return true // the end of an allocation here may let another node take one
	}
	return n.Ready() && fits(v, version, group, n) && c.Judge(n.Spec, n.Class) && grants(v, version, group, n)
}

// grants asks for ports and devices, with what the job itself holds on the node counted as free for the same reason.
func grants(v *state.View, version *state.JobVersion, group int, n *state.Node) bool {
	ask := grant.Of(&version.Spec.TaskGroups[group])
	if ask == nil {
		return true
	}
	own := func(k state.AllocKey) bool {
		a := v.Alloc(k)
		return a != nil && a.Version.Job == version.Job
	}
	return grant.Load(v, n, "", own).Room(ask, 1) > 0
}

// fits counts what the job itself has on the node as free, since a successor takes the place of its predecessor, and what may
// have to give way to it.
func fits(v *state.View, version *state.JobVersion, group int, n *state.Node) bool {
	want, whole := v.Usage(n.Key).Ask().Plus(version.Asks[group]), n.Room
	if want.Within(whole) {
		return true
	}
	preempts, priority := v.Preempts(version.Spec), fleet.Or(version.Spec.Priority, fleet.DefaultPriority)
	for a := range v.AllocsByNode(n.Key) {
		if a.Version.Job == version.Job && a.Holds() || preempts && a.Yields(priority) {
			want = want.Minus(a.Ask())
		}
	}
	return want.Within(whole)
}

func (r *room) judge(version *state.JobVersion, group int) *feasible.Checker {
	key := judged{version, group}
	c := r.judges[key]
	if c == nil {
		if r.judges == nil || len(r.judges) >= JudgesMax {
			r.judges = map[judged]*feasible.Checker{}
		}
		c = feasible.New(version.Spec, &version.Spec.TaskGroups[group])
		r.judges[key] = c
	}
	return c
}
