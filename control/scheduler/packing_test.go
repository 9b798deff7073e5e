package scheduler

import (
	"fmt"
	"math/bits"
	"testing"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/plan"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

// Bounds of packing. An evaluation places the groups of a job one after the other, each on the node that it makes fullest, and
// keeps siblings of a group apart: a group here has one allocation, which is what bin packing is about. Best fit of things that
// come in any order needs at most 1.7 times the least there is in one dimension; with two it has no such bound, and on the
// few nodes here it is two nodes more, one of them rarely.
const (
	packedMore  = 2 // nodes more than the least there is
	stripedMore = 2 // per cent of nodes more with two workers than with one
)

// nodesUsed counts the nodes that have something.
func nodesUsed(v *state.View) (n int) {
	for row := range v.Nodes() {
		if v.Usage(row.Key).Allocs > 0 {
			n++
		}
	}
	return n
}

// least is the least number of equal nodes that the asks fit on, found by trying all ways; over if it is more than max.
func least(asks []fleet.Ask, whole fleet.Ask, most int) int {
	// fewest[set] is the least number of full nodes and what the last one has in use, least first.
	fits := make([]bool, 1<<len(asks))
	for set := range fits {
		sum := fleet.Ask{}
		for i, a := range asks {
			if set>>i&1 == 1 {
				sum = sum.Plus(a)
			}
		}
		fits[set] = sum.Within(whole)
	}
	need := make([]int, len(fits))
	for set := 1; set < len(need); set++ {
		need[set] = most + 1
		first := 1 << bits.TrailingZeros(uint(set)) // it is on some node: try all companions
		for with := set; with > 0; with = (with - 1) & set {
			if with&first != 0 && fits[with] {
				need[set] = min(need[set], need[set&^with]+1)
			}
		}
	}
	return need[len(need)-1]
}

// bestFit is what somebody would do by hand: each where it leaves the least, else on a new node.
func bestFit(asks []fleet.Ask, whole fleet.Ask) int {
	var free []fleet.Ask
	for _, a := range asks {
		best := -1
		for i, f := range free {
			if a.Within(f) && (best < 0 || f.Minus(a).Share(whole, 1<<20) < free[best].Minus(a).Share(whole, 1<<20)) {
				best = i
			}
		}
		if best < 0 {
			best, free = len(free), append(free, whole)
		}
		free[best] = free[best].Minus(a)
	}
	return len(free)
}

func TestPackingAgainstTheLeast(t *testing.T) {
	whole := fleet.Ask{CPU: 4000, MemoryMB: 4096}
	rapid.Check(t, func(rt *rapid.T) {
		r := newRegion(t)
		r.nodes(4 + packedMore)
		var asks []fleet.Ask
		for range rapid.IntRange(1, 8).Draw(rt, "groups") {
			asks = append(asks, fleet.Ask{CPU: 200 * int64(rapid.IntRange(1, 15).Draw(rt, "cpu")), MemoryMB: 256 * int64(rapid.IntRange(1, 12).Draw(rt, "memory"))})
		}
		want := least(asks, whole, 4)
		r.job(func(j *fleet.Job) {
			one := j.TaskGroups[0]
			j.TaskGroups = nil
			for i, a := range asks {
				g := one
				g.Name, g.Count = fmt.Sprintf("g%d", i), fleet.Ptr(1)
				g.Tasks = []fleet.Task{{Name: "main", Driver: "wasm", Resources: &fleet.Resources{CPU: fleet.Ptr(int(a.CPU)), MemoryMB: fleet.Ptr(int(a.MemoryMB))}}}
				j.TaskGroups = append(j.TaskGroups, g)
			}
		})
		out := r.run(fleet.TriggerJobRegister)
		placed, _, _, _ := counts(&out.Plan)
		byHand := bestFit(asks, whole)
		used := nodesUsed(r.store.View())
		switch {
		case want > 4:
			return // more than the oracle is asked for
		case placed < len(asks):
			rt.Fatalf("placed %d of %v; they fit on %d nodes", placed, asks, want)
		case used > want+packedMore:
			rt.Fatalf("%v are on %d nodes; the least is %d", asks, used, want)
		case used > byHand+packedMore:
			rt.Fatalf("%v are on %d nodes; best fit by hand takes %d", asks, used, byHand)
		}
	})
}

// Two workers schedule on one view, their plans are verified in turn and tried again for what is refused, as leader and
// workers do it. Their stripes keep them apart: few are refused, and they need hardly more nodes than one worker.
func TestStripes(t *testing.T) {
	const nodes, jobs, count = 400, 40, 50 // of 1000 MHz on 4000: 2,000 on 500 places of 4; the region fills
	one, _, _ := parallel(t, nodes, jobs, count, 1)
	two, rejected, placed := parallel(t, nodes, jobs, count, 2)
	t.Logf("nodes used: %d with one worker, %d with two; of %d placements %d were refused", one, two, placed, rejected)
	if two*100 > one*(100+stripedMore) {
		t.Errorf("two workers use %d nodes, one uses %d", two, one)
	}
	if rejected*100 >= placed {
		t.Errorf("of %d placements %d were refused", placed, rejected)
	}
}

// parallel places jobs with so many workers in lock-step, and returns the nodes used and how many placements were refused.
func parallel(t *testing.T, nodes, jobs, count, workers int) (used, rejected, placed int) {
	r := newRegion(t)
	r.nodes(nodes)
	var open []*state.Eval
	for i := range jobs {
		name := fmt.Sprintf("job-%d", i)
		r.job(func(j *fleet.Job) {
			j.ID, j.TaskGroups[0].Count = fleet.JobID(name), fleet.Ptr(count)
			j.TaskGroups[0].Tasks[0].Resources = &fleet.Resources{CPU: fleet.Ptr(400), MemoryMB: fleet.Ptr(400)}
		})
		e := r.eval(fleet.TriggerJobRegister)
		r.do(func(x *state.Txn, index uint64) {
			c := *e
			c.ID, c.Job, c.Key = r.id(), fleet.JobID(name), 0
			e = x.PutEval(c, index)
		})
		open = append(open, e)
	}
	for len(open) > 0 {
		batch := open[:min(workers, len(open))]
		open = open[len(batch):]
		var plans []*command.Plan
		for w, e := range batch {
			in := r.input(e)
			in.Seed[31], in.Stripe = byte(w), Stripe{Worker: w, Of: workers}
			out := Schedule(in)
			plans = append(plans, &out.Plan)
		}
		for w, p := range plans {
			v := plan.Verify(r.store.View(), nil, p)
			for _, x := range v.Rejected {
				rejected += x.Placements
			}
			before := r.store.View().AllocCount()
			r.apply(&v.Accepted)
			placed += r.store.View().AllocCount() - before
			if !v.Whole() {
				open = append([]*state.Eval{batch[w]}, open...)
			}
		}
	}
	return nodesUsed(r.store.View()), rejected, placed
}
