package region

import (
	"encoding/json"
	"slices"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/scheduler"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/fleet"
)

// preemption lets an operator switch for which types of jobs others give way.
func (u *users) preemption() {
	s := u.s
	c := fleet.SchedulerConfiguration{PreemptionConfig: fleet.PreemptionConfig{
		ServiceSchedulerEnabled: s.chance(700), BatchSchedulerEnabled: s.chance(500), SystemSchedulerEnabled: s.chance(800), SysBatchSchedulerEnabled: s.chance(500),
	}}
	raw, err := json.Marshal(c)
	if err != nil {
		s.object("a configuration does not encode: %v", err)
	}
	u.send("switches preemption", command.SchedulerSet{Config: raw})
}

// evicted objects to an eviction of what may not be, and to one without its placement.
func (c *checks) evicted(before, after *state.View, p *command.Plan, index uint64) {
	for _, e := range p.Evictions {
		old, by := before.AllocByID(e.Alloc), after.AllocByID(e.By)
		if old == nil || !old.Holds() {
			continue // it has ended meanwhile, and was let be
		}
		switch {
		case by == nil || by.Node != old.Node:
			c.s.object("entry %d evicts %s (%s) for %s, which it does not place there", index, old.Name(), short(old.ID), short(e.By))
		case old.Version.Spec.ID == p.Job:
			c.s.object("entry %d evicts %s for its own job", index, old.Name())
		case old.Priority() > p.Priority-fleet.PreemptionGap:
			c.s.object("entry %d evicts %s of priority %d for %s of %d", index, old.Name(), old.Priority(), by.Name(), p.Priority)
		}
		now := after.AllocByID(e.Alloc)
		if now.Desired != state.DesiredEvict || now.Detail.PreemptedBy != by.ID || !slices.Contains(by.Detail.Preempted, now.ID) {
			c.s.object("entry %d evicts %s, and it is %s", index, old.Name(), now.Desired)
		}
	}
}

// forgotten objects when a job at rest lacks allocations and nothing waits for their room.
func (c *checks) forgotten(v *state.View, j *state.Job, again *scheduler.Output) {
	queued := 0
	for _, g := range again.Explain.Groups {
		queued += g.Queued
	}
	if queued == 0 {
		return
	}
	for e := range v.EvalsByJob(j.Namespace, j.ID) {
		if e.Status == fleet.EvalBlocked {
			return
		}
	}
	c.describe(v, j)
	c.s.object("at rest %d of job %s have no place, and no evaluation waits for one", queued, j.ID)
}

// crowded objects when a task begins while one of those runs whose room it was given.
func (c *checks) crowded(m *machine, a device.StartTask) {
	row := c.s.server.store.View().AllocByID(a.Alloc)
	if row == nil || row.Detail == nil {
		return
	}
	for _, old := range row.Detail.Preempted {
		if n := m.runningOf(old); n > 0 {
			c.s.object("device %d starts %s while %d tasks of %s run, whose room it has", m.n, instanceID(a.Instance), n, short(old))
		}
	}
}

// evictRefused is a planted bug: what a plan would have evicted is ended, though its placement was refused.
func (l *leadership) evictRefused(p *command.Plan) {
	v := l.v.store.View()
	bad := command.Plan{Eval: p.Eval, Namespace: p.Namespace, Job: p.Job, At: l.s.now.UnixNano()}
	for _, e := range p.Evictions {
		if v.AllocByID(e.By) == nil && v.AllocByID(e.Alloc) != nil {
			bad.Stops = append(bad.Stops, command.Stop{Alloc: e.Alloc, Desired: state.DesiredEvict, Reason: "planted"})
		}
	}
	if len(bad.Stops) > 0 {
		l.v.propose(&bad, func(uint64, any, error) {})
	}
}
