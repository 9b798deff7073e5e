package plan

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// countEvictions adds what evictions free to the nodes of their placements, and refuses nodes on which something may not be
// evicted any more: the scheduler chose on a state that is a moment old. It returns what is wrong with all of them at once.
//
// That two plans in flight may end the same allocation does no harm: what each takes counts in full until it lands, so both fit
// only if there is room without that allocation for both.
func (c *check) countEvictions() string {
	p := c.plan
	if len(p.Evictions) == 0 || c.version == nil {
		return ""
	}
	at := map[fleet.UUID]state.NodeKey{}
	for i := range p.Groups {
		for n, id := range p.Groups[i].IDs {
			at[id] = p.Groups[i].Nodes[n]
		}
	}
	c.evicted = make(map[fleet.UUID]bool, len(p.Evictions))
	for _, e := range p.Evictions {
		k, placed := at[e.By]
		if !placed {
			return fmt.Sprintf("the plan is malformed: %s is evicted for %s, which it does not place", e.Alloc, e.By)
		}
		a := c.view.AllocByID(e.Alloc)
		if a == nil || !a.Holds() || c.evicted[e.Alloc] {
			continue
		}
		t := c.tally(k)
		switch {
		case a.Node != k:
			return fmt.Sprintf("the plan is malformed: %s is evicted on another node than %s is placed on", e.Alloc, e.By)
		case a.Version.Job == c.version.Job:
			return fmt.Sprintf("the plan is malformed: %s is evicted for its own job", e.Alloc)
		case !c.mayEvict(a):
			t.refused = fmt.Sprintf("%s, allocation %s, may not be evicted any more: it is of priority %d and %s, and the plan of %d",
				a.Name(), fleet.ShortID(a.ID.String()), a.Priority(), a.Observed, c.priority())
			continue
		}
		c.evicted[e.Alloc] = true
		ask := a.Ask()
		t.freed = plus(t.freed, state.Usage{CPU: ask.CPU, MemoryMB: ask.MemoryMB, DiskMB: ask.DiskMB, Allocs: 1})
	}
	return ""
}

func (c *check) priority() int { return fleet.Or(c.version.Spec.Priority, fleet.DefaultPriority) }

func (c *check) mayEvict(a *state.Alloc) bool {
	return c.view.Preempts(c.version.Spec) && a.Yields(c.priority())
}

// keepEvictions leaves in a plan those of what is still there, on nodes that were not refused.
func (c *check) keepEvictions(p *command.Plan) {
	if len(c.plan.Evictions) == 0 {
		return
	}
	p.Evictions = nil
	for _, e := range c.plan.Evictions {
		if a := c.view.AllocByID(e.Alloc); c.evicted[e.Alloc] && c.nodes[a.Node].refused == "" {
			p.Evictions = append(p.Evictions, e)
			delete(c.evicted, e.Alloc) // once
		}
	}
}
