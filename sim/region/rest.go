package region

import (
	"bytes"
	"maps"
	"slices"

	"github.com/dunlin-edge/dunlin/control/scheduler"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// atRest is what must hold when nothing happens any more.
func (c *checks) atRest() {
	srv := c.s.server
	if !srv.up || srv.lead == nil {
		c.s.object("at rest the server is up: %t, and leads: %t", srv.up, srv.lead != nil)
	}
	v := srv.store.View()
	if len(srv.log.entries) != srv.log.committed {
		c.s.object("at rest %d entries are not committed", len(srv.log.entries)-srv.log.committed)
	}
	c.s.result.Entries = srv.log.committed
	c.replayed(v)
	c.kept()
	c.sums(v)
	c.evaluations(v)
	c.nodes(v)
	for a := range v.Allocs() {
		c.allocation(v, a)
	}
	for _, m := range c.s.devices {
		c.machineAtRest(v, m)
	}
	c.drains(v)
	for j := range v.PerNodeJobs() {
		c.everywhere(v, j)
	}
	if n := srv.lead.busy(); n > 0 {
		c.s.object("at rest %d evaluations or proposals are under way in the term", n)
	}
}

// replayed compares the state with that of the same log on a fresh server, byte
// by byte.
func (c *checks) replayed(v *state.View) {
	again := c.s.server.log.replica()
	var a, b bytes.Buffer
	if err := v.WriteCheckpoint(&a); err != nil {
		c.s.object("the checkpoint cannot be written: %v", err)
	}
	if err := again.WriteCheckpoint(&b); err != nil {
		c.s.object("the checkpoint cannot be written: %v", err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		c.s.object("the log, applied again, gives another state (hashes %x and %x)", v.Hash(), again.Hash())
	}
}

// evaluations: each ended, or waits for room that is not there; scheduling any
// job again changes nothing.
func (c *checks) evaluations(v *state.View) {
	for e := range v.OpenEvals() {
		if e.Status != fleet.EvalBlocked {
			c.s.object("at rest evaluation %s of %s is %s (%s)", short(e.ID), e.Job, e.Status, e.Trigger)
		}
	}
	for j := range v.Jobs() {
		e := &state.Eval{
			ID: fleet.UUID{1}, Namespace: j.Namespace, Job: j.ID, Type: j.Current().Spec.Type, Trigger: fleet.TriggerJobRegister,
			Priority: fleet.Or(j.Current().Spec.Priority, fleet.DefaultPriority), Status: fleet.EvalPending,
		}
		out := scheduler.Schedule(scheduler.Input{View: v, Eval: e, Now: c.s.now, Seed: [32]byte{1}})
		p := &out.Plan
		c.updated(v, j)
		c.forgotten(v, j, &out)
		if len(p.Groups)+len(p.Stops)+len(p.Updates) > 0 {
			c.describe(v, j)
			c.s.object("at rest job %s, scheduled again, would place in %d groups, stop %d and update %d", j.ID, len(p.Groups), len(p.Stops), len(p.Updates))
		}
	}
}

// describe shows a job to people who replay a seed.
func (c *checks) describe(v *state.View, j *state.Job) {
	for a := range v.AllocsByJob(j.Key) {
		c.s.note("  %s %s version %d on node %d: %s, %s; next %s, past %d", a.Name(), short(a.ID), a.Version.Version, a.Node, a.Desired, a.Observed, short(a.Next), len(a.Past()))
	}
	for e := range v.EvalsByJob(j.Namespace, j.ID) {
		c.s.note("  evaluation %s: %s %s, snapshot %d, changed at %d: %s", short(e.ID), e.Status, e.Trigger, e.Snapshot, e.ModifyIndex, e.Description)
	}
	for n := range v.Nodes() {
		c.s.note("  node %d: %s, eligible %t, room %+v, used %+v, capacity at %d", n.Key, n.Link, !n.Ineligible, n.Spec.Capacity(), v.Usage(n.Key), n.CapacityAt)
	}
}

func (c *checks) nodes(v *state.View) {
	for _, m := range c.s.devices {
		n := v.NodeByID(m.id)
		switch {
		case n == nil && m.gone: // it never came
		case n == nil:
			c.s.object("at rest device %d is not registered", m.n)
		case m.gone && n.Link != fleet.LinkLost:
			c.s.object("device %d was taken away and its node is %s", m.n, n.Link)
		case !m.gone && n.Link != fleet.LinkOnline:
			c.s.object("device %d is linked and its node is %s: %s", m.n, n.Link, n.LinkReason)
		}
	}
}

// allocation compares a row with its device.
func (c *checks) allocation(v *state.View, a *state.Alloc) {
	m := c.machineOf(v, a)
	j := v.JobByID(a.Version.Spec.Namespace, a.Version.Spec.ID)
	if a.Holds() && (j == nil || j.Key != a.Version.Job || j.Stop) {
		c.s.object("at rest %s (%s) is wanted and its job is stopped or purged", a.Name(), short(a.ID))
	}
	if m.gone {
		if a.Holds() && a.Observed != state.ObservedUnknown && replaced(j, a) {
			c.s.object("at rest %s (%s) is wanted on device %d, which was taken away", a.Name(), short(a.ID), m.n)
		}
		return
	}
	dev, known := m.core.Alloc(a.ID)
	switch n := m.runningOf(a.ID); {
	case a.Holds() && !known:
		c.s.object("at rest %s (%s) is wanted on device %d, which does not know it", a.Name(), short(a.ID), m.n)
	case a.Holds() && n == 0 && waitsForOrphan(v, a):
	case a.Holds() && (n == 0 || dev.Status != fleet.ClientRunning):
		c.s.object("at rest %s (%s) is wanted on device %d; it is %s there and %d tasks run", a.Name(), short(a.ID), m.n, dev.Status, n)
	case a.Holds() && fleet.Finite(a.Version.Spec.Type):
		c.s.object("at rest %s (%s) of a job that ends has not ended", a.Name(), short(a.ID))
	case !a.Holds() && n > 0:
		c.s.object("at rest %s (%s) is %s and %s; %d of its tasks run on device %d", a.Name(), short(a.ID), a.Desired, a.Observed, n, m.n)
	case !a.Holds() && !a.Observed.Terminal():
		c.s.object("at rest %s (%s) is to be stopped and device %d has not told its end (%s)", a.Name(), short(a.ID), m.n, a.Observed)
	case known && dev.Status != a.Observed.String():
		c.s.object("at rest %s (%s) is %s on device %d and the region has %s", a.Name(), short(a.ID), dev.Status, m.n, a.Observed)
	}
}

// replaced says whether the job as it is replaces what is away.
func replaced(j *state.Job, a *state.Alloc) bool {
	g := j.Current().GroupIndex(a.GroupName())
	return g < 0 || j.Current().Spec.TaskGroups[g].Replaced()
}

func (c *checks) machineOf(v *state.View, a *state.Alloc) *machine {
	n := v.Node(a.Node)
	for _, m := range c.s.devices {
		if n != nil && m.id == n.ID {
			return m
		}
	}
	c.s.object("allocation %s is on no device", short(a.ID))
	return nil
}

// machineAtRest: linked, nothing untold, nothing forgotten, nothing unknown.
func (c *checks) machineAtRest(v *state.View, m *machine) {
	if m.gone {
		return
	}
	if !m.agentUp || m.link == nil || !m.link.welcomed {
		c.s.object("at rest device %d is not linked", m.n)
	}
	dev := m.core.View()
	if dev.Untold > 0 {
		c.s.object("at rest device %d has %d untold states", m.n, dev.Untold)
	}
	var orphans []wire.Orphan
	for _, a := range dev.Allocs {
		if a.Orphan && !fleet.ClientTerminal(a.Status) {
			orphans = append(orphans, wire.Orphan{ID: a.ID})
		}
	}
	if row := v.NodeByID(m.id); !slices.EqualFunc(row.Orphans, orphans, func(a state.Orphan, b wire.Orphan) bool { return a.ID == b.ID }) {
		c.s.object("at rest device %d has %d orphans and the region knows of %d", m.n, len(orphans), len(row.Orphans))
	}
	if len(m.ended) > 0 {
		c.s.object("at rest the drivers of device %d still keep the ends of %v", m.n, slices.Sorted(maps.Keys(m.ended)))
	}
	for _, id := range slices.Sorted(maps.Keys(m.running)) {
		row := v.AllocByID(m.running[id].in.Alloc)
		orphan, _ := m.core.Alloc(m.running[id].in.Alloc)
		if row == nil && !(c.s.restored && orphan.Orphan) || row != nil && !row.Holds() {
			c.s.object("at rest %s runs on device %d, and the region does not want it", id, m.n)
		}
		if m.watched[id] == (device.Instance{}) {
			c.s.object("at rest %s runs on device %d, and its agent does not watch it", id, m.n)
		}
	}
}
