package preempt

import (
	"slices"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

func ask(cpu, memory int64) fleet.Ask { return fleet.Ask{CPU: cpu, MemoryMB: memory} }

func TestChoose(t *testing.T) {
	loose := []Group{{Max: 99}, {Max: 1}}
	of := func(priority int, cpu, memory int64) Candidate {
		return Candidate{Priority: priority, Ask: ask(cpu, memory)}
	}
	for name, c := range map[string]struct {
		need, free fleet.Ask
		all        []Candidate
		want       []int
		fails      bool
	}{
		"room is there":               {ask(100, 10), ask(100, 10), []Candidate{of(10, 500, 50)}, []int{}, false},
		"not enough":                  {ask(100, 10), ask(0, 0), []Candidate{of(10, 99, 50)}, nil, true},
		"nobody":                      {ask(100, 10), ask(0, 0), nil, nil, true},
		"the least important":         {ask(100, 10), ask(0, 0), []Candidate{of(30, 100, 10), of(10, 400, 40)}, []int{1}, false},
		"the smallest that is enough": {ask(100, 10), ask(0, 0), []Candidate{of(10, 400, 40), of(10, 200, 20), of(10, 120, 12)}, []int{2}, false},
		"two that match before one":   {ask(100, 10), ask(0, 0), []Candidate{of(10, 400, 40), of(10, 50, 5), of(10, 50, 5)}, []int{1, 2}, false},
		"one before two that free as much": {ask(100, 10), ask(0, 0),
			[]Candidate{of(10, 50, 5), of(10, 100, 10), of(10, 50, 5)}, []int{1}, false},
		// One by one, lowest first, would end the small one before it sees that the large one is needed anyway.
		"a member that is needless":     {ask(100, 10), ask(0, 0), []Candidate{of(10, 50, 5), of(20, 100, 10)}, []int{1}, false},
		"what is free counts":           {ask(100, 10), ask(60, 10), []Candidate{of(10, 100, 10), of(10, 40, 0)}, []int{1}, false},
		"a node that others overfilled": {ask(100, 10), ask(-50, 0), []Candidate{of(10, 100, 10), of(10, 50, 0)}, []int{0, 1}, false},
		"of equals the younger":         {ask(100, 10), ask(0, 0), []Candidate{{Age: 1, Priority: 10, Ask: ask(100, 10)}, {Age: 2, Priority: 10, Ask: ask(100, 10)}}, []int{1}, false},
		"rather more than beyond what a group lets go": {ask(200, 20), ask(0, 0), []Candidate{
			{Priority: 10, Ask: ask(100, 10), Group: 1}, {Priority: 10, Ask: ask(100, 10), Group: 1}, of(10, 300, 30),
		}, []int{2}, false},
		"beyond it before nothing": {ask(200, 20), ask(0, 0), []Candidate{
			{Priority: 10, Ask: ask(100, 10), Group: 1}, {Priority: 10, Ask: ask(100, 10), Group: 1},
		}, []int{0, 1}, false},
	} {
		got, ok := Choose(c.need, Node{Free: c.free, Cap: ask(1000, 100), Candidates: c.all, Groups: loose})
		if ok == c.fails || !c.fails && !slices.Equal(got.Taken, c.want) && len(got.Taken)+len(c.want) > 0 {
			t.Errorf("%s: chose %v, %t", name, got.Taken, ok)
		}
	}
}

func draw(rt *rapid.T, least, most int) (fleet.Ask, Node) {
	size := func(name string) int64 { return int64(rapid.IntRange(0, 6).Draw(rt, name)) * 50 }
	sized := func(name string, scale, less int64) fleet.Ask {
		return fleet.Ask{CPU: scale*size(name+" cpu") - less, MemoryMB: scale*size(name+" memory") - less, DiskMB: scale*size(name+" disk") - less}
	}
	n := Node{Cap: fleet.Ask{CPU: 1000, MemoryMB: 800, DiskMB: 600}, Free: sized("free", 1, 50)}
	if rapid.Bool().Draw(rt, "disk unknown") {
		n.Cap.DiskMB, n.Free.DiskMB = fleet.DiskUnknownMB, fleet.DiskUnknownMB-n.Free.DiskMB-50
	}
	for range rapid.IntRange(1, 3).Draw(rt, "groups") {
		n.Groups = append(n.Groups, Group{Gone: rapid.IntRange(0, 2).Draw(rt, "gone"), Max: rapid.IntRange(1, 3).Draw(rt, "max")})
	}
	for range rapid.IntRange(least, most).Draw(rt, "candidates") {
		n.Candidates = append(n.Candidates, Candidate{
			Age: uint64(rapid.IntRange(0, 3).Draw(rt, "age")), Priority: 10 * rapid.IntRange(1, 3).Draw(rt, "priority"),
			Ask: sized("has", 1, 0), Group: rapid.IntRange(0, len(n.Groups)-1).Draw(rt, "group"),
		})
	}
	return sized("needs", 4, -50), n
}

// judged is a set as somebody naive would judge it.
func judged(need fleet.Ask, n *Node, set []int) (c Choice, sufficient bool) {
	freed, gone := fleet.Ask{}, map[int]int{}
	for _, i := range set {
		x := n.Candidates[i]
		freed.CPU, freed.MemoryMB, freed.DiskMB = freed.CPU+x.Ask.CPU, freed.MemoryMB+x.Ask.MemoryMB, freed.DiskMB+x.Ask.DiskMB
		c.Top = max(c.Top, x.Priority)
		gone[x.Group]++
	}
	for g, k := range gone {
		before, after := max(0, n.Groups[g].Gone-n.Groups[g].Max), max(0, n.Groups[g].Gone+k-n.Groups[g].Max)
		c.Over += after - before
	}
	if len(set) > 0 {
		c.Excess = (freed.CPU-max(0, need.CPU-n.Free.CPU))*Scale/n.Cap.CPU + (freed.MemoryMB-max(0, need.MemoryMB-n.Free.MemoryMB))*Scale/n.Cap.MemoryMB +
			(freed.DiskMB-max(0, need.DiskMB-n.Free.DiskMB))*Scale/n.Cap.DiskMB
	}
	c.Taken = set
	return c, n.Free.CPU+freed.CPU >= need.CPU && n.Free.MemoryMB+freed.MemoryMB >= need.MemoryMB && n.Free.DiskMB+freed.DiskMB >= need.DiskMB
}

// The oracle looks at every set there is.
func TestChooseIsTheLeast(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		need, n := draw(rt, 0, 9)
		got, ok := Choose(need, n)
		var best Choice
		found := false
		for bits := range 1 << len(n.Candidates) {
			var set []int
			for i := range n.Candidates {
				if bits>>i&1 == 1 {
					set = append(set, i)
				}
			}
			c, sufficient := judged(need, &n, set)
			if sufficient && (!found || Compare(c, best) < 0) {
				found, best = true, c
			}
		}
		if ok != found {
			rt.Fatalf("found one: %t; there is one: %t", ok, found)
		}
		if ok && Compare(got, best) != 0 {
			rt.Fatalf("chose %+v; the least is %+v", got, best)
		}
		if again, _ := judged(need, &n, got.Taken); ok && Compare(again, got) != 0 {
			rt.Fatalf("says %+v of itself, and is %+v", got, again)
		}
		check(rt, need, n, got, ok)
	})
}

