package rank

import (
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

func every(int) bool { return true }

func node(k state.NodeKey, whole, free int64) Node {
	return Node{Key: k, Cap: fleet.Ask{CPU: whole, MemoryMB: whole}, Free: fleet.Ask{CPU: free, MemoryMB: free}}
}

var ask = fleet.Ask{CPU: 10, MemoryMB: 10}

func TestBestFitFirst(t *testing.T) {
	nodes := []Node{node(1, 100, 100), node(2, 100, 20), node(3, 100, 5)}
	r := New(Request{Ask: ask, Count: 100}, nodes, every)
	for step, want := range []state.NodeKey{2, 2, 1} {
		if i, ok := r.Take(nil); !ok || nodes[i].Key != want {
			t.Fatalf("step %d took %d, want %d", step, nodes[i].Key, want)
		}
	}
}

func TestSiblingsSpread(t *testing.T) {
	nodes := []Node{node(1, 100, 100), node(2, 100, 90), node(3, 100, 100)}
	r := New(Request{Ask: ask, Count: 3}, nodes, every)
	seen := map[int]bool{}
	for range 3 {
		i, _ := r.Take(nil)
		seen[i] = true
	}
	if len(seen) != 3 {
		t.Fatalf("three siblings on %d nodes", len(seen))
	}
}

func TestAvoidedComesLast(t *testing.T) {
	nodes := []Node{node(1, 100, 10), node(2, 100, 100)}
	r := New(Request{Ask: ask, Count: 1}, nodes, every)
	avoid := []state.NodeKey{1}
	if i, _ := r.Take(avoid); nodes[i].Key != 2 {
		t.Fatal("took the avoided node first")
	}
	if i, _ := r.Take(nil); nodes[i].Key != 1 {
		t.Fatal("the penalty outlived the placement it was for")
	}
}

func TestTiesFollowStripeThenSeed(t *testing.T) {
	first := func(req Request) state.NodeKey {
		var nodes []Node
		for k := state.NodeKey(1); k <= 40; k++ {
			nodes = append(nodes, node(k, 100, 100))
		}
		req.Ask, req.Count = ask, 1
		i, _ := New(req, nodes, every).Take(nil)
		return nodes[i].Key
	}
	for worker := range 4 {
		if k := first(Request{Seed: 7, Stripe: Stripe{worker, 4}}); int(k)%4 != worker {
			t.Errorf("worker %d took node %d", worker, k)
		}
	}
	seen := map[state.NodeKey]bool{}
	for seed := range uint64(20) {
		seen[first(Request{Seed: seed})] = true
	}
	if len(seen) < 5 {
		t.Errorf("20 seeds chose among %d of 40 equal nodes", len(seen))
	}
}

// The heap must hand out what a search over all nodes would.
func TestTakesWhatASearchWould(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var nodes []Node
		for k := range rapid.IntRange(1, 12).Draw(rt, "nodes") {
			whole := rapid.Int64Range(0, 60).Draw(rt, "whole")
			nodes = append(nodes, node(state.NodeKey(k+1), whole, rapid.Int64Range(0, whole).Draw(rt, "free")))
		}
		req := Request{Ask: ask, Count: rapid.IntRange(1, 20).Draw(rt, "count"), OnePerGroup: rapid.Bool().Draw(rt, "one")}
		var avoid []state.NodeKey
		if rapid.Bool().Draw(rt, "avoids") {
			avoid = []state.NodeKey{1}
		}
		r := New(req, nodes, every)
		for range 40 {
			best, top := -1, uint64(0)
			for i := range nodes {
				penalty := int64(0)
				if len(avoid) > 0 && nodes[i].Key == avoid[0] {
					penalty = avoidPenalty
				}
				if k := r.keyWith(i, penalty); r.Fits(i) && !r.Crowded(i) && (best < 0 || k > top) {
					best, top = i, k
				}
			}
			got, ok := r.Take(avoid)
			if ok != (best >= 0) || ok && got != best {
				rt.Fatalf("took %d (%v), a search finds %d", got, ok, best)
			}
		}
	})
}
