package command

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Planned is the result of [Plan].
type Planned struct {
	Index                    uint64
	Placed, Stopped, Updated int
}

// planner is a plan that is being applied: everything is looked up and checked
// before the first write.
type planner struct {
	Plan
	x       *state.Txn
	index   uint64
	version *state.JobVersion // nil when the plan places and updates nothing
	groups  []uint16          // of Updates, in the new version
	rows    []*state.Alloc
	prevs   []Replaced     // of rows; nil when no placement replaces anything
	granted []wire.Granted // of rows; shorter when the last hold nothing
	// ended is one that the plan stops and that has ended since the plan was made, if a
	// successor waits for its end: the report that told of it found nothing that waits.
	ended *state.Alloc
}

func applyPlan(x *state.Txn, index uint64, c Plan) (Planned, error) {
	p := &planner{Plan: c, x: x, index: index}
	for _, check := range []func() error{p.findVersion, p.checkStops, p.checkUpdates, p.buildRows, p.checkEvictions} {
		if err := check(); err != nil {
			return Planned{}, err
		}
	}
	if err := checkEvals(x, c.Evals); err != nil {
		return Planned{}, err
	}
	overtaken := p.overtaken()
	// InsertAllocs is the last that can refuse, and it does before it writes.
	if err := x.InsertAllocs(p.rows, index); err != nil {
		return Planned{}, fmt.Errorf("%w: %v", ErrExists, err)
	}
	m := newMinter(x, index, c.At, seedOf(c.Eval, index)) // the plan has no seed of its own; what it does have is drawn from one
	for i, g := range p.granted {
		x.Grant(p.rows[i], g)
	}
	p.canaries()
	p.stop(m)
	p.update()
	p.linkPrevs()
	putEvals(x, index, c.Evals, c.At)
	if p.ended != nil {
		m.evaluate(p.ended.Version.Job, fleet.TriggerAllocStop, p.nodeID(p.ended.Node))
	}
	p.evict(m)
	p.lookAgain(m, overtaken)
	return Planned{Index: index, Placed: len(p.rows), Stopped: len(p.Stops), Updated: len(p.Updates)}, nil
}

// overtaken finds a node whose description changed after the plan was made, if
// the job has a constraint that must always hold: the change met no allocation to
// judge, since it is placed only now. Zero if there is none.
func (p *planner) overtaken() (node fleet.UUID) {
	if p.version == nil {
		return node
	}
	for range p.version.Spec.AlwaysConstraints() {
		for _, row := range p.rows {
			if n := p.x.Node(row.Node); n != nil && n.ModifyIndex > p.Snapshot {
				return n.ID
			}
		}
		break
	}
	return node
}

// lookAgain gives the job an evaluation after its plan was overtaken.
func (p *planner) lookAgain(m *minter, node fleet.UUID) {
	if !node.IsZero() {
		m.evaluate(p.version.Job, fleet.TriggerNodeUpdate, node)
	}
}

func (p *planner) findVersion() error {
	if len(p.Groups) == 0 && len(p.Updates) == 0 {
		return nil
	}
	j, err := findJob(p.x, p.Namespace, p.Job)
	if err != nil {
		return err
	}
	for _, v := range j.Versions {
		if v.Version == p.Version {
			p.version = v
			return nil
		}
	}
	return fmt.Errorf("job %s version %d: %w; the oldest kept is %d", p.Job, p.Version, ErrNoSuchVersion,
		j.Versions[len(j.Versions)-1].Version)
}

// versionOf is the version that a group's placements are of; nil if it is not kept.
func (p *planner) versionOf(g *Placements) *state.JobVersion {
	if g.Back == 0 {
		return p.version
	}
	return p.x.Job(p.version.Job).Back(p.version, g.Back)
}

func (p *planner) alloc(id fleet.UUID) (*state.Alloc, error) {
	a := p.x.AllocByID(id)
	if a == nil {
		return nil, fmt.Errorf("allocation %s: %w", id, ErrNoSuchAlloc)
	}
	return a, nil
}

func (p *planner) checkStops() error {
	for i := range p.Stops {
		s := &p.Stops[i]
		if _, err := p.alloc(s.Alloc); err != nil {
			return err
		}
		if s.Desired == state.DesiredRun && s.Followup.IsZero() && !s.Lost {
			return fmt.Errorf("%w: allocation %s: a stop without a desired state, without a follow-up, and not of a lost one", ErrInvalid, s.Alloc)
		}
	}
	return nil
}

func (p *planner) checkUpdates() error {
	for _, id := range p.Updates {
		a, err := p.alloc(id)
		if err != nil {
			return err
		}
		group := p.version.GroupIndex(a.GroupName())
		if a.Version.Job != p.version.Job || group < 0 {
			return fmt.Errorf("%w: allocation %s cannot take version %d of job %s: it is of job %s, group %s", ErrInvalid,
				id, p.Version, p.Job, a.Version.Spec.ID, a.GroupName())
		}
		p.groups = append(p.groups, uint16(group))
	}
	return nil
}

