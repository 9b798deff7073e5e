package scheduler

import (
	"maps"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// fact changes an attribute of a node; empty: it is not known any more.
func (r *region) fact(node, name, value string) {
	r.do(func(x *state.Txn, index uint64) {
		for n := range r.store.View().Nodes() {
			if n.Spec.Name != node {
				continue
			}
			c, spec := *n, *n.Spec
			spec.Attributes = maps.Clone(spec.Attributes)
			if spec.Attributes[name] = value; value == "" {
				delete(spec.Attributes, name)
			}
			c.Spec = &spec
			x.PutNode(c, index)
		}
	})
}

// TestAlwaysMovesWhatNoLongerHolds: only with mode = "always", only once there is
// a place to go to, with the reason in words, and not again.
func TestAlwaysMovesWhatNoLongerHolds(t *testing.T) {
	for _, mode := range []string{"", fleet.ConstraintAlways} {
		r := newRegion(t)
		mains := func(n *fleet.Node) { n.Attributes["power.source"] = "mains" }
		r.node("n0", mains)
		r.job(func(j *fleet.Job) {
			j.TaskGroups[0].Count = fleet.Ptr(2)
			j.TaskGroups[0].Tasks[0].Constraints = []fleet.Constraint{{LTarget: "${attr.power.source}", RTarget: "mains", Mode: mode}}
		})
		r.run(fleet.TriggerJobRegister)
		quiet := r.run(fleet.TriggerNodeUpdate)
		wantCounts(t, &quiet.Plan, 0, 0, 0, 0)

		r.fact("n0", "power.source", "battery")
		nowhere := r.run(fleet.TriggerNodeUpdate)
		wantCounts(t, &nowhere.Plan, 0, 0, 0, 0) // it runs on: stopping it would heal nothing
		if blocked := len(nowhere.Plan.Evals) == 2; blocked != (mode != "") {
			t.Errorf("mode %q without another node: evaluations %+v", mode, nowhere.Plan.Evals)
		}

		r.node("n1", mains)
		moved := r.run(fleet.TriggerQueued)
		if mode == "" {
			wantCounts(t, &moved.Plan, 0, 0, 0, 0)
			continue
		}
		wantCounts(t, &moved.Plan, 2, 2, 0, 0)
		s := moved.Plan.Stops[0]
		if s.Lost || s.Reason != "moved: ${attr.power.source} = mains no longer holds on node n0, which has battery" {
			t.Errorf("reason %q", s.Reason)
		}
		for _, p := range moved.Plan.Groups[0].Prevs {
			if p.Alloc.IsZero() || p.Reschedule {
				t.Errorf("a move counts as a failure or forgets what it moves: %+v", p)
			}
		}
		rest := r.run(fleet.TriggerNodeUpdate)
		wantCounts(t, &rest.Plan, 0, 0, 0, 0)

		// The fact comes back, then goes for good: nothing, then back again.
		r.fact("n0", "power.source", "mains")
		back := r.run(fleet.TriggerNodeUpdate)
		wantCounts(t, &back.Plan, 0, 0, 0, 0)
		r.fact("n1", "power.source", "")
		gone := r.run(fleet.TriggerNodeUpdate)
		wantCounts(t, &gone.Plan, 2, 2, 0, 0)
		if got := gone.Plan.Stops[0].Reason; got != "moved: ${attr.power.source} = mains no longer holds on node n1, which has no value" {
			t.Errorf("reason %q", got)
		}
	}
}
