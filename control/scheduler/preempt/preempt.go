package preempt

import (
	"cmp"
	"slices"

	"github.com/dunlin-edge/dunlin/fleet"
)

// ExactMax is how many candidates are weighed in all combinations; each one more doubles what a full node costs.
const ExactMax = 10

// Scale is what a share of a whole node is counted in, per thing that is measured.
const Scale = 1 << 20

// Candidate is an allocation that may give way. Who asks has left out what may not.
type Candidate struct {
	Age      uint64 // the greater, the younger
	Priority int
	Ask      fleet.Ask
	Group    int // position in Node.Groups
}

// Group is what a group that candidates belong to has of its own say.
type Group struct {
	Gone int // of it give way already
	Max  int // may go at a time, by its migrate block
}

// Node is what the choice is made on.
type Node struct {
	Free       fleet.Ask // may be negative
	Cap        fleet.Ask
	Candidates []Candidate
	Groups     []Group
}

// Choice is a set of candidates, and what it is judged by.
type Choice struct {
	Taken []int // positions in Candidates, ascending; empty: nothing has to give way
	// Top is the highest priority in the set, 0 if it is empty; Over, how many go beyond what their groups let go at a time;
	// Excess, what is taken away beyond need, in parts of Scale of the node.
	Top, Over int
	Excess    int64
}

// Compare orders choices of different nodes: negative if a is the better.
func Compare(a, b Choice) int {
	return cmp.Or(cmp.Compare(a.Top, b.Top), cmp.Compare(a.Over, b.Over), cmp.Compare(a.Excess, b.Excess), cmp.Compare(len(a.Taken), len(b.Taken)))
}

// Choose returns the least set of candidates without which need fits on the node; ok is false if there is none.
func Choose(need fleet.Ask, n Node) (c Choice, ok bool) {
	if need.Within(n.Free) {
		return Choice{}, true
	}
	s := &search{need: need, node: n, order: make([]int, len(n.Candidates))}
	for i := range s.order {
		s.order[i] = i
	}
	slices.SortFunc(s.order, func(a, b int) int {
		x, y := &n.Candidates[a], &n.Candidates[b]
		return cmp.Or(cmp.Compare(x.Priority, y.Priority), cmp.Compare(y.Age, x.Age), cmp.Compare(a, b))
	})
	if !s.tier() {
		return Choice{}, false
	}
	s.lack = need.Minus(n.Free).OrNothing()
	var set []int
	if len(s.order) <= ExactMax {
		set = s.exact()
	} else {
		set = s.greedy()
	}
	return s.choice(set), true
}

// search is one choice being made. Sets are of positions in order.
type search struct {
	need  fleet.Ask
	node  Node
	lack  fleet.Ask
	order []int // positions in Candidates, what goes first first

	rest       []fleet.Ask // what those from a position on would free
	gone       []int       // of cur, by group
	cur, best  []int
	bestOver   int
	bestExcess int64
	found      bool
}

// tier keeps the candidates up to the least priority at which all of them together are enough.
func (s *search) tier() bool {
	free := s.node.Free
	for k := range s.order {
		free = free.Plus(s.at(k).Ask)
		if s.need.Within(free) {
			top := s.at(k).Priority
			for k < len(s.order) && s.at(k).Priority == top {
				k++
			}
			s.order = s.order[:k]
			return true
		}
	}
	return false
}

func (s *search) at(k int) *Candidate { return &s.node.Candidates[s.order[k]] }

// exact goes through all sets, and leaves out those that cannot be the least: more of a set never makes it better.
func (s *search) exact() []int {
	s.rest = make([]fleet.Ask, len(s.order)+1)
	for k := len(s.order) - 1; k >= 0; k-- {
		s.rest[k] = s.rest[k+1].Plus(s.at(k).Ask)
	}
	s.gone = make([]int, len(s.node.Groups))
	s.try(0, fleet.Ask{}, 0)
	return s.best
}

