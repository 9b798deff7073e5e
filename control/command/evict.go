package command

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// checkEvictions finds the placement of each eviction and looks up what gives way. Whether it may is not asked here: the leader
// has verified it, and an entry of the log must do the same on every server and in every year.
func (p *planner) checkEvictions() error {
	if len(p.Evictions) == 0 {
		return nil
	}
	at := make(map[fleet.UUID]int, len(p.rows))
	for i, row := range p.rows {
		at[row.ID] = i
	}
	for _, e := range p.Evictions {
		a, err := p.alloc(e.Alloc)
		if err != nil {
			return err
		}
		i, placed := at[e.By]
		if !placed || p.rows[i].Node != a.Node {
			return fmt.Errorf("%w: allocation %s gives way to %s, which the plan does not place on its node", ErrInvalid, e.Alloc, e.By)
		}
		if a.Version.Job == p.version.Job {
			return fmt.Errorf("%w: allocation %s gives way to one of its own job, %s", ErrInvalid, e.Alloc, e.By)
		}
		if !a.Holds() {
			continue // it has ended meanwhile, or gives way to another
		}
		d := detail(p.rows[i])
		if len(d.Preempted) >= state.PreemptedMax {
			return fmt.Errorf("%w: more than %d allocations give way to %s", ErrInvalid, state.PreemptedMax, e.By)
		}
		d.Preempted = append(d.Preempted[:len(d.Preempted):len(d.Preempted)], a.ID)
		p.rows[i].Detail = &d
	}
	return nil
}

// evict ends what gives way, and gives its jobs evaluations in the same entry: nothing that was ended for another is forgotten
// because a leader goes away in between.
func (p *planner) evict(m *minter) {
	for _, e := range p.Evictions {
		a := p.x.AllocByID(e.Alloc)
		if !a.Holds() {
			continue
		}
		c := stopRow(a, state.DesiredEvict, fmt.Sprintf("preempted by %s, allocation %s", p.Job, e.By), p.index, p.At)
		c.Detail.PreemptedBy = e.By // stopRow has made it
		p.x.UpdateAlloc(a, c, p.index)
		m.evaluate(a.Version.Job, fleet.TriggerPreemption, fleet.UUID{})
	}
}
