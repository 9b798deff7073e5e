package reconcile

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Jobs that have one allocation on every feasible node: here the slots of a group
// are nodes, and an allocation never leaves its own. So nothing is moved, nothing
// is rescheduled, and what is on a lost node is given up for now and not replaced:
// when its device is back and says that it runs, it is simply kept.

// Field is what such a job sees of the nodes.
type Field struct {
	// Nodes yields those that take new work, by key.
	Nodes iter.Seq[*state.Node]
	// Row is any node, nil for one that is gone.
	Row func(state.NodeKey) *state.Node
	// Admits reports whether the rules of the group of that position let it be
	// placed on the node; asked once per group and node.
	Admits func(group int, n *state.Node) bool
	// Fits reports whether there is room on a node for one of the group instead of
	// an allocation there.
	Fits func(group int, n *state.Node, instead *state.Alloc) bool
}

// PerNode compares a job of that kind.
func PerNode(in Input) Result {
	if in.Job == nil || in.Job.Stop {
		return Reconcile(in)
	}
	cur := in.Job.Current()
	var out Result
	groups := make([]perNode, len(cur.Spec.TaskGroups))
	for i := range groups {
		groups[i] = perNode{
			sorter: sorter{in: &in, cur: cur, out: &out, group: Group{Index: i, Spec: &cur.Spec.TaskGroups[i], Pinned: true}},
			on:     map[state.NodeKey]*slot{},
		}
	}
	// Of two on a node the one that is as it should be stays, however young.
	fits := func(a *state.Alloc) bool { return a.Version == cur && a.Holds() }
	for _, first := range [2]bool{true, false} {
		for _, a := range in.Allocs {
			if fits(a) != first {
				continue
			}
			if i, why := in.groupOf(cur, a); i >= 0 {
				groups[i].add(a)
			} else {
				in.end(&out, a, why)
			}
		}
	}
	for i := range groups {
		groups[i].settle()
		out.Groups = append(out.Groups, groups[i].group)
	}
	return out
}

// slot is what a group has on one node.
type slot struct {
	taken bool         // something holds it, or nothing may be placed
	prev  *state.Alloc // the newest that had it, without a successor
}

type perNode struct {
	sorter
	on  map[state.NodeKey]*slot
	all []*state.Alloc
	old []Place // that the new version may replace
}

func (p *perNode) slot(k state.NodeKey) *slot {
	s := p.on[k]
	if s == nil {
		s = &slot{}
		p.on[k] = s
	}
	return s
}

// add sorts one allocation; of each kind they come oldest first.
func (p *perNode) add(a *state.Alloc) {
	s, g := p.slot(a.Node), &p.group
	p.all = append(p.all, a)
	switch {
	case a.Desired != state.DesiredRun && !a.Observed.Terminal() && !g.Spec.Replaced():
		s.taken = true
		g.Ending++
	case a.Desired != state.DesiredRun:
		s.free(a)
	case !a.Observed.Terminal():
		p.addLive(s, a)
	case p.kind(a) == fleet.ChangeRestart || a.Observed == state.ObservedLost || !a.Next.IsZero():
		s.free(a)
	case a.Observed == state.ObservedFailed:
		// Its node is the only place it has, and its restart policy is used up there.
		s.taken = true
		g.Spent++
	case p.in.Rules.CompleteStays:
		s.taken = true
		g.Done++
	default:
		s.free(a)
	}
}

func (s *slot) free(a *state.Alloc) {
	if a.Next.IsZero() {
		s.prev = a
	}
}

func (p *perNode) addLive(s *slot, a *state.Alloc) {
	name, lost := p.in.Lost(a.Node)
	n := p.in.Field.Row(a.Node)
	switch {
	case *p.group.Spec.Count == 0:
		p.lose(a, fmt.Sprintf("not needed: the count of %s is 0", p.group.Spec.Name))
		return
	case s.taken:
		p.lose(a, fmt.Sprintf("another allocation of group %s is on its node", p.group.Spec.Name))
		return
	case n == nil || n.Identity.Revoked():
		p.out.Stops = append(p.out.Stops, Stop{Alloc: a, Lost: true, Reason: lostReason(name)})
		p.group.Lost++
		return
	}
	s.taken = true
	if why, _ := p.moving(a); why != "" {
		p.lose(a, why)
		return
	}
	switch kind := p.kind(a); {
	case lost && a.Observed != state.ObservedUnknown && p.group.Spec.Replaced():
		p.out.Unknown = append(p.out.Unknown, Stop{Alloc: a, Lost: true, Reason: lostReason(name) + "; it is kept when the device is back"})
		p.group.Lost++
	case lost: // nothing can be done about it before it is back
		p.group.Keep = append(p.group.Keep, a)
	case kind == fleet.ChangeNone:
		if why, broken := p.broken(a); broken {
			p.lose(a, why)
		} else {
			p.group.Keep = append(p.group.Keep, a)
		}
	case !p.in.Stays(p.group.Index, a.Node):
		p.lose(a, fmt.Sprintf("node %s does not meet the rules of version %d of the job", n.Spec.Name, p.cur.Version))
	case kind == fleet.ChangeInPlace:
		p.group.InPlace = append(p.group.InPlace, a)
	default:
		p.renew(a, n)
	}
}

// renew notes an allocation that the new version replaces where that can be now. A
// node that takes no new work keeps the old one until it does.
func (p *perNode) renew(a *state.Alloc, n *state.Node) {
	if !n.Ready() || !p.in.Field.Admits(p.group.Index, n) {
		p.group.Keep = append(p.group.Keep, a)
		return
	}
	p.old = append(p.old, Place{Prev: a, Replace: true, Node: n.Key})
}

// advance takes the next step of an update, by node.
func (p *perNode) advance() {
	g := &p.group
	slices.SortFunc(p.old, byNode)
	limit, next := p.step(p.all)
	for _, s := range p.old {
		switch {
		case !p.in.Field.Fits(g.Index, p.in.Field.Row(s.Node), s.Prev):
			s.NoRoom = true // a full node holds up nobody else's step
			g.Place = append(g.Place, s)
		case limit == 0:
			g.Keep = append(g.Keep, s.Prev)
			g.Later++
		case !g.Spec.Replaced():
			p.release(s.Prev, "")
			g.Ending++
			limit--
		default:
			g.Place = append(g.Place, s)
			limit--
		}
	}
	p.nextStep(next)
	p.rest()
}

func byNode(a, b Place) int { return cmp.Compare(a.Node, b.Node) }

// settle fills the nodes that have nothing.
func (p *perNode) settle() {
	p.advance()
	if *p.group.Spec.Count > 0 {
		for n := range p.in.Field.Nodes {
			s := p.on[n.Key]
			if s != nil && s.taken || !p.in.Field.Admits(p.group.Index, n) {
				continue
			}
			place := Place{Node: n.Key}
			if s != nil {
				place.Prev = s.prev
			}
			p.group.Place = append(p.group.Place, place)
		}
	}
	slices.SortFunc(p.group.Place, byNode)
}
