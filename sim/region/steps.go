package region

import (
	"slices"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// stepped objects to a plan that has more of an update under way than its group
// says: those that it replaces, and those of the new version that do not run yet.
func (c *checks) stepped(before *state.View, p *command.Plan, index uint64) {
	j := before.JobByID(p.Namespace, p.Job)
	if j == nil || j.Stop || j.Current().Version != p.Version {
		return
	}
	for i := range p.Groups {
		g := &p.Groups[i]
		if g.Back > 0 {
			continue // nothing is replaced by an older version but by itself
		}
		spec := &j.Current().Spec.TaskGroups[g.Group]
		if spec.Step() == 0 {
			continue
		}
		replaced := 0
		for _, prev := range g.Prevs {
			a := before.AllocByID(prev.Alloc)
			if a != nil && a.Holds() && a.Version != j.Current() && before.Node(a.Node).Link != fleet.LinkLost && !onBattery(a, before.Node(a.Node)) {
				replaced++
			}
		}
		if way := c.underWay(before, j, spec, p); replaced > 0 && replaced+way > spec.Step() {
			c.s.object("entry %d replaces %d of group %s of job %s while %d of the new version do not run; max_parallel is %d",
				index, replaced, spec.Name, j.ID, way, spec.Step())
		}
	}
}

// underWay counts what is wanted of the current version and does not run yet, or, as
// the plan could know, not for long enough. What the plan itself gives up, with its
// node, is not waited for.
func (c *checks) underWay(v *state.View, j *state.Job, g *fleet.TaskGroup, p *command.Plan) (n int) {
	for a := range v.AllocsByJob(j.Key) {
		if slices.ContainsFunc(p.Stops, func(s command.Stop) bool { return s.Alloc == a.ID }) {
			continue
		}
		if a.Version != j.Current() || a.GroupName() != g.Name || a.Desired != state.DesiredRun || a.Prev.IsZero() {
			continue
		}
		young := a.Observed == state.ObservedRunning && a.ModifyIndex <= p.Snapshot && p.At-a.ModifyTime < int64(g.MinHealthy())
		if young || a.Observed == state.ObservedPending {
			n++
		}
	}
	return n
}

// updated objects when an update rests before its end for no reason: nothing of the
// new version fails, nothing waits for room, and some of the old one run on.
func (c *checks) updated(v *state.View, j *state.Job) {
	for e := range v.EvalsByJob(j.Namespace, j.ID) {
		if e.Status == fleet.EvalBlocked {
			return
		}
	}
	if heldBack(v, j) {
		return
	}
	cur := j.Current()
	for gi := range cur.Spec.TaskGroups {
		g, old := &cur.Spec.TaskGroups[gi], 0
		for a := range v.AllocsByJob(j.Key) {
			switch {
			case a.GroupName() == g.Name && a.Desired != state.DesiredRun && !a.Observed.Terminal() && !g.Replaced():
				return // its end is awaited, from a device that may never come back
			case a.GroupName() == g.Name && a.Holds() && waitsForOrphan(v, a):
				return // an operator decides about that one
			case a.GroupName() != g.Name || j.Stop || g.Step() == 0 || a.Desired != state.DesiredRun || !a.Next.IsZero():
			case a.Observed.Terminal() && fleet.UpdateKind(a.GroupSpec(), g, a.Version.Spec, cur.Spec) != fleet.ChangeRestart:
				return // it failed, and the update stops there
			case fleet.PerNode(cur.Spec.Type) && !offers(v.Node(a.Node).Spec, g):
				// The new version is not for its node, which keeps the old one.
			case a.Holds() && v.Node(a.Node).Ready() && a.Version.GroupIndex(g.Name) >= 0 &&
				fleet.UpdateKind(a.GroupSpec(), g, a.Version.Spec, cur.Spec) == fleet.ChangeRestart:
				old++
			}
		}
		if old > 0 {
			c.describe(v, j)
			c.s.object("at rest %d of group %s of job %s are of an old version, and nothing holds the update up", old, g.Name, j.ID)
		}
	}
}