// With many candidates the set is not always the least, but sound.
func TestChooseOfMany(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		need, n := draw(rt, ExactMax+1, 40)
		got, ok := Choose(need, n)
		check(rt, need, n, got, ok)
		if !ok || len(got.Taken) == 0 {
			return
		}
		var lower []int // of all that are less important than the most important of the set
		for i, c := range n.Candidates {
			if c.Priority < got.Top {
				lower = append(lower, i)
			}
		}
		if _, sufficient := judged(need, &n, lower); sufficient {
			rt.Fatalf("takes priority %d, and those below would be enough", got.Top)
		}
	})
}

func check(rt *rapid.T, need fleet.Ask, n Node, got Choice, ok bool) {
	if !ok {
		return
	}
	if _, sufficient := judged(need, &n, got.Taken); !sufficient {
		rt.Fatalf("%v is not enough", got.Taken)
	}
	for i := range got.Taken {
		less := slices.Delete(slices.Clone(got.Taken), i, i+1)
		if _, sufficient := judged(need, &n, less); sufficient {
			rt.Fatalf("%v is enough without %d", got.Taken, got.Taken[i])
		}
	}
	// The order in which candidates are listed decides nothing but which of equals go.
	back := n
	back.Candidates = slices.Clone(n.Candidates)
	slices.Reverse(back.Candidates)
	if other, _ := Choose(need, back); len(n.Candidates) <= ExactMax && Compare(other, got) != 0 {
		rt.Fatalf("reversed: %+v instead of %+v", other, got)
	}
}

func BenchmarkChoose(b *testing.B) {
	n := Node{Cap: ask(4000, 4096), Groups: []Group{{Max: 1}}}
	for i := range uint64(ExactMax) {
		n.Candidates = append(n.Candidates, Candidate{Age: i, Priority: 20, Ask: ask(300+int64(i)*7, 340-int64(i)*5)})
	}
	for b.Loop() {
		if _, ok := Choose(ask(1300, 1300), n); !ok {
			b.Fatal("nothing")
		}
	}
}
