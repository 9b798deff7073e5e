package plan

import (
	"cmp"
	"fmt"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/grant"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Rejection says why the placements on one node were refused.
type Rejection struct {
	Node       state.NodeKey
	Placements int
	Reason     string
	Whole      bool // it is not about the node: all of the plan is refused
}

// Verdict is what became of a plan.
type Verdict struct {
	Accepted command.Plan // what may be committed
	Rejected []Rejection  // in the order of the plan's nodes
	Delta    Delta        // what Accepted adds to nodes
}

// Whole reports whether nothing was refused.
func (v *Verdict) Whole() bool { return len(v.Rejected) == 0 }

// Empty reports whether there is nothing to commit.
func (v *Verdict) Empty() bool {
	p := &v.Accepted
	return len(p.Groups) == 0 && len(p.Stops) == 0 && len(p.Updates) == 0 && len(p.Evals) == 0
}

// Witness is an allocation by which one sees that the plan is in a view; zero if
// it places nothing.
func (v *Verdict) Witness() fleet.UUID {
	for i := range v.Accepted.Groups {
		if ids := v.Accepted.Groups[i].IDs; len(ids) > 0 {
			return ids[0]
		}
	}
	return fleet.UUID{}
}

// tally is what a plan does to one node.
type tally struct {
	placed, freed state.Usage
	placements    int
	refused       string
}

type check struct {
	view     *state.View
	inFlight func(state.NodeKey) state.Usage
	plan     *command.Plan
	version  *state.JobVersion
	job      *state.Job
	order    []state.NodeKey
	nodes    map[state.NodeKey]*tally
	dropped  map[fleet.UUID]bool // stops that are refused
	planted  Planted
	freed    map[state.AllocKey]bool // what stops give back, which are not
	evicted  map[fleet.UUID]bool     // evictions that would end something
	why      string                  // what is wrong with all placements at once
}

// Verify says which parts of a plan may be committed, given the newest view and
// what plans in flight add to nodes (nil: nothing). The plan is not changed.
func Verify(view *state.View, inFlight func(state.NodeKey) state.Usage, p *command.Plan) Verdict {
	return verify(view, inFlight, p, Planted{})
}

func verify(view *state.View, inFlight func(state.NodeKey) state.Usage, p *command.Plan, planted Planted) Verdict {
	c := &check{planted: planted, view: view, inFlight: inFlight, plan: p, nodes: map[state.NodeKey]*tally{}, dropped: map[fleet.UUID]bool{}, freed: map[state.AllocKey]bool{}}
	why := cmp.Or(c.whole(), c.returned())
	c.count()
	why = cmp.Or(why, c.countEvictions())
	c.why = why
	for _, k := range c.order {
		if t := c.nodes[k]; why != "" && t.placements > 0 {
			t.refused = why
		}
	}
	c.judge()
	v := c.verdict()
	if why != "" && len(p.Updates)+len(c.dropped) > 0 {
		v.Accepted.Updates = nil
		if len(v.Rejected) == 0 {
			v.Rejected = []Rejection{{Reason: why, Whole: true}}
			c.strip(&v.Accepted)
		}
	}
	return v
}

// whole looks for what is wrong with all placements at once.
func (c *check) whole() string {
	p := c.plan
	if len(p.Groups) == 0 && len(p.Updates) == 0 {
		return ""
	}
	j := c.view.JobByID(p.Namespace, p.Job)
	if j == nil {
		return fmt.Sprintf("job %s is gone", p.Job)
	}
	if j.Stop {
		return fmt.Sprintf("job %s is stopped", p.Job)
	}
	if now := j.Current().Version; now != p.Version {
		return fmt.Sprintf("version %d of job %s was registered since the plan was made of version %d", now, p.Job, p.Version)
	}
	c.job, c.version = j, j.Current()
	for i := range p.Groups {
		g := &p.Groups[i]
		n := len(g.IDs)
		if v := c.versionOf(g); v == nil || int(g.Group) >= len(v.Asks) || g.Ragged() {
			c.version = nil
			return fmt.Sprintf("the plan is malformed: group %d with %d IDs, %d nodes, %d names, %d replaced, %d granted", g.Group, n, len(g.Nodes), len(g.Names), len(g.Prevs), len(g.Granted))
		}
		if why := c.asked(g); why != "" {
			return why
		}
	}
	// What a deployment lets be placed is not on any node, where it would be counted.
	if d := c.view.DeploymentOf(j); d != nil && d.Spec.ModifyIndex > p.Snapshot {
		return fmt.Sprintf("deployment %s was changed since the plan was made", d.ID)
	}
	return ""
}

// asked compares what placements hold with what their group asks for.
func (c *check) asked(g *command.Placements) string {
	spec := &c.versionOf(g).Spec.TaskGroups[g.Group]
	if !spec.Wants() && len(g.Granted) == 0 {
		return ""
	}
	ask := grant.Of(spec)
	for i := range g.IDs {
		var packed wire.Granted
		if len(g.Granted) > 0 {
			packed = g.Granted[i]
		}
		held, err := packed.Unpack()
		if err != nil {
			return fmt.Sprintf("the plan is malformed: %v", err)
		}
		if why := ask.Differs(&held); why != "" {
			return fmt.Sprintf("the plan is malformed: a placement of group %s: %s", spec.Name, why)
		}
	}
	return ""
}

// versionOf is the version that placements are of; nil if it is not kept.
func (c *check) versionOf(g *command.Placements) *state.JobVersion {
	if g.Back == 0 {
		return c.version
	}
	return c.job.Back(c.version, g.Back)
}

// returned looks for what is to be given up though its device is back since the
// plan was made. It is kept, and the plan made anew.
func (c *check) returned() (why string) {
	j := c.view.JobByID(c.plan.Namespace, c.plan.Job)
	if j == nil || j.Stop {
		return "" // it goes in any case
	}
	for i := range c.plan.Stops {
		s := &c.plan.Stops[i]
		a := c.view.AllocByID(s.Alloc)
		if !s.Lost || a == nil || !a.Holds() {
			continue
		}
		if n := c.view.Node(a.Node); n != nil && !n.Away() {
			c.dropped[s.Alloc] = true
			why = fmt.Sprintf("node %s is back, and what it runs need not be replaced", n.Spec.Name)
		}
	}
	return why
}

func (c *check) tally(k state.NodeKey) *tally {
	t := c.nodes[k]
	if t == nil {
		t = &tally{}
		c.nodes[k] = t
		c.order = append(c.order, k)
	}
	return t
}

// count adds up what the plan does to each node.
func (c *check) count() {
	for i := range c.plan.Groups {
		g := &c.plan.Groups[i]
		ask := state.Usage{Allocs: 1}
		if c.version != nil {
			a := c.versionOf(g).Asks[g.Group]
			ask.CPU, ask.MemoryMB, ask.DiskMB = a.CPU, a.MemoryMB, a.DiskMB
		}
		for n, k := range g.Nodes {
			if len(g.Granted) == len(g.Nodes) {
				ask.Granted = g.Granted[n]
			}
			t := c.tally(k)
			t.placed, t.placements = plus(t.placed, ask), t.placements+1
		}
	}
	seen := make(map[fleet.UUID]bool, len(c.plan.Stops))
	for i := range c.plan.Stops {
		if s := &c.plan.Stops[i]; !seen[s.Alloc] && !c.dropped[s.Alloc] {
			seen[s.Alloc] = true
			c.free(s, true)
		}
	}
}

// free adds what a stop frees to its node, or takes that back.
func (c *check) free(s *command.Stop, gives bool) {
	a := c.view.AllocByID(s.Alloc)
	if a == nil || !a.Holds() || s.Desired == state.DesiredRun {
		return
	}
	ask, add := a.Ask(), plus
	if c.freed[a.Key] = gives; !gives {
		add = minus
	}
	t := c.tally(a.Node)
	t.freed = add(t.freed, state.Usage{CPU: ask.CPU, MemoryMB: ask.MemoryMB, DiskMB: ask.DiskMB, Allocs: 1})
}

// judge refuses nodes until nothing changes: a refused node keeps what its
// placements would have replaced, and that may be on a node judged before.
func (c *check) judge() {
	replaces := c.replacements()
	for changed := true; changed; {
		changed = false
		for _, k := range c.order {
			t := c.nodes[k]
			if t.placements > 0 && t.refused == "" {
				t.refused = c.refuse(k, t)
			}
		}
		for i := range c.plan.Stops {
			s := &c.plan.Stops[i]
			k, ok := replaces[s.Alloc]
			if !ok || s.Lost || c.dropped[s.Alloc] || c.nodes[k].refused == "" {
				continue
			}
			c.dropped[s.Alloc] = true
			c.free(s, false)
			changed = true
		}
		if changed && c.apart() {
			c.refuseAll()
		}
	}
}

// apart reports whether the job limits how many of it may be on one node, or on nodes of one value.
func (c *check) apart() bool {
	return c.version != nil && c.version.Spec.Apart()
}

// refuseAll refuses what was to be placed, when one stays that was to be replaced: the scheduler counted it as gone, and another one's
// successor may be where it is. The rejected alternative, to look for which of them, is the scheduler's whole work again, for
// something rare; it tries anew.
func (c *check) refuseAll() {
	for _, k := range c.order {
		if t := c.nodes[k]; t.placements > 0 && t.refused == "" {
			t.refused = "one that was to be replaced stays, and the job limits how many may be together"
		}
	}
}

// replacements tells on which node the successor of an allocation is placed.
func (c *check) replacements() map[fleet.UUID]state.NodeKey {
	out := map[fleet.UUID]state.NodeKey{}
	for i := range c.plan.Groups {
		g := &c.plan.Groups[i]
		if len(g.Prevs) != len(g.Nodes) {
			continue
		}
		for n, prev := range g.Prevs {
			if !prev.Alloc.IsZero() {
				out[prev.Alloc] = g.Nodes[n]
			}
		}
	}
	return out
}

func (c *check) refuse(k state.NodeKey, t *tally) string {
	n := c.view.Node(k)
	if n == nil {
		return fmt.Sprintf("node #%d is gone", k)
	}
	if !n.Ready() {
		return fmt.Sprintf("node %s takes no new work: it is %s", n.Spec.Name, condition(n))
	}
	used := minus(c.view.Usage(k), t.freed)
	if c.inFlight != nil {
		used = plus(used, c.inFlight(k))
	}
	room, want := n.Room, plus(used, t.placed)
	if want.CPU > room.CPU {
		return fmt.Sprintf("node %s has %d MHz for allocations, %d are taken by now, the plan wants %d", n.Spec.Name, room.CPU, used.CPU, t.placed.CPU)
	}
	if want.MemoryMB > room.MemoryMB {
		return fmt.Sprintf("node %s has %d MiB for allocations, %d are taken by now, the plan wants %d", n.Spec.Name, room.MemoryMB, used.MemoryMB, t.placed.MemoryMB)
	}
	if want.DiskMB > room.DiskMB {
		return fmt.Sprintf("node %s has %d MiB of disk for allocations, %d are taken by now, the plan wants %d", n.Spec.Name, room.DiskMB, used.DiskMB, t.placed.DiskMB)
	}
	return c.clash(n, t, used.Granted)
}

// clash says what of that which the plan's placements on a node hold somebody else
// holds, or another of them.
func (c *check) clash(n *state.Node, t *tally, inFlight wire.Granted) string {
	if t.placed.Granted == "" || c.planted.GrantsUnchecked {
		return ""
	}
	held := grant.Load(c.view, n, inFlight, func(k state.AllocKey) bool { return c.freed[k] })
	placed, err := t.placed.Granted.UnpackAll()
	if err != nil {
		return err.Error()
	}
	for i := range placed {
		if c.planted.DevicesUnchecked {
			placed[i].Devices = nil
		}
		if why := cmp.Or(held.Clash(&placed[i]), held.Missing(&placed[i])); why != "" {
			return why + " by now"
		}
		held.Hold(&placed[i])
	}
	return ""
}

func condition(n *state.Node) string {
	if !n.Identity.Trusted() {
		return n.Identity.Standing
	}
	if n.Ineligible {
		return fleet.NodeIneligible
	}
	return string(n.Link)
}

func (c *check) verdict() Verdict {
	v := Verdict{Accepted: *c.plan, Delta: Delta{}}
	for _, k := range c.order {
		t := c.nodes[k]
		if t.refused != "" {
			v.Rejected = append(v.Rejected, Rejection{k, t.placements, t.refused, c.why != ""})
			continue
		}
		if t.placements > 0 && t.placed != (state.Usage{}) {
			v.Delta[k] = t.placed
		}
	}
	if len(v.Rejected) > 0 {
		c.strip(&v.Accepted)
	}
	c.keepEvictions(&v.Accepted)
	return v
}

// strip leaves in a plan what was accepted of it.
func (c *check) strip(p *command.Plan) {
	p.Evals, p.Stops, p.Groups = nil, nil, nil // evictions: see keepEvictions
	for _, s := range c.plan.Stops {
		marks := s.Desired == state.DesiredRun && !s.Followup.IsZero()
		if !c.dropped[s.Alloc] && !marks {
			p.Stops = append(p.Stops, s)
		}
	}
	for i := range c.plan.Groups {
		g := &c.plan.Groups[i]
		kept := command.Placements{Group: g.Group, Back: g.Back}
		for n, k := range g.Nodes {
			if c.nodes[k].refused != "" {
				continue
			}
			kept.Nodes, kept.Names, kept.IDs = append(kept.Nodes, k), append(kept.Names, g.Names[n]), append(kept.IDs, g.IDs[n])
			if len(g.Prevs) > 0 {
				kept.Prevs = append(kept.Prevs, g.Prevs[n])
			}
			if len(g.Granted) > 0 {
				kept.Granted = append(kept.Granted, g.Granted[n])
			}
		}
		if len(kept.IDs) > 0 {
			p.Groups = append(p.Groups, kept)
		}
	}
}
