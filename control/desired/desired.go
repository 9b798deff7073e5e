// Package desired says what a device must be told.
//
// The one idea: [Difference] is a function of a view and of what the device
// holds, so a session that lost a wake-up, a link or itself computes the same
// messages anew. Sessions and the simulator share it.
//
// Threading: none needed; views are immutable.
package desired

import (
	"cmp"
	"slices"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/wire"
)

// BytesGoal is the size, in bytes, above which a difference is told in several
// messages. A single generation is never cut, so a message may be larger.
const BytesGoal = 2 << 20

// rowBytes is what one allocation takes in a message, about.
const rowBytes = 128

// Difference is what a device that holds a generation must be told to hold the
// view's, never empty. A large one is cut where the generation rises, so that a
// device that is cut off in between goes on from there.
//
// The caller has asked [state.View.Lineage] about held: what is not known to the
// view must come here as the zero generation.
func Difference(v *state.View, node state.NodeKey, held wire.Generation) []*wire.Desired {
	region := v.Region()
	full := held.Epoch != region.Epoch || held.N > v.Index()
	var changed []*state.Alloc
	knows := map[*state.JobVersion]bool{}
	for a := range v.AllocsByNode(node) {
		switch {
		case full && (!a.Observed.Terminal() || a.Observed == state.ObservedLost):
			// Lost is what the region concluded; the device may run it still, and would
			// keep it for ever as an orphan if it were not named.
			changed = append(changed, a)
		case !full && a.DesiredIndex > held.N:
			changed = append(changed, a)
		case !full && a.Desired == state.DesiredRun:
			knows[a.Version] = true
		}
	}
	slices.SortStableFunc(changed, func(a, b *state.Alloc) int { return cmp.Compare(a.DesiredIndex, b.DesiredIndex) })

	message := func() *wire.Desired {
		return &wire.Desired{RegionID: region.ID, Gen: wire.Generation{Epoch: region.Epoch, N: v.Index()}, Mark: v.MarkAt(v.Index())}
	}
	out := []*wire.Desired{message()}
	out[0].Full = full
	out[0].Allocs = slices.Grow(orphans(v.Node(node), full, held), min(len(changed), BytesGoal/rowBytes+1))
	size := 0
	for i, a := range changed {
		m := out[len(out)-1]
		if size > BytesGoal && !full && changed[i-1].DesiredIndex < a.DesiredIndex {
			m.Gen.N = changed[i-1].DesiredIndex
			m.Mark = v.MarkAt(m.Gen.N)
			m = message()
			out, size = append(out, m), 0
		}
		if !knows[a.Version] && a.Desired == state.DesiredRun {
			knows[a.Version] = true
			m.Jobs = append(m.Jobs, wire.JobSpec{Key: a.Version.Key(), JSON: a.Version.JSON})
			size += len(a.Version.JSON)
		}
		m.Allocs = append(m.Allocs, row(v, a))
		size += rowBytes
	}
	return out
}

// Base is the generation to tell a device the difference from: the zero one when
// it must be told everything. Beyond: what it holds is of a history that the
// region does not have; the epoch must be raised before it is told anything, or
// it would be told to go back.
func Base(v *state.View, r *wire.Register) (held wire.Generation, beyond bool) {
	switch v.Lineage(r.Held, r.Mark) {
	case state.LineageBeyond:
		return wire.Generation{}, true
	case state.LineageKnown:
		if !r.Everything {
			return r.Held, false
		}
	}
	return wire.Generation{}, false
}

// orphans are those that an operator wants stopped. They have no row, so they are
// told as the device told of them.
func orphans(n *state.Node, full bool, held wire.Generation) (out []wire.DesiredAlloc) {
	if n == nil {
		return nil
	}
	for _, o := range n.Orphans {
		if o.StopReason != "" && (full || o.Changed > held.N) {
			out = append(out, wire.DesiredAlloc{
				ID: o.ID, Job: o.Job, Group: o.Group, Index: o.Index, Stop: true, StopReason: o.StopReason, CreateTime: o.CreateTime,
			})
		}
	}
	return out
}

func row(v *state.View, a *state.Alloc) wire.DesiredAlloc {
	d := wire.DesiredAlloc{
		ID: a.ID, Job: a.Version.Key(), Group: a.GroupName(), Index: a.Index,
		Stop: a.Desired != state.DesiredRun, CreateTime: a.CreateTime, Exceeds: a.Exceeds, Granted: v.Granted(a),
	}
	if a.Detail != nil && d.Stop {
		d.StopReason = a.Detail.DesiredReason
	} else if a.Detail != nil {
		d.After = a.Detail.Preempted
	}
	return d
}
