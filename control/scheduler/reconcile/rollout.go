package reconcile

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// What a deployment of the current version says about it. While a group has canaries
// that nobody promoted, they run beside the allocations of the older versions, under
// the names of those they will replace; nothing of the new version is placed but
// them, nothing that runs is replaced by it, and what is lost or fails of an older
// version is placed again as that version. A deployment that is paused or failed lets
// nothing of its version be placed at all; one that failed ends its canaries. Once
// promoted, a canary has its name alone as soon as it is healthy, and the others are
// replaced in steps, as without canaries.
//
// That a placement is a canary is not in the plan: whoever applies it sees it by the
// same rule (command/deployments.go), and the deployment then names it.

// rollout is what a deployment says of one group.
type rollout struct {
	of       *fleet.DeploymentState // nil: it is not about the group
	held     bool                   // nothing of the new version may be placed
	failed   bool
	names    map[fleet.UUID]bool // its canaries
	canaries *sorter             // theirs, while nobody has promoted them
}

func (s *sorter) roll(d *fleet.Deployment) {
	if d == nil || d.Over() && d.Status != fleet.DeploymentFailed {
		return
	}
	r := &s.rollout
	r.of, r.held, r.failed = d.TaskGroups[s.group.Spec.Name], d.Holds(), d.Status == fleet.DeploymentFailed
	if r.of == nil || r.of.DesiredCanaries == 0 {
		return
	}
	r.names = make(map[fleet.UUID]bool, len(r.of.PlacedCanaries))
	for _, id := range r.of.PlacedCanaries {
		if u, err := fleet.ParseUUID(string(id)); err == nil {
			r.names[u] = true
		}
	}
	if r.of.Canarying() {
		r.canaries = &sorter{in: s.in, cur: s.cur, out: s.out, group: Group{Index: s.group.Index, Spec: s.group.Spec}}
		r.canaries.rollout.held = r.held
	}
}

// holdsBack reports whether what runs is not replaced by the new version for now.
func (s *sorter) holdsBack() bool { return s.rollout.held || s.rollout.canaries != nil }

// renews reports whether a new version takes an allocation's place as soon as it is
// its turn.
func (s *sorter) renews(a *state.Alloc) bool {
	return !s.holdsBack() && s.kind(a) == fleet.ChangeRestart
}

// canary sorts an allocation in if it is a canary that nobody promoted.
func (s *sorter) canary(a *state.Alloc) bool {
	r := &s.rollout
	if r.canaries == nil || !r.names[a.ID] {
		return false
	}
	if r.failed {
		s.in.end(s.out, a, "its deployment failed")
	} else {
		r.canaries.add(a)
	}
	return true
}

// versionFor is the version that a successor of an allocation is placed as, nil for
// the current one. It reports false if none may be now.
func (s *sorter) versionFor(prev *state.Alloc) (*state.JobVersion, bool) {
	switch {
	case !s.holdsBack():
		return nil, true
	case !s.rollout.held && s.kind(prev) != fleet.ChangeRestart:
		return nil, true // the new version is what it is already
	case prev.Version == s.cur:
		return nil, false
	}
	for _, v := range s.in.Job.Versions[1:] { // newest first; its own may not be kept any more
		if v.GroupIndex(s.group.Spec.Name) >= 0 && v.Version <= prev.Version.Version {
			return v, true
		}
	}
	return nil, false
}

// succeed gives promoted canaries their names: what has one still is stopped if its
// canary is healthy, and let be until then.
func (s *sorter) succeed() {
	if s.rollout.of == nil || !s.rollout.of.Promoted || len(s.rollout.names) == 0 {
		return
	}
	heirs := map[uint32]holder{}
	for _, h := range s.holders {
		if s.rollout.names[h.alloc.ID] {
			heirs[h.alloc.Index] = h
		}
	}
	s.holders = slices.DeleteFunc(s.holders, func(h holder) bool {
		heir, has := heirs[h.alloc.Index]
		if !has || h.alloc == heir.alloc || h.role != roleReplace {
			return false
		}
		if heir.role == roleKeep && !s.rollout.held && !s.underWay(heir.alloc) {
			s.lose(h.alloc, fmt.Sprintf("replaced by the canary %s of version %d of the job", heir.alloc.ID, s.cur.Version))
		} else {
			s.group.Keep = append(s.group.Keep, h.alloc)
			s.group.Later++
		}
		return true
	})
}

