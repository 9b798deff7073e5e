package scheduler

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/control/scheduler/rank"
	"github.com/dunlin-edge/dunlin/fleet"
)

// dimension is one resource that nodes ran out of.
type dimension struct {
	name, unit      string
	ask             int64
	of              func(fleet.Ask) int64
	nodes           int
	example         int // the roomiest, among those that lack only this if there are any
	only            bool
	roomiest, whole int64
}

// dimensions are what nodes can run out of, by the names of the field.
func dimensions(ask fleet.Ask) []dimension {
	return []dimension{
		{name: "cpu", unit: "MHz", ask: ask.CPU, of: func(a fleet.Ask) int64 { return a.CPU }},
		{name: "memory", unit: "MiB", ask: ask.MemoryMB, of: func(a fleet.Ask) int64 { return a.MemoryMB }},
		{name: "disk", unit: "MiB of disk", ask: ask.DiskMB, of: func(a fleet.Ask) int64 { return a.DiskMB }},
	}
}

// exhausted adds to the metric what was seen to be lacking.
func exhausted(m *fleet.AllocMetric, dims []dimension, nodes *pool) {
	for k := range dims {
		d := &dims[k]
		if d.nodes == 0 {
			continue
		}
		if m.DimensionExhausted == nil {
			m.DimensionExhausted = map[string]int{}
		}
		m.DimensionExhausted[d.name] = d.nodes
		m.Refusals = append(m.Refusals, d.refusal(nodes.rows[d.example].Spec.Name))
	}
}

func (d *dimension) see(n *rank.Node, i int, only bool) {
	free := d.of(n.Free)
	if d.ask <= free {
		return
	}
	first := d.nodes == 0
	d.nodes++
	if first || only && !d.only || only == d.only && free > d.roomiest {
		d.example, d.only, d.roomiest, d.whole = i, only, free, d.of(n.Cap)
	}
}

func (d *dimension) refusal(node string) fleet.Refusal {
	free := max(0, d.roomiest)
	r := fleet.Refusal{
		Rule: d.name, Wants: fmt.Sprintf("asks %d %s", d.ask, d.unit), Nodes: d.nodes, Node: node,
		Has: fmt.Sprintf("the roomiest feasible node %s has %d %s free of %d", node, free, d.unit, d.whole),
	}
	switch {
	case d.ask > d.whole && free == 0:
		r.Fix = fmt.Sprintf("ask for at most %d and stop something there, or add a larger node", d.whole)
	case d.ask > d.whole:
		r.Fix = fmt.Sprintf("ask for at most %d or add a larger node", free)
	case free == 0:
		r.Fix = "stop something there or add a node"
	default:
		r.Fix = fmt.Sprintf("ask for at most %d or stop something there", free)
	}
	return r
}
