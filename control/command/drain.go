package command

import (
	"fmt"
	"slices"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// DrainMarksMax is how many allocations one entry marks.
const DrainMarksMax = 1000

// NodeDrain begins to empty a node, changes how, or stops it.
type NodeDrain struct {
	Node         fleet.UUID
	Drain        bool // else: stop draining
	Limit        fleet.Duration
	IgnoreSystem bool
	Eligible     bool // after it was stopped: the node takes new work
	At           int64
}

// DrainStep marks allocations that shall leave their nodes now, and ends drains
// that have nothing left to do.
type DrainStep struct {
	Marks []DrainMark
	Done  []DrainDone
	At    int64
	Seed  [32]byte
}

// DrainMark is what leaves one node.
type DrainMark struct {
	Node   fleet.UUID
	Force  bool // the deadline has come
	Allocs []fleet.UUID
}

// DrainDone ends the drain of a node that began at that time, and no later one.
type DrainDone struct {
	Node      fleet.UUID
	StartedAt int64
}

func (NodeDrain) code() byte { return codeNodeDrain }

func (c NodeDrain) append(b []byte) []byte {
	b = codec.AppendInt(codec.AppendBool(appendUUID(b, c.Node), c.Drain), int64(c.Limit))
	return codec.AppendInt(codec.AppendBool(codec.AppendBool(b, c.IgnoreSystem), c.Eligible), c.At)
}

func readNodeDrain(r *codec.Reader) NodeDrain {
	return NodeDrain{
		Node: r.UUID(), Drain: r.Bool(), Limit: fleet.Duration(r.Int()), IgnoreSystem: r.Bool(), Eligible: r.Bool(), At: r.Int(),
	}
}

func (DrainStep) code() byte { return codeDrainStep }

func (c DrainStep) append(b []byte) []byte {
	b = codec.AppendUint(b, uint64(len(c.Marks)))
	for i := range c.Marks {
		m := &c.Marks[i]
		b = codec.AppendUint(codec.AppendBool(appendUUID(b, m.Node), m.Force), uint64(len(m.Allocs)))
		for _, id := range m.Allocs {
			b = appendUUID(b, id)
		}
	}
	b = codec.AppendUint(b, uint64(len(c.Done)))
	for _, d := range c.Done {
		b = codec.AppendInt(appendUUID(b, d.Node), d.StartedAt)
	}
	return append(codec.AppendInt(b, c.At), c.Seed[:]...)
}

func readDrainStep(r *codec.Reader) DrainStep {
	var c DrainStep
	for range r.Count("marked nodes", DrainMarksMax, 18) {
		m := DrainMark{Node: r.UUID(), Force: r.Bool()}
		for range r.Count("marked allocations", DrainMarksMax, 16) {
			m.Allocs = append(m.Allocs, r.UUID())
		}
		c.Marks = append(c.Marks, m)
	}
	for range r.Count("drains that ended", DrainMarksMax, 17) {
		c.Done = append(c.Done, DrainDone{Node: r.UUID(), StartedAt: r.Int()})
	}
	c.At = r.Int()
	copy(c.Seed[:], r.Raw(32))
	return c
}

// DrainSet is the result of [NodeDrain].
type DrainSet struct {
	Draining bool
	Evals    []fleet.UUID
}

func applyNodeDrain(x *state.Txn, index uint64, c NodeDrain) (DrainSet, error) {
	old := x.NodeByID(c.Node)
	if old == nil {
		return DrainSet{}, fmt.Errorf("node %s: %w", c.Node, ErrNoSuchNode)
	}
	n, m := *old, newMinter(x, index, c.At, seedOf(c.Node, index))
	if !c.Drain {
		n.Drain, n.Ineligible = nil, !c.Eligible
		if c.Eligible {
			n.CapacityAt = index
		}
		row := x.PutNode(n, index)
		// What was to leave and has not yet may stay; what left does not come back.
		evaluateMarked(m, old.Drain)
		evaluatePerNode(m, row, nil)
		return DrainSet{Evals: m.ids}, nil
	}
	d := state.Drain{Limit: c.Limit, IgnoreSystem: c.IgnoreSystem, StartedAt: c.At}
	if old.Drain != nil {
		d.StartedAt, d.Marks = old.Drain.StartedAt, old.Drain.Marks
	}
	switch {
	case c.Limit > 0:
		d.Deadline = c.At + int64(c.Limit)
	case c.Limit < 0:
		d.Deadline = c.At
	}
	n.Drain, n.Ineligible = &d, true
	x.PutNode(n, index)
	return DrainSet{Draining: true}, nil
}

func evaluateMarked(m *minter, d *state.Drain) {
	if d == nil {
		return
	}
	for _, id := range d.Marks {
		if a := m.x.AllocByID(id); a != nil && a.Holds() {
			m.evaluate(a.Version.Job, fleet.TriggerNodeDrain, fleet.UUID{})
		}
	}
}

// DrainStepped is the result of [DrainStep].
type DrainStepped struct {
	Marked, Ended int
	Evals         []fleet.UUID
}

// applyDrainStep passes over what has changed since the step was decided: a drain
// that was stopped, an allocation that ended.
func applyDrainStep(x *state.Txn, index uint64, c DrainStep) (DrainStepped, error) {
	m, out := newMinter(x, index, c.At, c.Seed), DrainStepped{}
	for i := range c.Marks {
		out.Marked += m.mark(&c.Marks[i])
	}
	for _, d := range c.Done {
		old := x.NodeByID(d.Node)
		if old == nil || old.Drain == nil || old.Drain.StartedAt != d.StartedAt {
			continue
		}
		n := *old
		n.Drain = nil
		x.PutNode(n, index)
		out.Ended++
	}
	out.Evals = m.ids
	return out, nil
}

func (m *minter) mark(c *DrainMark) int {
	old := m.x.NodeByID(c.Node)
	if old == nil || old.Drain == nil {
		return 0
	}
	d, force := *old.Drain, c.Force && !old.Drain.Forced
	d.Forced = d.Forced || c.Force
	d.Marks = slices.DeleteFunc(slices.Clone(d.Marks), func(id fleet.UUID) bool {
		a := m.x.AllocByID(id)
		return a == nil || !a.Holds() // it has left
	})
	was := len(d.Marks)
	for _, id := range c.Allocs {
		a := m.x.AllocByID(id)
		if a != nil && a.Node == old.Key && a.Holds() && !d.Marked(id) {
			d.Marks = append(d.Marks, id)
		}
	}
	n := *old
	n.Drain = &d
	m.x.PutNode(n, m.index)
	again := state.Drain{Marks: d.Marks[was:]}
	if force {
		again.Marks = d.Marks // those that waited for a place do no longer
	}
	evaluateMarked(m, &again)
	return len(d.Marks) - was
}
