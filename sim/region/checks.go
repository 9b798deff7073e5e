package region

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/liveness"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// sumsEvery is how many commits pass between recomputations of all sums.
const sumsEvery = 16

// checks are the oracles that look while things happen.
type checks struct {
	s        *sim
	promises map[uint64][]byte     // index → entry, of what users were told is stored
	told     map[fleet.UUID]string // terminal states that devices were told are stored
	stopped  map[fleet.UUID]bool   // before a restore, or as orphans; the devices may be at it still
}

func newChecks(s *sim) *checks {
	return &checks{s: s, promises: map[uint64][]byte{}, told: map[fleet.UUID]string{}, stopped: map[fleet.UUID]bool{}}
}

func (c *checks) beforeRestore() {
	for a := range c.s.server.store.View().Allocs() {
		if a.Desired != state.DesiredRun {
			c.stopped[a.ID] = true
		}
	}
}

// orphanStopped notes that an operator stopped an orphan, which has no row.
func (c *checks) orphanStopped(id fleet.UUID) { c.stopped[id] = true }

// afterRestore voids what was promised beyond an entry.
func (c *checks) afterRestore(index uint64) {
	clear(c.told)
	maps.DeleteFunc(c.promises, func(i uint64, _ []byte) bool { return i > index })
}

// promised notes that a user heard that an entry is stored.
func (c *checks) promised(index uint64, data []byte) { c.promises[index] = data }

// committed looks at each entry as it is applied.
func (c *checks) committed(before, after *state.View, index uint64, cmd command.Command, err error) {
	if c.s.opts.Log != nil && err != nil {
		c.s.note("entry %d is refused: %v", index, err)
	}
	for n := range after.Nodes() {
		u, room := after.Usage(n.Key), n.Spec.Capacity()
		if !u.Ask().Within(room) {
			c.s.object("entry %d puts %+v on node %s, which has %+v", index, u.Ask(), n.Spec.Name, room)
		}
	}
	if index%sumsEvery == 0 {
		c.sums(after)
	}
	if cmd == nil || err != nil {
		return
	}
	if c.s.opts.Log != nil {
		c.s.note("entry %d: %T", index, cmd)
	}
	switch p := cmd.(type) {
	case command.NodeRegister:
		c.s.server.heard[p.ID] = c.s.now
	case *command.NodeLinks:
		c.braked(before, p)
	case *command.DrainStep:
		c.drained(after, p, index)
	case command.DrainStep:
		c.drained(after, &p, index)
	case command.Plan:
		c.planned(before, after, &p, index)
	case *command.Plan:
		c.planned(before, after, p, index)
	}
}

// braked objects when nodes are given up though more are gone than may go at once.
func (c *checks) braked(v *state.View, p *command.NodeLinks) {
	if !slices.ContainsFunc(p.Changes, func(l command.LinkChange) bool { return l.Link == fleet.LinkLost }) {
		return
	}
	gone, all := 0, 0
	released := time.Unix(0, v.Region().Brake.ReleasedAt)
	for n := range v.Nodes() {
		at, known := c.s.server.heard[n.ID]
		silent := known && c.s.now.Sub(at) >= lostMin
		if !known || silent && !at.After(released) {
			continue
		}
		if all++; silent {
			gone++
		}
	}
	if gone >= liveness.BrakeNodesMin && gone*100 > liveness.MaxLost*all {
		c.s.object("%d of %d devices are gone, and %d are given up", gone, all, len(p.Changes))
	}
}

// sums compares the running sums of all nodes with their recomputation.
func (c *checks) sums(v *state.View) {
	sums := map[state.NodeKey]state.Usage{}
	for a := range v.Allocs() {
		if a.Holds() {
			all := sums[a.Node].Ask().Plus(a.Ask())
			sums[a.Node] = state.Usage{CPU: all.CPU, MemoryMB: all.MemoryMB, DiskMB: all.DiskMB, Allocs: sums[a.Node].Allocs + 1}
		}
	}
	for n := range v.Nodes() {
		if got := v.Usage(n.Key); got != sums[n.Key] {
			c.s.object("the usage of node %s is kept as %+v and sums up to %+v", n.Spec.Name, got, sums[n.Key])
		}
	}
}