func (s *search) try(k int, freed fleet.Ask, over int) {
	free, excess := s.node.Free.Plus(freed), s.excess(freed)
	if s.need.Within(free) {
		if !s.found || s.compare(over, excess) < 0 {
			s.found, s.best, s.bestOver, s.bestExcess = true, slices.Clone(s.cur), over, excess
		}
		return
	}
	if k == len(s.order) || !s.need.Within(free.Plus(s.rest[k])) || s.found && cmp.Or(cmp.Compare(over, s.bestOver), cmp.Compare(excess, s.bestExcess)) > 0 {
		return
	}
	c := s.at(k)
	g, more := s.node.Groups[c.Group], over
	s.gone[c.Group]++
	if g.Gone+s.gone[c.Group] > g.Max {
		more++
	}
	s.cur = append(s.cur, k)
	s.try(k+1, freed.Plus(c.Ask), more)
	s.cur = s.cur[:len(s.cur)-1]
	s.gone[c.Group]--
	s.try(k+1, freed, over)
}

// excess is what is taken away beyond need. It is of the sum: shares that are rounded one by one would make two halves less
// than the whole.
func (s *search) excess(freed fleet.Ask) int64 { return freed.Minus(s.lack).Share(s.node.Cap, Scale) }

func (s *search) compare(over int, excess int64) int {
	return cmp.Or(cmp.Compare(over, s.bestOver), cmp.Compare(excess, s.bestExcess), cmp.Compare(len(s.cur), len(s.best)), slices.Compare(s.cur, s.best))
}

// over counts those of a set that go beyond what their groups let go at a time.
func (s *search) over(set []int) (n int) {
	for at, k := range set {
		g := s.node.Groups[s.at(k).Group]
		gone := g.Gone + 1
		for _, other := range set[:at] {
			if s.at(other).Group == s.at(k).Group {
				gone++
			}
		}
		if gone > g.Max {
			n++
		}
	}
	return n
}

// greedy takes the largest of the least important until it is enough, then gives back what is not needed, the most important
// first.
func (s *search) greedy() []int {
	free := s.node.Free
	var set []int
	for low := 0; low < len(s.order) && !s.need.Within(free); {
		high := low
		for high < len(s.order) && s.at(high).Priority == s.at(low).Priority {
			high++
		}
		level := make([]int, 0, high-low)
		for k := low; k < high; k++ {
			level = append(level, k)
		}
		slices.SortFunc(level, func(a, b int) int { return cmp.Or(cmp.Compare(s.share(b), s.share(a)), cmp.Compare(a, b)) })
		for i := 0; i < len(level) && !s.need.Within(free); i++ {
			k := s.last(level[i:], free)
			free, set = free.Plus(s.at(k).Ask), append(set, k)
		}
		low = high
	}
	slices.SortFunc(set, func(a, b int) int {
		return cmp.Or(cmp.Compare(s.at(b).Priority, s.at(a).Priority), cmp.Compare(s.share(b), s.share(a)), cmp.Compare(a, b))
	})
	kept := set[:0]
	for _, k := range set {
		if less := free.Minus(s.at(k).Ask); s.need.Within(less) {
			free = less
		} else {
			kept = append(kept, k)
		}
	}
	return kept
}

// last is the smallest of a level, sorted from the largest, that is enough by itself; the largest if none is.
func (s *search) last(level []int, free fleet.Ask) int {
	best := level[0]
	if !s.need.Within(free.Plus(s.at(best).Ask)) {
		return best
	}
	for _, k := range level[1:] {
		if s.need.Within(free.Plus(s.at(k).Ask)) {
			best = k
		}
	}
	return best
}

func (s *search) share(k int) int64 { return s.at(k).Ask.Share(s.node.Cap, Scale) }

func (s *search) choice(set []int) Choice {
	c, freed := Choice{Taken: make([]int, 0, len(set)), Over: s.over(set)}, fleet.Ask{}
	for _, k := range set {
		c.Taken = append(c.Taken, s.order[k])
		c.Top = max(c.Top, s.at(k).Priority)
		freed = freed.Plus(s.at(k).Ask)
	}
	c.Excess = s.excess(freed)
	slices.Sort(c.Taken)
	return c
}
