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

// What a group's disconnect block says about work whose device is away, and about
// two allocations of one name once it is back.
//
// An allocation that is replaced while it may come back stays wanted, and is marked
// unknown; its replacement has the name from then on. When the device tells how the
// original is, one of the two is kept, and the other stopped with the reason.

// addLost looks at an allocation whose node is given up.
func (s *sorter) addLost(a *state.Alloc, name string) {
	spec := s.group.Spec
	restart := s.renews(a)
	switch {
	case !spec.Replaced() && restart:
		s.retire(a, "")
	case !spec.Replaced():
		s.addWanted(a)
	case restart || spec.Disconnect == nil:
		s.out.Stops = append(s.out.Stops, Stop{Alloc: a, Lost: true, Reason: lostReason(name)})
		s.group.Lost++
		s.vacate(vacancy{prev: a})
	default:
		if due := s.in.AwaySince(a.Node).Add(spec.LostAfter()); a.Next.IsZero() && due.After(s.in.Now) {
			s.holders = append(s.holders, holder{alloc: a, role: roleAway, at: due})
			return
		}
		if a.Observed != state.ObservedUnknown {
			s.out.Unknown = append(s.out.Unknown, Stop{Alloc: a, Lost: true, Reason: lostReason(name)})
			s.group.Lost++
		}
		s.vacate(vacancy{prev: a}) // unless it has a successor already
	}
}

// retire stops an allocation of a group without replacements, and holds its slot
// until its end is known: its successor must not run beside it.
func (s *sorter) retire(a *state.Alloc, why string) {
	s.release(a, why)
	s.hold(a, roleEnding)
}

func (s *sorter) release(a *state.Alloc, why string) {
	if why == "" {
		why = fmt.Sprintf("replaced by version %d of the job", s.cur.Version)
	}
	s.out.Stops = append(s.out.Stops, Stop{Alloc: a, Reason: why + "; its successor starts when its end is known"})
}

// reunite decides about originals that are wanted and have a replacement.
func (s *sorter) reunite() {
	for _, o := range s.finished {
		// One that did its work while it was away leaves nothing to do.
		if r := s.successor(o); r >= 0 {
			s.lose(s.holders[r].alloc, fmt.Sprintf("its original %s is back and has done the work", o.ID))
			s.holders = slices.Delete(s.holders, r, r+1)
		}
		s.hold(o, roleDone)
	}
	for _, o := range s.originals {
		r := s.successor(o)
		switch {
		case o.Observed == state.ObservedUnknown: // its device has not told how it is
		case s.renews(o):
			s.lose(o, fmt.Sprintf("replaced by version %d of the job while its device was away", s.cur.Version))
		case r < 0:
			// Its replacement has ended; what waits to be placed again need not be.
			s.holders = slices.DeleteFunc(s.holders, func(h holder) bool {
				if h.alloc.Index != o.Index || h.role != roleDelayed && h.role != roleSpent {
					return false
				}
				s.lose(h.alloc, fmt.Sprintf("the original %s is back", o.ID))
				return true
			})
			s.addWanted(o)
		default:
			s.choose(o, r)
		}
	}
}

// successor is the position of the live holder at the end of an original's chain,
// or -1.
func (s *sorter) successor(o *state.Alloc) int {
	if o.Next.IsZero() {
		return -1
	}
	if s.byID == nil {
		s.byID = make(map[fleet.UUID]*state.Alloc, len(s.in.Allocs))
		for _, a := range s.in.Allocs {
			s.byID[a.ID] = a
		}
	}
	last := o
	for range len(s.in.Allocs) { // a chain is no longer than that
		next := s.byID[last.Next]
		if next == nil {
			break
		}
		last = next
	}
	return slices.IndexFunc(s.holders, func(h holder) bool {
		return h.alloc == last && last != o && (h.role == roleKeep || h.role == roleInPlace || h.role == roleReplace || h.role == roleAway)
	})
}

// choose keeps the original o or its replacement, the holder r.
func (s *sorter) choose(o *state.Alloc, r int) {
	repl := s.holders[r].alloc
	word := *s.group.Spec.Disconnect.Reconcile
	if s.keepsOriginal(o, repl, word) {
		s.lose(repl, fmt.Sprintf("its original %s is back and is kept (reconcile = %q)", o.ID, word))
		s.holders = slices.Delete(s.holders, r, r+1)
		s.addWanted(o)
		return
	}
	s.lose(o, fmt.Sprintf("its device was away, and its replacement %s is kept (reconcile = %q)", repl.ID, word))
}

func (s *sorter) keepsOriginal(o, repl *state.Alloc, word string) bool {
	i := s.group.Index
	switch {
	case !s.in.Stays(i, o.Node) || !s.in.AwaySince(o.Node).IsZero(): // gone again
		return false
	case word == fleet.ReconcileKeepReplacement:
		return false
	case word == fleet.ReconcileKeepOriginal || repl.Observed != state.ObservedRunning:
		return true // what runs is worth more than what will
	case word == fleet.ReconcileLongestRunning:
		return startedAt(o) <= startedAt(repl)
	}
	return s.in.Score(i, o.Node) >= s.in.Score(i, repl.Node)
}

// startedAt is when the first task of an allocation started; one that has not is
// the youngest of all.
func startedAt(a *state.Alloc) int64 {
	at := int64(math.MaxInt64)
	if a.Detail != nil {
		for _, t := range a.Detail.Report.Tasks() {
			if t.StartedAt > 0 {
				at = min(at, t.StartedAt)
			}
		}
	}
	return at
}

func (s *sorter) lose(a *state.Alloc, reason string) {
	s.out.Stops = append(s.out.Stops, Stop{Alloc: a, Reason: reason})
	s.group.Surplus++
}

// byIndex orders holders; of one name the oldest comes first.
func byIndex(a, b holder) int {
	return cmp.Or(cmp.Compare(a.alloc.Index, b.alloc.Index), cmp.Compare(a.alloc.Key, b.alloc.Key))
}

// away is a delayed replacement of what may come back.
func (s *sorter) away(h holder) Delayed {
	d := h.alloc.Detail
	marked := d != nil && !d.Followup.IsZero() && s.in.Waiting(d.Followup)
	return Delayed{
		Alloc: h.alloc, At: h.at, Marked: marked, Away: true,
		Reason: fmt.Sprintf("its device is away; it is replaced at %s (lost_after = %s)", h.at.UTC().Format(time.RFC3339), s.group.Spec.LostAfter()),
	}
}