// backfill places again what is vacant of versions that a deployment does not hold
// back. A slot that nothing ever had waits: there is no older version of it.
func (s *sorter) backfill(free int) {
	taken := map[uint32]bool{}
	for _, h := range s.holders {
		taken[h.alloc.Index] = true
	}
	for _, index := range slices.Sorted(maps.Keys(s.vacant)) {
		if free <= 0 {
			return
		}
		prev := s.vacant[index].prev
		v, ok := s.versionFor(prev)
		done := v != nil && fleet.Finite(v.Spec.Type) && prev.Observed == state.ObservedComplete // of a job that was of another type
		if taken[index] || !ok || done {
			continue
		}
		p := s.placeAt(index)
		p.Version = v
		s.group.Place = append(s.group.Place, p)
		free--
	}
}

// settle keeps the canaries that are wanted and places those that lack, beside the
// holders of the group's slots.
func (r *rollout) settle(old *sorter) {
	c := r.canaries
	c.reunite()
	slices.SortStableFunc(c.holders, byIndex)
	used := map[uint32]bool{}
	kept := c.holders[:0]
	for _, h := range c.holders {
		if len(kept) == r.of.DesiredCanaries || used[h.alloc.Index] {
			c.drop(h, fmt.Sprintf("not needed: group %s has %d canaries", c.group.Spec.Name, r.of.DesiredCanaries))
			continue
		}
		kept, used[h.alloc.Index] = append(kept, h), true
	}
	c.holders = kept
	for _, h := range kept {
		c.assign(h)
	}
	room := *c.group.Spec.Count - len(kept)
	for _, h := range old.holders { // what is of the new version already needs none
		if old.kind(h.alloc) != fleet.ChangeRestart {
			used[h.alloc.Index] = true
			room--
		}
	}
	lack := max(0, min(room, r.of.DesiredCanaries-len(kept)))
	if r.held {
		lack = 0
	}
	for index := range old.canaryNames() {
		if lack == 0 {
			break
		}
		if !used[index] {
			used[index] = true
			c.group.Place = append(c.group.Place, c.placeAt(index))
			lack--
		}
	}
	old.group.join(&c.group)
}

// canaryNames yields the indexes that canaries may have, the best first: of canaries
// that were, of what the new version will replace, and any.
func (s *sorter) canaryNames() func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		for _, index := range slices.Sorted(maps.Keys(s.rollout.canaries.vacant)) {
			if !yield(index) {
				return
			}
		}
		for _, h := range s.holders {
			if h.role == roleReplace && !yield(h.alloc.Index) {
				return
			}
		}
		for index := range uint32(*s.group.Spec.Count) {
			if !yield(index) {
				return
			}
		}
	}
}

// join adds what another group of the same name is to do.
func (g *Group) join(o *Group) {
	g.Keep, g.InPlace, g.Place = append(g.Keep, o.Keep...), append(g.InPlace, o.InPlace...), append(g.Place, o.Place...)
	g.Delayed = append(g.Delayed, o.Delayed...)
	g.Surplus, g.Lost, g.Spent, g.Ending = g.Surplus+o.Surplus, g.Lost+o.Lost, g.Spent+o.Spent, g.Ending+o.Ending
}

// split takes what is placed of older versions out of a group, into groups of their
// own.
func (g *Group) split() []Group {
	var older []Group
	place := g.Place[:0]
	for _, p := range g.Place {
		if p.Version == nil {
			place = append(place, p)
			continue
		}
		i := slices.IndexFunc(older, func(o Group) bool { return o.Version == p.Version })
		if i < 0 {
			i = len(older)
			at := p.Version.GroupIndex(g.Spec.Name)
			older = append(older, Group{Index: at, Spec: &p.Version.Spec.TaskGroups[at], Version: p.Version})
		}
		older[i].Place = append(older[i].Place, p)
	}
	g.Place = place
	if len(older) > 0 {
		stay := slices.Concat(g.Keep, g.InPlace)
		for _, d := range g.Delayed {
			if d.Alloc.Holds() {
				stay = append(stay, d.Alloc)
			}
		}
		for i := range older {
			older[i].Beside = stay
		}
	}
	return older
}
