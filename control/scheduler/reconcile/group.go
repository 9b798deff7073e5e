package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// role is why an allocation holds its slot.
type role uint8

const (
	roleKeep role = iota
	roleInPlace
	roleReplace
	roleDone
	roleDelayed
	roleSpent
	roleAway   // its device is away, and it is not replaced yet
	roleEnding // stopped, and its successor waits for its end
)

type holder struct {
	alloc *state.Alloc
	role  role
	at    time.Time // roleDelayed, roleAway
	why   string    // roleReplace: not because of a new version
	later bool      // roleReplace: a later step of the update has it
}

// vacancy is what is known about a slot that was given up.
type vacancy struct {
	prev       *state.Alloc
	reschedule bool
	delay      time.Duration
}

// sorter sorts the allocations of one group into holders and vacancies.
type sorter struct {
	in      *Input
	cur     *state.JobVersion
	out     *Result
	group   Group
	holders []holder
	// originals are wanted and were replaced while their device was away.
	originals []*state.Alloc
	finished  []*state.Alloc              // have done their work
	byID      map[fleet.UUID]*state.Alloc // made when a chain is followed
	vacant    map[uint32]vacancy
	changes   []change // few: one per old version
	rollout   rollout
}

type change struct {
	version *state.JobVersion
	kind    fleet.Change
}

// failed says that the slot is held by what has failed.
func (h holder) failed() bool { return h.role == roleSpent || h.role == roleDelayed }

func (s *sorter) hold(a *state.Alloc, r role) {
	s.holders = append(s.holders, holder{alloc: a, role: r})
}

// vacate notes who had a slot last; allocations come oldest first.
func (s *sorter) vacate(v vacancy) {
	if !v.prev.Next.IsZero() {
		return // it has a successor, which speaks for itself
	}
	if s.vacant == nil {
		s.vacant = map[uint32]vacancy{}
	}
	s.vacant[v.prev.Index] = v
}

func (s *sorter) add(a *state.Alloc) {
	switch {
	case s.canary(a):
	case a.Desired != state.DesiredRun && !a.Observed.Terminal() && !s.group.Spec.Replaced():
		s.hold(a, roleEnding)
	case a.Desired != state.DesiredRun:
		// A lost one whose place was not found at once keeps its chain.
		if a.Observed == state.ObservedLost {
			s.vacate(vacancy{prev: a})
		}
	case !a.Observed.Terminal():
		s.addLive(a)
	case a.Observed == state.ObservedComplete:
		if s.in.Rules.CompleteStays && s.kind(a) != fleet.ChangeRestart {
			s.finished = append(s.finished, a)
		} else {
			s.vacate(vacancy{prev: a})
		}
	case a.Observed == state.ObservedLost:
		s.vacate(vacancy{prev: a})
	case a.Next.IsZero():
		s.addFailed(a)
	}
}

func (s *sorter) addLive(a *state.Alloc) {
	if name, lost := s.in.Lost(a.Node); lost {
		s.addLost(a, name)
		return
	}
	if !a.Next.IsZero() && s.group.Spec.Disconnect != nil {
		s.originals = append(s.originals, a)
		return
	}
	s.addWanted(a)
}

// addWanted holds the slot of an allocation that lives.
func (s *sorter) addWanted(a *state.Alloc) {
	if why, anyway := s.moving(a); why != "" {
		s.move(a, why, anyway)
		return
	}
	switch s.kind(a) {
	case fleet.ChangeNone:
		if why, broken := s.broken(a); broken {
			s.replace(a, why)
		} else {
			s.hold(a, roleKeep)
		}
	case fleet.ChangeInPlace:
		if s.rollout.held {
			s.hold(a, roleKeep)
		} else if s.in.Stays(s.group.Index, a.Node) {
			s.hold(a, roleInPlace)
		} else {
			s.replace(a, "")
		}
	default:
		s.replace(a, "")
	}
}

func (s *sorter) moving(a *state.Alloc) (why string, anyway bool) {
	if s.in.Moving == nil {
		return "", false
	}
	return s.in.Moving(a)
}

// move takes an allocation from its node: when its successor has a place, or, if it
// has to go anyway, at once.
func (s *sorter) move(a *state.Alloc, why string, anyway bool) {
	if !anyway || !s.group.Spec.Replaced() {
		s.replace(a, why)
		return
	}
	s.lose(a, why)
	s.vacate(vacancy{prev: a})
}

// replace gives an allocation's slot to a successor: at once, or, in a group
// without replacements, when it has ended.
func (s *sorter) replace(a *state.Alloc, why string) {
	s.holders = append(s.holders, holder{alloc: a, role: roleReplace, why: why})
}

// broken asks for a rule that must hold as long as the allocation lives. What is
// moved for it is replaced like by a new version: it runs on until its successor
// has a place, since stopping it would heal nothing.
func (s *sorter) broken(a *state.Alloc) (string, bool) {
	if s.in.Broken == nil {
		return "", false
	}
	return s.in.Broken(s.group.Index, a.Node)
}

func (s *sorter) addFailed(a *state.Alloc) {
	if s.renews(a) {
		s.vacate(vacancy{prev: a}) // a new version is a new chance
		return
	}
	failedAt := time.Unix(0, a.ModifyTime)
	wait, ok := s.group.Spec.ReschedulePolicy.Next(a.Past(), failedAt)
	if !ok {
		s.hold(a, roleSpent)
		return
	}
	due := failedAt.Add(wait)
	// The evaluation that was to wait for it says that the time has come, even if
	// this server's clock is behind the one that set it.
	mine := a.Detail != nil && !a.Detail.Followup.IsZero() && a.Detail.Followup == s.in.Eval
	if mine || !due.After(s.in.Now) {
		s.vacate(vacancy{prev: a, reschedule: true, delay: wait})
		return
	}
	s.holders = append(s.holders, holder{alloc: a, role: roleDelayed, at: due})
}

