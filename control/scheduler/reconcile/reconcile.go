package reconcile

import (
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Rules is what differs between types of jobs.
type Rules struct {
	// CompleteStays: an allocation that completed has done its work and holds its
	// slot; otherwise it is replaced.
	CompleteStays bool
}

// Input is what to reconcile.
type Input struct {
	Job    *state.Job // nil: purged
	Allocs []*state.Alloc
	// Deployment is that of the job's current version; nil: there is none.
	Deployment *fleet.Deployment
	Rules      Rules
	Eval       fleet.UUID // that is being worked on
	Now        time.Time

	// Lost reports whether a node and what ran on it is given up, and its name.
	Lost func(state.NodeKey) (name string, lost bool)
	// AwaySince is since when a node has no link; zero: it has one.
	AwaySince func(state.NodeKey) time.Time
	// Score is how good a place a node is for an allocation of the group that runs
	// there; the greater, the better.
	Score func(group int, node state.NodeKey) int64
	// Waiting reports whether an evaluation is still to come.
	Waiting func(fleet.UUID) bool
	// Update says what a new version does to an allocation; asked once per pair
	// of versions and group.
	Update func(old, new *fleet.TaskGroup, oldJob, newJob *fleet.Job) fleet.Change
	// Stays reports whether the node still meets the rules of the group of that
	// position in the current version.
	Stays func(group int, node state.NodeKey) bool
	// Broken reports, for a group of the current version, why an allocation may
	// not stay on the node although its job did not change; nil: none may not.
	Broken func(group int, node state.NodeKey) (reason string, broken bool)
	// AtHome reports whether an allocation's own node takes one of the group's current
	// version instead of it; nil: nobody knows.
	AtHome func(group int, a *state.Alloc) bool
	// Moving is why an allocation has to leave its node now, empty: it need not; and
	// whether it goes even if it has no other place. nil: none has to.
	Moving func(*state.Alloc) (why string, anyway bool)
	// Field is the nodes, for jobs that run on every one.
	Field Field
}

// Result is what to do.
type Result struct {
	Stops []Stop // of what no group wants, and of what is lost
	// Unknown are given up for now and not stopped: they may come back.
	Unknown []Stop
	// Groups are as in the current version, each followed by what is placed of its
	// older ones; none if the job is stopped.
	Groups []Group
}

// Group is what to do for one group.
type Group struct {
	Index   int // position in the job version
	Spec    *fleet.TaskGroup
	Keep    []*state.Alloc // live, go on as they are
	InPlace []*state.Alloc // live, take the new version
	Place   []Place        // by index
	Surplus int            // how many of Result.Stops are the group's
	Lost    int            // how many of Result.Stops are the group's for being lost
	Delayed []Delayed
	Spent   int // failed and not to be placed again
	Done    int // completed
	Ending  int // stopped, and their successors wait for the end
	Later   int // of Keep: the new version replaces them in a later step
	// NextStep is when a step that was taken before may let the next one follow, or
	// should have; zero: what it waits for is not time.
	NextStep time.Time
	// Held is how many of the new version hold the next step up: they failed, or are
	// not healthy though they should be. HeldBy is the first, and why.
	Held   int
	HeldBy string
	// Version is the older version whose group this is, of which there is but Place;
	// nil: the current one. Beside is what stays of the same name's others.
	Version *state.JobVersion
	Beside  []*state.Alloc
	// Pinned: each placement names its node, and one that finds no room there waits
	// for that node alone.
	Pinned bool
}

// Place is a slot to fill.
type Place struct {
	Index      uint32
	Prev       *state.Alloc      // whose history it inherits; may be nil
	Replace    bool              // Prev runs and must be stopped if this is placed
	Reschedule bool              // Prev failed, and this counts as an attempt
	Delay      time.Duration     // the policy's delay that was waited
	Avoid      *state.NodeKey    // on which Prev failed
	Reason     string            // why Prev is moved; empty: by a new version
	Node       state.NodeKey     // in a pinned group: where to
	Version    *state.JobVersion // as which it is placed; nil: the current one
	NoRoom     bool              // in a pinned group: not now, and it is missed
}

// Delayed is an allocation that failed, or is away, and will be placed again later.
type Delayed struct {
	Alloc *state.Alloc
	At    time.Time
	// Marked: an evaluation that will do it exists.
	Marked bool
	Reason string
	Away   bool // it has not failed: its device is away
}

// Stop ends an allocation.
type Stop struct {
	Alloc  *state.Alloc
	Lost   bool
	Reason string
}

// Reconcile compares.
func Reconcile(in Input) Result {
	var out Result
	if in.Job == nil || in.Job.Stop {
		reason := "the job is stopped"
		if in.Job == nil {
			reason = "the job is purged"
		}
		for _, a := range in.Allocs {
			in.end(&out, a, reason)
		}
		return out
	}
	cur := in.Job.Current()
	sorted := make([]sorter, len(cur.Spec.TaskGroups))
	for i := range sorted {
		sorted[i] = sorter{in: &in, cur: cur, out: &out, group: Group{Index: i, Spec: &cur.Spec.TaskGroups[i]}}
		sorted[i].roll(in.Deployment)
	}
	for _, a := range in.Allocs {
		if i, why := in.groupOf(cur, a); i >= 0 {
			sorted[i].add(a)
		} else {
			in.end(&out, a, why)
		}
	}
	for i := range sorted {
		sorted[i].settle()
		older := sorted[i].group.split()
		out.Groups = append(append(out.Groups, sorted[i].group), older...)
	}
	return out
}

// groupOf is the position of an allocation's group in the current version, or -1
// and why it has none.
func (in *Input) groupOf(cur *state.JobVersion, a *state.Alloc) (int, string) {
	switch {
	case a.Version == cur:
		return int(a.Group), ""
	case a.Version.Job != in.Job.Key:
		return -1, "the job is purged"
	}
	if i := cur.GroupIndex(a.GroupName()); i >= 0 {
		return i, ""
	}
	return -1, fmt.Sprintf("group %s is not in version %d of the job", a.GroupName(), cur.Version)
}

// end stops what is not wanted any more. A failed allocation that still counts is
// ended too, or a job that is run again would find its slots taken.
func (in *Input) end(out *Result, a *state.Alloc, reason string) {
	if a.Desired != state.DesiredRun || a.Observed == state.ObservedComplete || a.Observed.Terminal() && !a.Next.IsZero() {
		return
	}
	s := Stop{Alloc: a, Reason: reason}
	if name, lost := in.Lost(a.Node); lost && a.Holds() && a.GroupSpec().Replaced() {
		s.Lost, s.Reason = true, lostReason(name)
	}
	out.Stops = append(out.Stops, s)
}

func lostReason(node string) string { return fmt.Sprintf("node %s is lost", node) }
