package command

import (
	"fmt"
	"slices"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// ReapMax is how many rows one entry names; a job brings its own.
const ReapMax = 1000

// Reap forgets what has ended. Which rows are old enough is the proposer's decision;
// that they may go is looked at again here, where nothing can come in between.
type Reap struct {
	Allocs []fleet.UUID
	Evals  []fleet.UUID
	Jobs   []ReapedJob
	Nodes  []fleet.UUID
	At     int64
}

// ReapedJob is a job that nothing happened to since that index.
type ReapedJob struct {
	Key   state.JobKey
	Index uint64 // its JobModifyIndex
}

func (Reap) code() byte { return codeReap }

func (c Reap) append(b []byte) []byte {
	for _, ids := range [3][]fleet.UUID{c.Allocs, c.Evals, c.Nodes} {
		b = codec.AppendUint(b, uint64(len(ids)))
		for _, id := range ids {
			b = appendUUID(b, id)
		}
	}
	b = codec.AppendUint(b, uint64(len(c.Jobs)))
	for _, j := range c.Jobs {
		b = codec.AppendUint(codec.AppendUint(b, uint64(j.Key)), j.Index)
	}
	return codec.AppendInt(b, c.At)
}

func readReap(r *codec.Reader) Reap {
	var c Reap
	for _, ids := range [3]*[]fleet.UUID{&c.Allocs, &c.Evals, &c.Nodes} {
		for range r.Count("rows", ReapMax, 16) {
			*ids = append(*ids, r.UUID())
		}
	}
	for range r.Count("jobs", ReapMax, 2) {
		c.Jobs = append(c.Jobs, ReapedJob{state.JobKey(r.Uint()), r.Uint()})
	}
	c.At = r.Int()
	return c
}

// Reaped is the result of [Reap].
type Reaped struct{ Allocs, Evals, Jobs, Nodes int }

func applyReap(x *state.Txn, index uint64, c Reap) (Reaped, error) {
	if n := len(c.Allocs) + len(c.Evals) + len(c.Jobs) + len(c.Nodes); n > ReapMax {
		return Reaped{}, fmt.Errorf("%w: %d rows are to be reaped; at most %d", ErrInvalid, n, ReapMax)
	}
	var out Reaped
	for _, j := range c.Jobs {
		if row := x.Job(j.Key); row != nil && row.JobModifyIndex == j.Index && JobOver(&x.View, row) {
			out.Jobs++
			out.Allocs += reapAllocs(x, slices.Collect(x.AllocsByJob(j.Key)))
			for _, e := range slices.Collect(x.EvalsByJob(row.Namespace, row.ID)) {
				x.DeleteEval(e)
				out.Evals++
			}
			x.DeleteJob(row)
		}
	}
	for _, id := range c.Allocs {
		if a := x.AllocByID(id); a != nil && AllocOver(&x.View, a) {
			out.Allocs += reapAllocs(x, []*state.Alloc{a})
		}
	}
	for _, id := range c.Evals {
		if e := x.Eval(id); e != nil && EvalOver(&x.View, e) {
			x.DeleteEval(e)
			out.Evals++
		}
	}
	for _, id := range c.Nodes {
		if n := x.NodeByID(id); n != nil && NodeOver(&x.View, n) {
			out.Allocs += reapAllocs(x, slices.Collect(x.AllocsByNode(n.Key)))
			x.DeleteNode(n)
			out.Nodes++
		}
	}
	return out, nil
}

func reapAllocs(x *state.Txn, rows []*state.Alloc) int {
	for _, a := range rows {
		x.DeleteAlloc(a)
	}
	return len(rows)
}

// EndKnown reports whether it is certain that nothing of an allocation runs: its
// device said so, or will never be heard again. What the region merely concluded is
// not enough: the device may come back with it, and without the row it would be an
// orphan that nobody ends.
func EndKnown(v *state.View, a *state.Alloc) bool {
	switch a.Observed {
	case state.ObservedComplete, state.ObservedFailed:
		return true
	case state.ObservedLost:
		n := v.Node(a.Node)
		return n == nil || n.Identity.Revoked() || a.Detail != nil && a.Detail.DesiredReason == stopGone
	}
	return false
}

// AllocOver reports whether the region can do without an allocation: its end is
// known and it holds no slot of a job that is there. A failure that waits to be
// placed again, and batch work that is done, do hold one.
func AllocOver(v *state.View, a *state.Alloc) bool {
	if a.Holds() || !EndKnown(v, a) {
		return false
	}
	if a.Desired != state.DesiredRun || v.Job(a.Version.Job) == nil {
		return true
	}
	if a.Next.IsZero() || a.Observed != state.ObservedComplete {
		return !a.Next.IsZero()
	}
	// It was replaced while its device was away, and is done all the same. If its replacement was given up for it, the work is done
	// by this row alone, and without it would be done once more.
	next := v.AllocByID(a.Next)
	return next != nil && next.Desired == state.DesiredRun
}

// EvalOver reports whether the region can do without an evaluation: it has ended,
// and is not the newest of its job, by which one sees when anything last happened
// to it.
func EvalOver(v *state.View, e *state.Eval) bool {
	if !e.Ended() {
		return false
	}
	return v.JobByID(e.Namespace, e.Job) == nil || v.Newer(e)
}

// JobOver reports whether a job is dead and nothing of it may come back: it is
// stopped, or a batch job that is through.
func JobOver(v *state.View, j *state.Job) bool {
	work := 0
	for a := range v.AllocsByJob(j.Key) {
		if a.Holds() || !EndKnown(v, a) {
			return false
		}
		work++
	}
	for e := range v.EvalsByJob(j.Namespace, j.ID) {
		if !e.Ended() {
			return false
		}
	}
	// A sysbatch job that is not stopped is for the devices that come later, too.
	return j.Stop || work > 0 && j.Current().Spec.Type == fleet.JobTypeBatch
}

// NodeOver reports whether a device is given up and nothing it may still have is
// known: what is done there of a job that is there holds that job's slot only if it
// could be done elsewhere.
func NodeOver(v *state.View, n *state.Node) bool {
	if n.Link != fleet.LinkLost || len(n.Orphans) > 0 {
		return false
	}
	for a := range v.AllocsByNode(n.Key) {
		if a.Holds() || !EndKnown(v, a) {
			return false
		}
		if !AllocOver(v, a) && !fleet.PerNode(a.Version.Spec.Type) {
			return false
		}
	}
	return true
}