// planned checks what a plan did: it stops nothing healthy without its job's
// change, and it gives no name twice.
func (c *checks) planned(before, after *state.View, p *command.Plan, index uint64) {
	if c.s.opts.Log != nil {
		c.s.note("entry %d: plan of %s: %d groups, %d stops, %d updates, %d evaluations", index, p.Job, len(p.Groups), len(p.Stops), len(p.Updates), len(p.Evals))
	}
	for i := range p.Stops {
		st := &p.Stops[i]
		if row := before.AllocByID(st.Alloc); row != nil && row.Holds() && st.Desired != state.DesiredRun && !mayStop(before, row, p) {
			c.describe(before, before.JobByID(p.Namespace, p.Job))
			c.s.object("entry %d stops %s (%s), which is %s and wanted: %s", index, row.Name(), short(row.ID), row.Observed, st.Reason)
		}
	}
	c.evicted(before, after, p, index)
	c.heldOnce(after, index)
	c.reunited(before, after, p, index)
	c.stepped(before, p, index)
	c.rolled(before, after, p, index)
	j := after.JobByID(p.Namespace, p.Job)
	if j == nil {
		return
	}
	c.placed(before, after, j, p, index)
	if fleet.PerNode(j.Current().Spec.Type) {
		c.perNode(before, after, j, p, index)
		return
	}
	if j.Current().Version != p.Version {
		return // registered while the plan was on its way to the log: what it knew of names is old
	}
	names := map[string]*state.Alloc{}
	for a := range after.AllocsByJob(j.Key) {
		if !a.Holds() || !a.Next.IsZero() && mayPair(j, a) || fleet.PerNode(a.Version.Spec.Type) || canary(after, a) {
			// Of a pair whose device was away, the replacement has the name; and a job
			// that was one for every node had it everywhere.
			continue
		}
		if other := names[a.Name()]; other != nil {
			c.s.object("entry %d gives the name %s to %s and %s", index, a.Name(), short(other.ID), short(a.ID))
		}
		names[a.Name()] = a
	}
}

// mayPair says that an allocation may have a replacement and come back: as its own version says, or as the current one does, whose word
// counts also where a deployment holds it back.
func mayPair(j *state.Job, a *state.Alloc) bool {
	i := j.Current().GroupIndex(a.GroupName())
	return a.GroupSpec().Disconnect != nil || i >= 0 && j.Current().Spec.TaskGroups[i].Disconnect != nil
}

// mayStop says whether the job or the node gives a reason to stop a holder.
func mayStop(v *state.View, row *state.Alloc, p *command.Plan) bool {
	if row.Version.Spec.ID != p.Job {
		return false // what gives way to another job is an eviction
	}
	j := v.JobByID(p.Namespace, p.Job)
	if j == nil || j.Key != row.Version.Job || j.Stop || j.Current() != row.Version {
		return true
	}
	if original(v, row) != nil || !row.Next.IsZero() || canary(v, row) {
		return true // of a pair one goes; see reunited
	}
	n := v.Node(row.Node)
	return n == nil || n.Link == fleet.LinkLost || n.ModifyIndex > p.Snapshot || onBattery(row, n) || n.Drain.Marked(row.ID) || namesake(v, row)
}

// namesake says that an older allocation has the row's name, has done its work, or in a group without replacements has not ended yet:
// the row was adopted when its name was taken. That plans give no name twice is checked for itself.
func namesake(v *state.View, row *state.Alloc) bool {
	for a := range v.AllocsByJob(row.Version.Job) {
		if a.Key >= row.Key || a.Name() != row.Name() {
			continue
		}
		wanted := a.Desired == state.DesiredRun && (!a.Observed.Terminal() || a.Observed == state.ObservedComplete)
		if wanted || !a.Observed.Terminal() && !row.GroupSpec().Replaced() {
			return true
		}
	}
	return false
}

// onBattery says that the group must never be on a battery and its node is: the
// one constraint of that kind which users here write (users.go).
func onBattery(row *state.Alloc, n *state.Node) bool {
	for _, k := range row.GroupSpec().Constraints {
		if k.Mode == fleet.ConstraintAlways {
			return n.Spec.Attributes[powerSource] == "battery"
		}
	}
	return false
}

// original is the allocation that a row replaced while its device was away, and
// that is wanted still, or has done the work; nil: none.
func original(v *state.View, row *state.Alloc) *state.Alloc {
	for a := v.AllocByID(row.Prev); a != nil; a = v.AllocByID(a.Prev) {
		if a.Desired == state.DesiredRun && a.Observed != state.ObservedFailed && a.Observed != state.ObservedLost {
			return a
		}
	}
	return nil
}

// reunited objects when a plan stops an allocation and what replaced it, though
// its job is what it was.
func (c *checks) reunited(before, after *state.View, p *command.Plan, index uint64) {
	j := before.JobByID(p.Namespace, p.Job)
	if j == nil || j.Stop {
		return
	}
	for i := range p.Stops {
		row := before.AllocByID(p.Stops[i].Alloc)
		if row == nil || !row.Holds() || row.Version != j.Current() || p.Stops[i].Desired == state.DesiredRun {
			continue
		}
		o := original(before, row)
		if o == nil || o.Observed != state.ObservedRunning || o.Version != j.Current() || after.AllocByID(o.ID).Holds() {
			continue
		}
		if int(row.Index) < *row.GroupSpec().Count {
			c.s.object("entry %d stops %s and its original %s, and nobody wanted that", index, short(row.ID), short(o.ID))
		}
	}
}

// asked looks at what a device's core wants done with a task.
func (c *checks) asked(m *machine, a device.Action) {
	switch a := a.(type) {
	case device.StartTask:
		if old, ok := m.finished[a.Alloc]; ok {
			c.s.object("device %d starts %s of allocation %s, which is %s", m.n, a.Instance.Task, short(a.Alloc), old)
		}
		c.onDisk(m, a)
	case device.StopTask:
		c.mayEnd(m, a.Handle.ID, a.Instance)
	case device.DestroyTask:
		if a.Handle != nil {
			c.mayEnd(m, a.Handle.ID, a.Instance)
		} else {
			c.mayEnd(m, instanceID(a.Instance), a.Instance)
		}
	}
}

