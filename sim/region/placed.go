package region

import (
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// otherPool is the node pool of some devices. Most jobs are for all.
const otherPool = "vans"

// placed checks where a plan put things: in the job's pool, and within what its
// rules say about neighbours.
func (c *checks) placed(before, after *state.View, j *state.Job, p *command.Plan, index uint64) {
	cur := j.Current()
	if cur.Version != p.Version || crowdedSince(before, j, p) {
		return
	}
	for i := range p.Groups {
		ver := j.Back(cur, p.Groups[i].Back)
		g := &ver.Spec.TaskGroups[p.Groups[i].Group]
		for k, key := range p.Groups[i].Nodes {
			n := after.Node(key)
			if after.AllocByID(p.Groups[i].IDs[k]) == nil {
				continue // refused
			}
			if !n.Spec.InPool(ver.Spec.NodePool) {
				c.s.object("entry %d places job %s of pool %s on %s of pool %s", index, j.ID, ver.Spec.NodePool, n.Spec.Name, n.Spec.Pool())
			}
			c.neighbours(after, j, g, n, index)
		}
	}
}

// crowdedSince reports whether the job got an allocation that the plan's view did
// not have, other than by a plan: an orphan that was adopted.
func crowdedSince(before *state.View, j *state.Job, p *command.Plan) bool {
	for a := range before.AllocsByJob(j.Key) {
		if a.CreateIndex > p.Snapshot {
			return true
		}
	}
	return false
}

// neighbours counts what lives of a group on the node it was given, and on those of
// its class.
func (c *checks) neighbours(v *state.View, j *state.Job, g *fleet.TaskGroup, n *state.Node, index uint64) {
	here, class := 0, 0
	for a := range v.AllocsByJob(j.Key) {
		if !a.Holds() || a.GroupName() != g.Name || a.Observed == state.ObservedUnknown || !a.Next.IsZero() || a.Version != j.Current() {
			// What was given up for now may come back where another has its place; and of a plan that replaces all of a group, the part
			// for a node that went away meanwhile is refused, and its old one stays a while.
			continue
		}
		if a.Node == n.Key {
			here++
		}
		if at := v.Node(a.Node); at != nil && at.Spec.NodeClass == n.Spec.NodeClass {
			class++
		}
	}
	for _, k := range g.Constraints {
		most, _ := k.PropertyMax()
		switch {
		case k.Op() == fleet.OpDistinctHosts && here > 1:
			c.s.object("entry %d: %d of group %s of job %s are on %s, against distinct_hosts", index, here, g.Name, j.ID, n.Spec.Name)
		case k.Op() == fleet.OpDistinctProperty && class > most:
			c.s.object("entry %d: %d of group %s of job %s are on nodes of class %s, and at most %d may", index, class, g.Name, j.ID, n.Spec.NodeClass, most)
		}
	}
}
