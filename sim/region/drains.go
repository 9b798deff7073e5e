package region

import (
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// drained objects to a step of a drain, before its deadline, that leaves a group of a
// service with fewer that run and may stay than its migrate block allows, and to one
// that ends batch work.
func (c *checks) drained(v *state.View, p *command.DrainStep, index uint64) {
	for i := range p.Marks {
		m := &p.Marks[i]
		if n := v.NodeByID(m.Node); n == nil || n.Drain == nil || n.Drain.Forced {
			continue
		}
		for _, id := range m.Allocs {
			a := v.AllocByID(id)
			if a == nil || !a.Holds() || a.Observed != state.ObservedRunning {
				continue
			}
			j := v.Job(a.Version.Job)
			if j == nil || j.Stop || j.Current().GroupIndex(a.GroupName()) < 0 {
				continue
			}
			if fleet.Finite(a.Version.Spec.Type) {
				c.s.object("entry %d takes %s of a %s job from its node before the deadline", index, a.Name(), a.Version.Spec.Type)
			}
			g := &j.Current().Spec.TaskGroups[j.Current().GroupIndex(a.GroupName())]
			if stay := c.staying(v, j, g.Name); a.Version.Spec.Type == fleet.JobTypeService && stay < *g.Count-g.MigrateStep() {
				c.s.object("entry %d leaves %d of %d of group %s of job %s to run; max_parallel is %d", index, stay, *g.Count, g.Name, j.ID, g.MigrateStep())
			}
		}
	}
}

func (c *checks) staying(v *state.View, j *state.Job, group string) (n int) {
	for a := range v.AllocsByJob(j.Key) {
		if a.GroupName() == group && a.Holds() && a.Observed == state.ObservedRunning && !v.Node(a.Node).Drain.Marked(a.ID) {
			n++
		}
	}
	return n
}

// drains objects when a drain rests: all that may keep a node from being empty is
// a service that finds no other place, before the deadline.
func (c *checks) drains(v *state.View) {
	for n := range v.Nodes() {
		if n.Drain == nil {
			continue
		}
		late, waits, rest := n.Drain.Deadline != 0 && n.Drain.Deadline < c.s.now.UnixNano(), 0, 0
		for a := range v.AllocsByNode(n.Key) {
			switch {
			case a.Holds() && a.Version.Spec.Type == fleet.JobTypeService && !late, a.Holds() && !a.GroupSpec().Replaced():
				waits++
			case a.Holds() && fleet.Finite(a.Version.Spec.Type) && n.Away() && !late:
				waits++ // for its own end, which nobody can tell
			case a.Holds() && !(fleet.PerNode(a.Version.Spec.Type) && n.Drain.IgnoreSystem):
				rest++
			}
		}
		if waits == 0 || late && rest > 0 {
			c.s.object("at rest node %s is still drained: %d wait for a place, %d do not, deadline passed: %t", n.Spec.Name, waits, rest, late)
		}
	}
}