// buildRows makes the new rows one by one. One block for the whole plan was
// rejected: rows are replaced one by one as devices report, and the last of a
// plan to change would keep the memory of all.
func (p *planner) buildRows() error {
	total, replaces := 0, false
	for i := range p.Groups {
		g := &p.Groups[i]
		n := len(g.IDs)
		if g.Ragged() {
			return fmt.Errorf("%w: the columns of group %d have %d nodes, %d names, %d IDs, %d replaced and %d granted", ErrInvalid,
				g.Group, len(g.Nodes), len(g.Names), n, len(g.Prevs), len(g.Granted))
		}
		v := p.versionOf(g)
		if v == nil || int(g.Group) >= len(v.Asks) {
			return fmt.Errorf("%w: %d before version %d of job %s there is no group %d", ErrInvalid, g.Back, p.Version, p.Job, g.Group)
		}
		total, replaces = total+n, replaces || len(g.Prevs) > 0
	}
	p.rows = make([]*state.Alloc, 0, total)
	if replaces {
		p.prevs = make([]Replaced, total)
	}
	for i := range p.Groups {
		if err := p.buildGroup(&p.Groups[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) buildGroup(g *Placements) error {
	version := p.versionOf(g)
	exceeds := mayExceed(p.x, version, g.Group)
	for i, id := range g.IDs {
		if p.x.Node(g.Nodes[i]) == nil {
			return fmt.Errorf("node key %d: %w", g.Nodes[i], ErrNoSuchNode)
		}
		a := &state.Alloc{
			ID: id, Version: version, Eval: p.Eval, Node: g.Nodes[i], Index: g.Names[i], Group: g.Group,
			CreateTime: p.At, ModifyTime: p.At, Exceeds: exceeds,
		}
		if len(g.Prevs) > 0 && !g.Prevs[i].Alloc.IsZero() {
			if err := p.inherit(a, g.Prevs[i]); err != nil {
				return err
			}
			p.prevs[len(p.rows)] = g.Prevs[i]
		}
		if len(g.Granted) > 0 {
			p.granted = append(p.granted, make([]wire.Granted, len(p.rows)-len(p.granted))...)
			p.granted = append(p.granted, g.Granted[i])
		}
		p.rows = append(p.rows, a)
	}
	return nil
}

// mayExceed decides whether an allocation that is placed now may take more memory than it asks for. It is decided here, once,
// and told to the device with the allocation: a device that is cut off goes by what it was told, and the settings of later are
// for what is placed later.
func mayExceed(x *state.Txn, v *state.JobVersion, group uint16) bool {
	return v.Spec.TaskGroups[group].Exceeds() && x.SchedulerConfigOf(v.Spec.NodePool).MemoryOversubscriptionEnabled
}

// inherit hands the history of a replaced allocation to the one in its place.
func (p *planner) inherit(a *state.Alloc, r Replaced) error {
	old, err := p.alloc(r.Alloc)
	if err != nil {
		return err
	}
	a.Prev = r.Alloc
	past := old.Past()
	if r.Reschedule {
		entry := fleet.ReschedulePast{RescheduleTime: p.At, PrevAllocID: fleet.AllocID(old.ID.String()), Delay: r.Delay}
		if n := p.x.Node(old.Node); n != nil {
			entry.PrevNodeID = fleet.NodeID(n.ID.String())
		}
		past = append(past[:len(past):len(past)], entry)
	}
	if len(past) > fleet.ReschedulePastMax {
		past = past[len(past)-fleet.ReschedulePastMax:]
	}
	if len(past) > 0 {
		a.Detail = &state.AllocDetail{Past: past}
	}
	return nil
}

// The rows below were looked up in the checks; they are looked up again because
// an allocation may stand in a plan more than once, each time changed.

func (p *planner) stop(m *minter) {
	for i := range p.Stops {
		s, a := &p.Stops[i], p.x.AllocByID(p.Stops[i].Alloc)
		c := *a
		if s.Desired != state.DesiredRun && a.Desired == state.DesiredRun {
			c = stopRow(a, s.Desired, s.Reason, p.index, p.At)
			if a.Observed.Terminal() && a.ModifyIndex > p.Snapshot && m.awaited(&c) {
				p.ended = &c
			}
		}
		if !s.Followup.IsZero() {
			d := detail(&c)
			d.Followup = s.Followup
			c.Detail = &d
			if !a.Observed.Terminal() { // of what failed, the delay is counted from then
				c.ModifyTime = p.At
			}
		}
		switch n := p.x.Node(a.Node); {
		case !s.Lost || a.Observed.Terminal():
		case s.Desired != state.DesiredRun:
			c.Observed, c.ModifyTime = state.ObservedLost, p.At
		case n == nil || n.Away():
			c.Observed, c.ModifyTime = state.ObservedUnknown, p.At
		default: // it is back, and has said how it is or will
		}
		p.x.UpdateAlloc(a, c, p.index)
	}
}

// nodeID is the ID of a node, zero if it is gone.
func (p *planner) nodeID(k state.NodeKey) (id fleet.UUID) {
	if n := p.x.Node(k); n != nil {
		id = n.ID
	}
	return id
}

func (p *planner) update() {
	for i, id := range p.Updates {
		a := p.x.AllocByID(id)
		c := *a
		c.Version, c.Group, c.DesiredIndex, c.ModifyTime = p.version, p.groups[i], p.index, p.At
		p.x.UpdateAlloc(a, c, p.index)
		if c.Priority() < a.Priority() {
			p.x.Freed(a.Node, p.index) // it may have to give way now to what waits
		}
	}
}

func (p *planner) linkPrevs() {
	for i, r := range p.prevs {
		if r.Alloc.IsZero() {
			continue
		}
		old := p.x.AllocByID(r.Alloc)
		c := *old
		c.Next, c.ModifyTime = p.rows[i].ID, p.At
		p.x.UpdateAlloc(old, c, p.index)
	}
}
