package reconcile

import (
	"math"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// A new version replaces max_parallel allocations of a group at a time. What is
// under way is read from the allocations and never remembered: those of the new
// version that do not run yet, or failed, or whose predecessor's end is awaited. So
// a step that is asked for twice is taken once, a new leader goes on where the last
// one stopped, and an update stops by itself where its replacements fail.

// step is how many may be replaced now, given what holds the slots.
func (s *sorter) step(holders []holder) int {
	limit := s.group.Spec.Step()
	if limit == 0 {
		return math.MaxInt
	}
	for _, h := range holders {
		switch {
		case h.role == roleEnding && h.alloc.Version != s.cur, s.underWay(h.alloc) && h.role != roleReplace && h.role != roleDone:
			limit--
		}
	}
	for _, v := range s.vacant { // no order reaches the sum
		if v.reschedule && s.kind(v.prev) != fleet.ChangeRestart {
			limit-- // it failed and is placed again now
		}
	}
	return max(0, limit)
}

// underWay reports whether an allocation that should run is of the new version and
// does not run.
func (s *sorter) underWay(a *state.Alloc) bool {
	return a.Observed != state.ObservedRunning && a.Observed != state.ObservedUnknown && s.kind(a) != fleet.ChangeRestart
}

// change replaces a running allocation: for a rule that its node breaks at once,
// for a new version if the step has room for it; otherwise it runs on as it is.
func (s *sorter) change(h holder) {
	g := &s.group
	if h.why == "" {
		if s.budget == 0 {
			g.Keep = append(g.Keep, h.alloc)
			g.Later++
			return
		}
		s.budget--
	}
	if !g.Spec.Replaced() {
		s.release(h.alloc, h.why)
		g.Ending++
		return
	}
	g.Place = append(g.Place, Place{Index: h.alloc.Index, Prev: h.alloc, Replace: true, Reason: h.why})
}

// step is how many nodes may get the new version now, and when more may: in jobs
// that run on every node a step lasts at least stagger, by the field's word.
func (p *perNode) step(allocs []*state.Alloc) (limit int, next time.Time) {
	limit = p.group.Spec.Step()
	if limit == 0 {
		return math.MaxInt, next
	}
	for _, a := range allocs {
		if a.Desired != state.DesiredRun || a.Prev.IsZero() || p.kind(a) == fleet.ChangeRestart {
			continue
		}
		if _, lost := p.in.Lost(a.Node); lost {
			continue // nobody would raise the step that waits for it
		}
		at := time.Unix(0, a.CreateTime).Add(p.group.Spec.Update.Stagger.Std())
		switch {
		case a.Observed != state.ObservedRunning && a.Observed != state.ObservedUnknown && a.Observed != state.ObservedComplete:
			limit--
		case at.After(p.in.Now):
			limit--
			if next.IsZero() || at.Before(next) {
				next = at
			}
		}
	}
	return max(0, limit), next
}