func (c *checks) onDisk(m *machine, a device.StartTask) {
	rec := m.record(a.Alloc)
	if rec == nil {
		c.s.object("device %d starts a task of allocation %s, which is not on its disk", m.n, short(a.Alloc))
	}
	for _, t := range rec.Tasks {
		if t.Name == a.Instance.Task && (t.Attempt != a.Attempt || t.Phase != task.Starting) {
			c.s.object("device %d starts attempt %d of %s; on its disk it is %s at attempt %d", m.n, a.Attempt, instanceID(a.Instance), t.Phase, t.Attempt)
		}
	}
}

// mayEnd objects to the end of a running task that nobody wanted.
func (c *checks) mayEnd(m *machine, id string, in device.Instance) {
	if m.running[id] == nil || c.wantedStop(in.Alloc) {
		return
	}
	if p := m.running[id]; p.group.StopAfter() > 0 && (m.link == nil || !m.link.welcomed) {
		return // it may not run without contact for so long
	}
	v, _ := m.core.Alloc(in.Alloc)
	if !slices.ContainsFunc(v.Tasks, func(t wire.TaskStatus) bool { return t.Failed }) {
		c.s.object("device %d ends %s, and nobody wanted that", m.n, id)
	}
}

// wantedStop says whether the region, as committed, ever stopped an allocation.
func (c *checks) wantedStop(id fleet.UUID) bool {
	row := c.s.server.store.View().AllocByID(id)
	return row != nil && row.Desired != state.DesiredRun || c.stopped[id]
}

// starts looks at a task that really begins.
func (c *checks) starts(m *machine, a device.StartTask) {
	prefix := a.Alloc.String() + "/" + a.Instance.Task + "#"
	for _, id := range slices.Sorted(maps.Keys(m.running)) {
		if strings.HasPrefix(id, prefix) {
			c.s.object("device %d starts %s while %s runs", m.n, instanceID(a.Instance), id)
		}
	}
	c.alone(m, a)
	c.crowded(m, a)
	c.startsAlone(m, a)
	row := c.s.server.store.View().AllocByID(a.Alloc)
	if row != nil && (row.Observed == state.ObservedComplete || row.Observed == state.ObservedFailed) {
		c.s.object("device %d starts %s, which the region knows to be %s", m.n, instanceID(a.Instance), row.Observed)
	}
}

// alone objects when a task of a group without replacements begins while another
// allocation of its name runs anywhere. A region that was taken back has forgotten
// what it placed, and a purged job is another job.
func (c *checks) alone(m *machine, a device.StartTask) {
	if a.Group.Replaced() || c.s.restored {
		return
	}
	row := c.s.server.store.View().AllocByID(a.Alloc)
	for _, other := range c.s.devices {
		for _, id := range slices.Sorted(maps.Keys(other.running)) {
			p := other.running[id]
			if p.in.Alloc == a.Alloc || p.in.Task != a.Instance.Task || p.name != a.Name || p.group.Replaced() {
				continue
			}
			if other != m && (fleet.PerNode(p.job.Type) || fleet.PerNode(a.Job.Type)) {
				continue // each node has one
			}
			if o := c.s.server.store.View().AllocByID(p.in.Alloc); o != nil && row != nil && o.Version.Job == row.Version.Job {
				c.s.object("device %d starts %s of %s, and %s of it runs on device %d", m.n, instanceID(a.Instance), a.Name, id, other.n)
			}
		}
	}
}

// statusAcked checks that what a device is told is stored, is.
func (c *checks) statusAcked(m *machine, b *wire.StatusBatch) {
	v := c.s.server.store.View()
	for i := range b.Allocs {
		st := &b.Allocs[i]
		row := v.AllocByID(st.ID)
		if row == nil {
			continue
		}
		if fleet.ClientTerminal(st.Status) {
			c.told[st.ID] = st.Status
		}
		reported, err := state.ParseObserved(st.Status)
		if err != nil {
			c.s.object("device %d reports %q", m.n, st.Status)
		}
		if !row.Observed.Terminal() && row.Observed != reported {
			c.s.object("device %d was told that %s of %s is stored; the region has %s", m.n, st.Status, short(st.ID), row.Observed)
		}
	}
}

// kept checks that what was promised is in the log.
func (c *checks) kept() {
	l := c.s.server.log
	for _, index := range slices.Sorted(maps.Keys(c.promises)) {
		if index > uint64(l.committed) || !bytes.Equal(l.entries[index-1].data, c.promises[index]) {
			c.s.object("what a user was told is stored at %d is not in the log", index)
		}
	}
	v := c.s.server.store.View()
	for _, a := range slices.Collect(v.Allocs()) {
		if want, ok := c.told[a.ID]; ok && a.Observed.String() != want {
			c.s.object("a device was told that %s of %s is stored; the region has %s", want, short(a.ID), a.Observed)
		}
	}
}
