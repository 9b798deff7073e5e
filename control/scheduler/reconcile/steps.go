package reconcile

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// A new version replaces max_parallel allocations of a group at a time. What is
// under way is read from the allocations and never remembered: those of the new
// version that are not healthy yet, or failed, or whose predecessor's end is
// awaited. So a step that is asked for twice is taken once, a new leader goes on
// where the last one stopped, and an update stops by itself where its replacements
// fail.
//
// Healthy is what runs, all tasks of it, and whose device told nothing new for
// min_healthy_time: a task that restarts begins that time again. It is counted by
// the region's clock from the report's arrival, since devices' clocks may be wrong.
// Nothing is held against one that gets healthy after its deadline; the update only
// says until then what it waits for.

// step is how many may be replaced now, given what holds the slots.
func (s *sorter) step(holders []holder) int {
	limit := s.group.Spec.Step()
	switch {
	case s.holdsBack():
		return 0
	case limit == 0:
		return math.MaxInt
	}
	for _, h := range holders {
		switch {
		case h.role == roleReplace || h.role == roleDone:
		case h.role == roleEnding && h.alloc.Version != s.cur:
			limit--
		case s.underWay(h.alloc):
			limit--
			s.awaitHealth(h.alloc)
		}
	}
	for index, v := range s.vacant { // no order reaches the sum
		if v.reschedule && s.kind(v.prev) != fleet.ChangeRestart && !holdsName(holders, index) {
			limit-- // it failed and is placed again now
		}
	}
	return max(0, limit)
}

// holdsName reports whether a name is held: of a canary that failed, by what it was
// to replace. Holders are sorted.
func holdsName(holders []holder, index uint32) bool {
	_, held := slices.BinarySearchFunc(holders, index, func(h holder, index uint32) int { return cmp.Compare(h.alloc.Index, index) })
	return held
}

// underWay reports whether an allocation that should run is of the new version and
// not healthy.
func (s *sorter) underWay(a *state.Alloc) bool {
	if a.Observed == state.ObservedUnknown || s.kind(a) == fleet.ChangeRestart {
		return false
	}
	return !a.TasksRun() || s.healthyAt(a).After(s.in.Now)
}

// healthyAt is when an allocation that runs will have run for long enough.
func (s *sorter) healthyAt(a *state.Alloc) time.Time {
	return time.Unix(0, a.ModifyTime).Add(s.group.Spec.MinHealthy())
}

// awaitHealth notes what the next step waits for: the time at which an allocation
// may be healthy, the one by which it should have been, or, after that or a failure,
// the words of what holds the update up.
func (s *sorter) awaitHealth(a *state.Alloc) {
	u := s.group.Spec.Update
	deadline := time.Unix(0, a.CreateTime).Add(u.HealthyDeadline.Std())
	late := !deadline.After(s.in.Now)
	if a.TasksRun() {
		s.nextStep(s.healthyAt(a))
	}
	if !late && !a.Observed.Terminal() {
		s.nextStep(deadline)
		return
	}
	if s.group.Held++; s.group.HeldBy != "" {
		return
	}
	why := fmt.Sprintf("it has not run for %s without a restart within %s (min_healthy_time, healthy_deadline)", u.MinHealthyTime, u.HealthyDeadline)
	if a.Observed.Terminal() {
		why = "it is " + a.Observed.String()
	}
	s.group.HeldBy = a.Name() + ": " + why
}

func (s *sorter) nextStep(at time.Time) {
	if at.After(s.in.Now) && (s.group.NextStep.IsZero() || at.Before(s.group.NextStep)) {
		s.group.NextStep = at
	}
}

// pick chooses what the next step of an update replaces, and leaves the others for
// later: first those whose own node takes the new version in their place. By index
// alone one that fits nowhere would keep all behind it from ever being replaced.
func (s *sorter) pick(holders []holder) {
	budget, waiting := s.step(holders), 0
	for i := range holders {
		if h := &holders[i]; h.role == roleReplace && h.why == "" {
			h.later = true
			waiting++
		}
	}
	for _, atHome := range [2]bool{true, false} {
		all := waiting <= budget || s.in.AtHome == nil
		if atHome && all {
			continue
		}
		for i := range holders {
			h := &holders[i]
			if budget == 0 || !h.later || atHome && !s.in.AtHome(s.group.Index, h.alloc) {
				continue
			}
			h.later = false
			budget--
		}
	}
}

// rest forgets what is said of later steps where there is none.
func (s *sorter) rest() {
	if g := &s.group; g.Later == 0 {
		g.NextStep, g.Held, g.HeldBy = time.Time{}, 0, ""
	}
}

// change replaces a running allocation: for a rule that its node breaks at once,
// for a new version if this step has it; otherwise it runs on as it is.
func (s *sorter) change(h holder) {
	g := &s.group
	version, ok := s.versionFor(h.alloc)
	if h.later || !ok {
		g.Keep = append(g.Keep, h.alloc)
		g.Later++
		return
	}
	if !g.Spec.Replaced() {
		s.release(h.alloc, h.why)
		g.Ending++
		return
	}
	g.Place = append(g.Place, Place{Index: h.alloc.Index, Prev: h.alloc, Replace: true, Reason: h.why, Version: version})
}

// step is how many nodes may get the new version now, and when more may: in jobs
// that run on every node a step lasts at least stagger, by the field's word, and
// until its allocations are healthy.
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
		if healthy := p.healthyAt(a); a.Observed == state.ObservedRunning && healthy.After(at) {
			at = healthy
		}
		switch {
		case !a.TasksRun() && a.Observed != state.ObservedUnknown && a.Observed != state.ObservedComplete:
			limit--
			p.awaitHealth(a)
		case at.After(p.in.Now):
			limit--
			if next.IsZero() || at.Before(next) {
				next = at
			}
		}
	}
	return max(0, limit), next
}
