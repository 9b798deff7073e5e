package rank

import (
	"slices"
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

// drawRequest makes a request with any mix of wishes and limits.
func drawRequest(rt *rapid.T, nodes int) Request {
	req := Request{
		Ask: ask, Count: rapid.IntRange(1, 20).Draw(rt, "count"),
		OnePerGroup: rapid.Bool().Draw(rt, "one"), Emptiest: rapid.Bool().Draw(rt, "emptiest"),
	}
	valuesOf := func(label string, least, most int32) []int32 {
		out := make([]int32, nodes)
		for i := range out {
			out[i] = rapid.Int32Range(least, most).Draw(rt, label)
		}
		return out
	}
	if rapid.Bool().Draw(rt, "prefers") {
		for range nodes {
			req.Affinity = append(req.Affinity, rapid.Int64Range(-Scale, Scale).Draw(rt, "affinity"))
		}
	}
	if rapid.Bool().Draw(rt, "likes") {
		for range nodes {
			req.Given = append(req.Given, rapid.SliceOfN(rapid.Int64Range(-Scale, Scale), 0, 4).Draw(rt, "given"))
		}
	}
	for range rapid.IntRange(0, 2).Draw(rt, "spreads") {
		req.Spreads = append(req.Spreads, Spread{
			Value: valuesOf("value", 0, 2), Weight: rapid.Int64Range(1, 100).Draw(rt, "weight"),
			Want: rapid.SliceOfN(rapid.Int64Range(0, 2000), 3, 3).Draw(rt, "want"),
			Have: rapid.SliceOfN(rapid.Int64Range(0, 9), 3, 3).Draw(rt, "have"),
		})
	}
	for range rapid.IntRange(0, 2).Draw(rt, "limits") {
		req.Limits = append(req.Limits, Limit{Value: valuesOf("property", -1, 2), Left: rapid.SliceOfN(rapid.Int64Range(-1, 4), 3, 3).Draw(rt, "left")})
	}
	return req
}

// search finds the best node by looking at all of them.
func search(r *Ranker, avoid []state.NodeKey) int {
	best, top, tie := -1, int64(0), uint32(0)
	for i := range r.nodes {
		if !r.Open(i) {
			continue
		}
		penalty := int64(0)
		if slices.Contains(avoid, r.nodes[i].Key) {
			penalty = avoidPenalty
		}
		values := make([]int32, len(r.req.Spreads))
		for k := range values {
			values[k] = r.req.Spreads[k].Value[i]
		}
		key := r.keyWith(i, penalty)
		total, low := scoreOf(key)+r.bonus(values), uint32(key)
		if best < 0 || total > top || total == top && low > tie {
			best, top, tie = i, total, low
		}
	}
	return best
}

// The heaps must hand out what a search over all nodes would.
func TestTakesWhatASearchWould(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var nodes []Node
		for k := range rapid.IntRange(1, 12).Draw(rt, "nodes") {
			whole := rapid.Int64Range(0, 60).Draw(rt, "whole")
			nodes = append(nodes, node(state.NodeKey(k+1), whole, rapid.Int64Range(0, whole).Draw(rt, "free")))
		}
		r := New(drawRequest(rt, len(nodes)), nodes, every)
		for range 40 {
			avoid := rapid.SliceOfN(rapid.Map(rapid.IntRange(1, 12), func(k int) state.NodeKey { return state.NodeKey(k) }), 0, 2).Draw(rt, "avoid")
			best := search(r, avoid)
			if plain, list := search(r, nil), r.Best(3); (plain >= 0) != (len(list) > 0) || plain >= 0 && list[0].Node != plain {
				rt.Fatalf("Best says %+v, a search finds %d", list, plain)
			}
			got, ok := r.Take(avoid)
			if ok != (best >= 0) || ok && got != best {
				rt.Fatalf("took %d (%v), a search finds %d", got, ok, best)
			}
		}
	})
}

// shares places count on sites of equal nodes and says how many each site got.
func shares(count int, sites int, want, have []int64, full int64) []int {
	var nodes []Node
	s := Spread{Want: want, Have: have, Weight: 50}
	for i := range sites * 8 {
		site := int32(i % sites)
		n := node(state.NodeKey(i+1), 1000, 1000)
		if site == 0 {
			n.Free.CPU, n.Free.MemoryMB = 1000-full, 1000-full
		}
		nodes, s.Value = append(nodes, n), append(s.Value, site)
	}
	r := New(Request{Ask: ask, Count: count, Spreads: []Spread{s}}, nodes, every)
	got := make([]int, sites)
	for range count {
		i, _ := r.Take(nil)
		got[i%sites]++
	}
	return got
}

