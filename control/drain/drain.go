package drain

import (
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Decision is what to do now.
type Decision struct {
	Step command.DrainStep // without time and seed
	Wake int64             // Unix nanoseconds of the next deadline; 0: none
}

// Empty reports whether there is nothing to do.
func (d *Decision) Empty() bool { return len(d.Step.Marks)+len(d.Step.Done) == 0 }

type groupKey struct {
	job  state.JobKey
	name string
}

type decider struct {
	v     *state.View
	now   int64
	spare map[groupKey]int // how many more of a group may leave
	left  int              // how many more may be marked in this entry
	out   Decision
}

// Decide looks at the draining nodes among those given, in their order.
func Decide(v *state.View, nodes []*state.Node, now int64) Decision {
	d := &decider{v: v, now: now, spare: map[groupKey]int{}, left: command.DrainMarksMax}
	for _, n := range nodes {
		if n.Drain != nil {
			d.node(n)
		}
	}
	return d.out
}

// holding is what a node still has.
type holding struct {
	service, ending, everywhere []*state.Alloc // to move, to end by itself, on every node
	stopping                    int            // stopped, and the device has not told the end
}

func (d *decider) survey(n *state.Node) (h holding) {
	for a := range d.v.AllocsByNode(n.Key) {
		switch t := a.Version.Spec.Type; {
		case !a.Holds():
			// A device without a link tells nothing; it stops what it was told when it is back.
			if !a.Observed.Terminal() && !n.Away() {
				h.stopping++
			}
		case fleet.PerNode(t) && n.Drain.IgnoreSystem:
		case fleet.Finite(t):
			h.ending = append(h.ending, a)
		case fleet.PerNode(t):
			h.everywhere = append(h.everywhere, a)
		default:
			h.service = append(h.service, a)
		}
	}
	return h
}

func (d *decider) node(n *state.Node) {
	h := d.survey(n)
	if len(h.service)+len(h.ending)+len(h.everywhere)+h.stopping == 0 {
		if len(d.out.Step.Done) < command.DrainMarksMax {
			d.out.Step.Done = append(d.out.Step.Done, command.DrainDone{Node: n.ID, StartedAt: n.Drain.StartedAt})
		}
		return
	}
	mark := command.DrainMark{Node: n.ID}
	add := func(a *state.Alloc) {
		if d.left > 0 && !n.Drain.Marked(a.ID) {
			d.left--
			mark.Allocs = append(mark.Allocs, a.ID)
		}
	}
	switch due := n.Drain.Deadline; {
	case due != 0 && due <= d.now:
		mark.Force = true
		for _, rows := range [3][]*state.Alloc{h.service, h.ending, h.everywhere} {
			for _, a := range rows {
				add(a)
			}
		}
	default:
		if due != 0 && (d.out.Wake == 0 || due < d.out.Wake) {
			d.out.Wake = due
		}
		for _, a := range h.service {
			if !n.Drain.Marked(a.ID) && d.mayLeave(a) {
				add(a)
			}
		}
		if len(h.service)+len(h.ending)+h.stopping == 0 {
			for _, a := range h.everywhere {
				add(a)
			}
		}
	}
	if len(mark.Allocs) > 0 || mark.Force && !n.Drain.Forced {
		d.out.Step.Marks = append(d.out.Step.Marks, mark)
	}
}

// mayLeave takes one from what the group can spare. One that does not run is no
// loss, and one that no group wants will be stopped anyway.
func (d *decider) mayLeave(a *state.Alloc) bool {
	j := d.v.Job(a.Version.Job)
	if j == nil || j.Stop {
		return false
	}
	i := j.Current().GroupIndex(a.GroupName())
	if i < 0 {
		return false
	}
	if a.Observed != state.ObservedRunning {
		return true
	}
	k := groupKey{j.Key, a.GroupName()}
	spare, known := d.spare[k]
	if !known {
		g := &j.Current().Spec.TaskGroups[i]
		spare = g.MigrateStep() - *g.Count
		for o := range d.v.AllocsByJob(j.Key) {
			if o.GroupName() == k.name && o.Holds() && o.Observed == state.ObservedRunning && !d.v.Node(o.Node).Drain.Marked(o.ID) {
				spare++
			}
		}
	}
	d.spare[k] = spare - 1
	return spare > 0
}