func (s *sorter) kind(a *state.Alloc) fleet.Change {
	if a.Version == s.cur {
		return fleet.ChangeNone
	}
	for _, c := range s.changes {
		if c.version == a.Version {
			return c.kind
		}
	}
	kind := s.in.Update(a.GroupSpec(), s.group.Spec, a.Version.Spec, s.cur.Spec)
	s.changes = append(s.changes, change{a.Version, kind})
	return kind
}

// settle drops holders that are too many and fills slots that nobody holds.
func (s *sorter) settle() {
	s.reunite()
	slices.SortStableFunc(s.holders, byIndex)
	s.succeed()
	kept := s.holders[:0]
	for _, h := range s.holders {
		last := len(kept) - 1
		if last < 0 || kept[last].alloc.Index != h.alloc.Index {
			kept = append(kept, h)
			continue
		}
		if kept[last].failed() && !h.failed() {
			kept[last], h = h, kept[last]
		}
		s.drop(h, fmt.Sprintf("another allocation has its name, %s", h.alloc.Name()))
	}
	s.holders = kept
	s.trim()
	s.pick(s.holders)
	for _, h := range s.holders {
		s.assign(h)
	}
	s.rest()
	lack := *s.group.Spec.Count - len(s.holders)
	switch {
	case s.holdsBack():
		s.backfill(lack)
	default:
		s.fill(lack)
	}
	if s.rollout.canaries != nil && !s.rollout.failed {
		s.rollout.settle(s)
	}
	slices.SortStableFunc(s.group.Place, func(a, b Place) int { return cmp.Compare(a.Index, b.Index) })
}

// trim drops what is too many: first what the update would change anyway, so that
// what is of the current version runs on when one comes back that was given up, then
// the highest indexes. While a deployment holds back, what there is stays as it is.
func (s *sorter) trim() {
	count := *s.group.Spec.Count
	if s.rollout.held || len(s.holders) <= count {
		return
	}
	why := fmt.Sprintf("not needed: the count of %s is %d", s.group.Spec.Name, count)
	for _, all := range []bool{false, true} {
		for i := len(s.holders) - 1; i >= 0 && len(s.holders) > count; i-- {
			h := s.holders[i]
			if old := h.role == roleInPlace || h.role == roleReplace && h.why == ""; old || all {
				s.drop(h, why)
				s.holders = slices.Delete(s.holders, i, i+1)
			}
		}
	}
}

func (s *sorter) drop(h holder, reason string) {
	if h.role == roleDone || h.role == roleEnding {
		return // it has ended by itself and takes nothing, or is stopped already
	}
	s.out.Stops = append(s.out.Stops, Stop{Alloc: h.alloc, Reason: reason})
	s.group.Surplus++
}

func (s *sorter) assign(h holder) {
	g := &s.group
	switch h.role {
	case roleKeep:
		g.Keep = append(g.Keep, h.alloc)
	case roleInPlace:
		g.InPlace = append(g.InPlace, h.alloc)
	case roleReplace:
		s.change(h)
	case roleDone:
		g.Done++
	case roleSpent:
		g.Spent++
	case roleAway:
		g.Delayed = append(g.Delayed, s.away(h))
	case roleEnding:
		g.Ending++
	case roleDelayed:
		d := h.alloc.Detail
		marked := d != nil && !d.Followup.IsZero() && s.in.Waiting(d.Followup)
		g.Delayed = append(g.Delayed, Delayed{
			Alloc: h.alloc, At: h.at, Marked: marked, Reason: "it failed and will be placed again at " + h.at.UTC().Format(time.RFC3339),
		})
	}
}

// fill takes the indexes of those that may come back, so that each has its successor
// when it does, then the smallest that no holder has. Holders are sorted.
func (s *sorter) fill(need int) {
	var away []uint32
	for index, v := range s.vacant {
		if v.prev.Holds() {
			away = append(away, index)
		}
	}
	slices.Sort(away)
	held := func(index uint32) bool {
		_, ok := slices.BinarySearchFunc(s.holders, index, func(h holder, index uint32) int { return cmp.Compare(h.alloc.Index, index) })
		return ok
	}
	away = slices.DeleteFunc(away, held)
	away = away[:min(len(away), max(need, 0))]
	for _, index := range away {
		s.group.Place = append(s.group.Place, s.placeAt(index))
	}
	next := 0
	for index, left := uint32(0), need-len(away); left > 0; index++ {
		if next < len(s.holders) && s.holders[next].alloc.Index == index {
			next++
			continue
		}
		if _, taken := slices.BinarySearch(away, index); !taken {
			s.group.Place = append(s.group.Place, s.placeAt(index))
			left--
		}
	}
}

// placeAt fills a slot, which inherits from what had it last.
func (s *sorter) placeAt(index uint32) Place {
	p := Place{Index: index}
	if v, ok := s.vacant[index]; ok {
		p.Prev, p.Reschedule, p.Delay = v.prev, v.reschedule, v.delay
		if v.prev.Observed == state.ObservedFailed {
			p.Avoid = &v.prev.Node
		}
	}
	return p
}
