package region

import (
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/grant"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// perNode looks at a plan of a job that runs on every node.
func (c *checks) perNode(before, after *state.View, j *state.Job, p *command.Plan, index uint64) {
	type place struct {
		node  state.NodeKey
		group string
	}
	on := map[place]*state.Alloc{}
	for a := range after.AllocsByJob(j.Key) {
		at := place{a.Node, a.GroupName()}
		if !a.Holds() || !fleet.PerNode(a.Version.Spec.Type) {
			continue // it was a job of another type, and its nodes change one by one
		}
		if other := on[at]; other != nil {
			c.s.object("entry %d gives node %d two of group %s: %s and %s", index, a.Node, at.group, short(other.ID), short(a.ID))
		}
		on[at] = a
	}
	for i := range p.Stops {
		row := before.AllocByID(p.Stops[i].Alloc)
		if !p.Stops[i].Lost || p.Stops[i].Desired == state.DesiredRun || row == nil || row.Version != j.Current() || j.Stop {
			continue
		}
		c.s.object("entry %d stops %s on a node that is away; its device may come back with it", index, short(row.ID))
	}
}

// everywhere objects when a node that could has nothing of a job for every node.
// An allocation that ended and is wanted is enough: a failure stands, and so does
// work that is done.
func (c *checks) everywhere(v *state.View, j *state.Job) {
	for gi := range j.Current().Spec.TaskGroups {
		g, ask := &j.Current().Spec.TaskGroups[gi], j.Current().Asks[gi]
		for n := range v.Nodes() {
			var live, ended int
			for a := range v.AllocsByNode(n.Key) {
				switch {
				case a.Version.Job != j.Key || a.GroupName() != g.Name:
				case a.Holds():
					live++
				case a.Desired == state.DesiredRun && (a.Observed == state.ObservedFailed || fleet.Finite(j.Current().Spec.Type)):
					ended++
				}
			}
			fits := v.Usage(n.Key).Ask().Plus(ask).Within(n.Spec.Capacity())
			fits = fits && grant.Load(v, n, "", nil).Room(grant.Of(g), 1) > 0
			switch wants := *g.Count > 0 && n.Ready() && n.Spec.InPool(j.Current().Spec.NodePool) && meets(g, n); {
			case live > 1:
				c.s.object("at rest node %s has %d of group %s of job %s", n.Spec.Name, live, g.Name, j.ID)
			case wants && fits && live+ended == 0:
				c.describe(v, j)
				c.s.object("at rest node %s has nothing of group %s of job %s, and could", n.Spec.Name, g.Name, j.ID)
			case live > 0 && *g.Count == 0 && n.Link == fleet.LinkOnline:
				c.s.object("at rest node %s has one of group %s of job %s, whose count is 0", n.Spec.Name, g.Name, j.ID)
			}
		}
	}
}

// meets reads the constraints that users here write (users.go).
func meets(g *fleet.TaskGroup, n *state.Node) bool {
	for _, k := range g.Constraints {
		switch k.LTarget {
		case "${attr.arch}":
			if n.Spec.Attributes["arch"] != k.RTarget {
				return false
			}
		case "${attr." + powerSource + "}":
			if n.Spec.Attributes[powerSource] == k.RTarget {
				return false
			}
		}
	}
	return true
}
