package command

import (
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// StatusesApplied is the result of [Statuses].
type StatusesApplied struct {
	Changed int
	// Dropped counts reports that cannot be true: of an unknown node or
	// allocation, of another node's allocation, or in a state that only a region
	// concludes. They are no error: one device must not hold up the batch of all.
	Dropped int
	Evals   []fleet.UUID
}

func applyStatuses(x *state.Txn, index uint64, c Statuses) (StatusesApplied, error) {
	m, out := newMinter(x, index, c.At, c.Seed), StatusesApplied{}
	for i := range c.Nodes {
		n := x.NodeByID(c.Nodes[i].Node)
		if n == nil {
			out.Dropped += len(c.Nodes[i].Allocs)
			continue
		}
		for k := range c.Nodes[i].Allocs {
			s := &c.Nodes[i].Allocs[k]
			a := x.AllocByID(s.ID)
			observed, err := state.ParseObserved(s.Status)
			if err != nil || observed == state.ObservedLost || observed == state.ObservedUnknown || a == nil || a.Node != n.Key {
				out.Dropped++
				continue
			}
			if m.observe(a, observed, s, n.ID) {
				out.Changed++
			}
		}
	}
	out.Evals = m.ids
	return out, nil
}

// observe merges one report and reports whether the row changed.
func (m *minter) observe(a *state.Alloc, observed state.Observed, s *wire.AllocStatus, node fleet.UUID) bool {
	if !accepts(a, observed) {
		return false
	}
	c, changed, err := state.SetObserved(*a, s, m.at)
	if err != nil || !changed {
		return false
	}
	m.x.UpdateAlloc(a, c, m.index)
	if a.Observed == state.ObservedUnknown && c.Holds() {
		m.x.Freed(a.Node, m.index) // it is back, and may have to give way to what waits
	}
	switch {
	case c.Observed == a.Observed:
		// Of several tasks the last one may begin to run long after the first.
		if c.Desired == state.DesiredRun && len(c.GroupSpec().Tasks) > 1 && c.TasksRun() && !a.TasksRun() && m.awaitsStep(&c) {
			m.evaluate(c.Version.Job, fleet.TriggerRolling, node)
		}
	case c.Desired == state.DesiredRun && wantsReplacement(&c):
		m.evaluate(c.Version.Job, fleet.TriggerAllocFailure, node)
	case c.Desired == state.DesiredRun && (m.awaitsStep(&c) || m.outdated(&c)):
		m.evaluate(c.Version.Job, fleet.TriggerRolling, node)
	case c.Desired == state.DesiredRun && a.Observed == state.ObservedUnknown:
		m.evaluate(c.Version.Job, fleet.TriggerReconnect, node)
	case c.Desired != state.DesiredRun && c.Observed.Terminal() && m.awaited(&c):
		m.evaluate(c.Version.Job, fleet.TriggerAllocStop, node)
	}
	return true
}

// awaitsStep reports whether the next step of an update waits for allocations like
// this one to run: its group is replaced in steps, and some are of another version
// still. What is left is looked for once per command and job.
func (m *minter) awaitsStep(a *state.Alloc) bool {
	j := m.x.Job(a.Version.Job)
	if j == nil || j.Stop || m.done[j.Key] || a.Version != j.Current() || a.Version.Version == 0 || a.GroupSpec().Step() == 0 ||
		a.Observed != state.ObservedRunning && a.Observed != state.ObservedComplete { // one that is short may never be seen running
		return false
	}
	if m.looked[j.Key] {
		return false
	}
	m.looked[j.Key] = true
	for other := range m.x.AllocsByJob(j.Key) {
		if other.Version != a.Version && other.Holds() {
			return true
		}
	}
	return false
}

// outdated reports whether an allocation has ended that a later step of an update would have replaced: the work of the new version
// is still to do, and nothing holds it up any more.
func (m *minter) outdated(a *state.Alloc) bool {
	j := m.x.Job(a.Version.Job)
	if j == nil || j.Stop || a.Observed != state.ObservedComplete || a.Version == j.Current() {
		return false
	}
	g := j.Current().GroupIndex(a.GroupName())
	return g >= 0 && j.Current().Spec.TaskGroups[g].Step() > 0
}

// awaited reports whether a successor waits for the allocation's end.
func (m *minter) awaited(a *state.Alloc) bool {
	j := m.x.Job(a.Version.Job)
	if j == nil || j.Stop {
		return false
	}
	g := j.Current().GroupIndex(a.GroupName())
	return g >= 0 && !j.Current().Spec.TaskGroups[g].Replaced()
}

// accepts says whether a report may follow what is known. An end stands: a late
// or repeated report must not bring an allocation back to life. Lost is what the
// region concluded without the device, so the device may know better: that it
// ended, or that it runs when it still should.
func accepts(a *state.Alloc, observed state.Observed) bool {
	switch a.Observed {
	case state.ObservedComplete, state.ObservedFailed:
		// Not even the same end again: it may come from a device that has dropped the
		// task's events since, and it would move the time from which rescheduling counts.
		return false
	case state.ObservedLost:
		return observed.Terminal() || a.Desired == state.DesiredRun
	}
	return true
}

// wantsReplacement: a failure does, and so does a service that ended by itself.
func wantsReplacement(a *state.Alloc) bool {
	return a.Observed == state.ObservedFailed ||
		a.Observed == state.ObservedComplete && !fleet.Finite(a.Version.Spec.Type)
}