func TestSharesAreKept(t *testing.T) {
	tests := []struct {
		count      int
		want, have []int64 // per cent, allocations
		full       int64
		got        []int
	}{
		{9, []int64{100, 100, 100}, []int64{0, 0, 0}, 0, []int{3, 3, 3}},
		{10, []int64{70, 30}, []int64{0, 0}, 0, []int{7, 3}},
		{100, []int64{70, 20, 10}, []int64{0, 0, 0}, 0, []int{70, 20, 10}},
		{6, []int64{100, 100}, []int64{4, 0}, 0, []int{1, 5}}, // what stands counts
		{10, []int64{100, 0}, []int64{0, 0}, 0, []int{10, 0}},
		{10, []int64{100, 100}, []int64{0, 0}, 900, []int{5, 5}}, // a fuller site does not win
	}
	for _, tt := range tests {
		total, sum := int64(0), int64(0)
		for k := range tt.want {
			total, sum = total+tt.want[k], sum+tt.have[k]
		}
		want := make([]int64, len(tt.want))
		for k := range want {
			want[k] = tt.want[k] * (int64(tt.count) + sum) * 100 / total
		}
		got := shares(tt.count, len(tt.want), want, tt.have, tt.full)
		for k := range got {
			if d := got[k] - tt.got[k]; d < -1 || d > 1 || tt.full == 0 && d != 0 {
				t.Errorf("%d by %v beside %v: got %v, want %v", tt.count, tt.want, tt.have, got, tt.got)
				break
			}
		}
	}
}

// On equal nodes bin packing uses as few as can be, and the other algorithm as
// many.
func TestPackingOfEqualNodes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		perNode := rapid.Int64Range(1, 12).Draw(rt, "per node")
		count := rapid.IntRange(20, 200).Draw(rt, "count") * int(perNode) // siblings weigh little against fit
		least := count / int(perNode)
		for _, emptiest := range []bool{false, true} {
			var nodes []Node
			for k := range 2 * least {
				nodes = append(nodes, node(state.NodeKey(k+1), perNode*10+9, perNode*10+9))
			}
			r := New(Request{Ask: ask, Count: count, Seed: rapid.Uint64().Draw(rt, "seed"), Emptiest: emptiest}, nodes, every)
			used := map[int]bool{}
			for range count {
				i, ok := r.Take(nil)
				if !ok {
					rt.Fatal("no room on twice the nodes")
				}
				used[i] = true
			}
			if want := least; !emptiest && len(used) != want {
				rt.Fatalf("%d by %d on %d nodes, want %d", count, perNode, len(used), want)
			}
			if want := min(count, 2*least); emptiest && len(used) != want {
				rt.Fatalf("%d on %d nodes, want %d", count, len(used), want)
			}
		}
	})
}

// What is liked best is given first, and a node is scored by what it has left.
func TestWhatIsGivenIsScoredOneByOne(t *testing.T) {
	nodes := []Node{node(1, 100, 100), node(2, 100, 100), node(3, 100, 100)}
	r := New(Request{Ask: ask, Count: 9, Given: [][]int64{{Scale, -Scale}, {Scale / 2, Scale / 2}, {}}}, nodes, every)
	if s := r.Score(0); s.Given != Scale || s.Total() != s.Fit-s.Crowd+Scale {
		t.Errorf("%+v", s)
	}
	var got []int
	for range 4 {
		i, _ := r.Take(nil)
		got = append(got, i)
	}
	if !slices.Equal(got, []int{0, 1, 1, 2}) {
		t.Errorf("taken: %v", got)
	}
}

func TestAffinityWeighsLikeAFullNode(t *testing.T) {
	nodes := []Node{node(1, 100, 10), node(2, 100, 100), node(3, 100, 100)}
	r := New(Request{Ask: ask, Count: 1, Affinity: []int64{0, Scale, -Scale}}, nodes, every)
	for _, want := range []int{1, 0} {
		if i, _ := r.Take(nil); want == 1 && i != want {
			t.Fatalf("took %d first", i)
		}
	}
	last := -1
	for {
		i, ok := r.Take(nil)
		if !ok {
			break
		}
		last = i
	}
	if last != 2 {
		t.Errorf("the last to be taken was %d, not the one to be avoided", last)
	}
}

func TestEmptiestFirst(t *testing.T) {
	nodes := []Node{node(1, 100, 90), node(2, 100, 100), node(3, 100, 20)}
	r := New(Request{Ask: ask, Count: 100, Emptiest: true}, nodes, every)
	for step, want := range []int{1, 0, 1, 0} {
		if i, _ := r.Take(nil); step != 1 && step != 2 && step != 3 && i != want {
			t.Fatalf("step %d took %d, want %d", step, i, want)
		}
	}
	if nodes[2].Free.CPU != 20 {
		t.Error("the fullest node was taken while others were empty")
	}
}
