package plan

import (
	"testing"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

// apartJob is the job "j" of [world], one of which at most may be on a node.
func (w *world) apartJob() {
	w.job("j")
	w.do(func(x *state.Txn) {
		old := x.JobByID(fleet.DefaultNamespace, "j")
		spec := *old.Current().Spec
		spec.Constraints = []fleet.Constraint{{Operand: fleet.OpDistinctHosts}}
		j := *old
		j.Versions = []*state.JobVersion{state.NewJobVersion(old.Key, 0, &spec, fleet.CanonicalBytes(&spec), 0, w.index)}
		x.PutJob(j, w.index)
	})
}

// Whatever is refused of a plan that changes places, no two of the job are on one node afterwards: one that stays because its
// successor was refused is still where the scheduler took it for gone.
func TestWhatIsKeptApartStaysApart(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		w.apartJob()
		var nodes []state.NodeKey
		for range rapid.IntRange(2, 6).Draw(rt, "nodes") {
			link := rapid.SampledFrom([]fleet.LinkState{fleet.LinkOnline, fleet.LinkOnline, fleet.LinkLost}).Draw(rt, "link")
			nodes = append(nodes, w.node(250, 999, link)) // room for two
		}
		first := w.plan("j")
		held := rapid.IntRange(1, len(nodes)).Draw(rt, "held")
		ids := w.place(first, 0, nodes[:held]...)
		w.apply(first)

		p := w.plan("j")
		to := rapid.Permutation(nodes).Draw(rt, "to")
		g := command.Placements{}
		for i, id := range ids {
			w.ids++
			g.Nodes, g.Names, g.IDs, g.Prevs = append(g.Nodes, to[i]), append(g.Names, uint32(i)), append(g.IDs, uid(w.ids)), append(g.Prevs, command.Replaced{Alloc: id})
			p.Stops = append(p.Stops, command.Stop{Alloc: id, Desired: state.DesiredStop})
		}
		p.Groups = []command.Placements{g}
		v := Verify(w.store.View(), nil, p)
		w.apply(&v.Accepted)
		view := w.store.View()
		for _, k := range nodes {
			if n := view.Usage(k).Allocs; n > 1 {
				rt.Fatalf("%d on node %d; accepted of %+v: %+v", n, k, *p, v.Accepted)
			}
		}
		if v.Whole() && len(v.Accepted.Stops) != len(ids) {
			rt.Fatalf("nothing was refused, and %d of %d stops are left", len(v.Accepted.Stops), len(ids))
		}
	})
}

// The smallest case, in words: the successor of the first is refused, so that of the second may not take the first one's place.
func TestASuccessorDoesNotJoinOneThatStays(t *testing.T) {
	for name, apart := range map[string]bool{"kept apart": true, "free": false} {
		w := newWorld()
		if apart {
			w.apartJob()
		} else {
			w.job("j")
		}
		x, y, gone := w.node(500, 500, fleet.LinkOnline), w.node(500, 500, fleet.LinkOnline), w.node(500, 500, fleet.LinkLost)
		first := w.plan("j")
		ids := w.place(first, 0, x, y)
		w.apply(first)
		p := w.plan("j")
		w.place(p, 0, gone, x)
		p.Groups[0].Prevs = []command.Replaced{{Alloc: ids[0]}, {Alloc: ids[1]}}
		p.Stops = []command.Stop{{Alloc: ids[0], Desired: state.DesiredStop}, {Alloc: ids[1], Desired: state.DesiredStop}}
		v := Verify(w.store.View(), nil, p)
		if got, want := len(v.Accepted.Groups), 1; apart && got != 0 || !apart && got != want {
			t.Errorf("%s: %d groups accepted: %+v", name, got, v)
		}
		if got := len(v.Rejected); apart && got != 2 || !apart && got != 1 {
			t.Errorf("%s: %d nodes refused: %+v", name, got, v.Rejected)
		}
	}
}
