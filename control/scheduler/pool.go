package scheduler

import (
	"cmp"
	"iter"
	"slices"

	"github.com/dunlin-edge/dunlin/control/scheduler/rank"
	"github.com/dunlin-edge/dunlin/control/scheduler/reconcile"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// pool is the nodes that may take new work, and what they have free: usage of the
// state, plans in flight and this plan taken together.
type pool struct {
	rows   []*state.Node // parallel to nodes, by key
	nodes  []rank.Node
	absent []*state.Node // not ready for new work
	mixed  bool          // versions of the job may name different pools
	// outside are the nodes of other node pools than the job's.
	outside []*state.Node
	in      *Input
	granted granted
}

// loadPool loads the nodes of the pools that the versions of a job name.
func loadPool(in *Input, versions ...*fleet.Job) *pool {
	p := &pool{
		in: in, mixed: len(versions) > 1, granted: granted{on: slices.ContainsFunc(versions, asks)},
		rows:  make([]*state.Node, 0, in.View.NodeCount()),
		nodes: make([]rank.Node, 0, in.View.NodeCount()),
	}
	for row, u := range in.View.Loads() {
		if !slices.ContainsFunc(versions, func(j *fleet.Job) bool { return row.Spec.InPool(j.NodePool) }) {
			p.outside = append(p.outside, row)
			continue
		}
		if !row.Ready() {
			p.absent = append(p.absent, row)
			continue
		}
		p.add(in, row, u)
	}
	return p
}

// add adds a node on which allocations of the state take so much.
func (p *pool) add(in *Input, row *state.Node, u state.Usage) {
	if in.InFlight != nil {
		d := in.InFlight(row.Key)
		u.CPU, u.MemoryMB, u.DiskMB = u.CPU+d.CPU, u.MemoryMB+d.MemoryMB, u.DiskMB+d.DiskMB
	}
	p.rows = append(p.rows, row)
	p.nodes = append(p.nodes, rank.Node{Key: row.Key, Cap: row.Room, Free: row.Room.Minus(u.Ask())})
}

// find is a node, or nil for one that takes no new work.
func (p *pool) find(k state.NodeKey) *rank.Node {
	i, ok := p.position(k)
	if !ok {
		return nil
	}
	return &p.nodes[i]
}

func (p *pool) position(k state.NodeKey) (int, bool) {
	return slices.BinarySearchFunc(p.nodes, k, func(n rank.Node, k state.NodeKey) int { return cmp.Compare(n.Key, k) })
}

// settle frees what the plan stops for good and counts what stays of the job.
func (p *pool) settle(r *reconcile.Result) {
	for _, s := range r.Stops {
		p.release(s.Alloc)
		if n := p.find(s.Alloc.Node); n != nil && s.Alloc.Holds() {
			give(n, s.Alloc.Ask(), 1)
		}
	}
	for i := range r.Groups {
		g := &r.Groups[i]
		for row := range stays(g) {
			if n := p.find(row.Node); n != nil {
				n.InJob++
			}
		}
		for _, s := range g.Place {
			if n := p.replaced(s); n != nil {
				n.InJob++
			}
		}
	}
}

// stays yields what lives of a group and is let be: what waits for its device to
// come back too.
func stays(g *reconcile.Group) iter.Seq[*state.Alloc] {
	return func(yield func(*state.Alloc) bool) {
		for _, rows := range [2][]*state.Alloc{g.Keep, g.InPlace} {
			for _, row := range rows {
				if !yield(row) {
					return
				}
			}
		}
		for _, d := range g.Delayed {
			if d.Alloc.Holds() && !yield(d.Alloc) {
				return
			}
		}
	}
}

// replaced is the node of the running allocation that a placement replaces.
func (p *pool) replaced(s reconcile.Place) *rank.Node {
	if !s.Replace {
		return nil
	}
	return p.find(s.Prev.Node)
}

// enter prepares the pool for one group: its own are counted, and those that its
// placements replace give their room back.
func (p *pool) enter(g *reconcile.Group) {
	for i := range p.nodes {
		p.nodes[i].InGroup = 0
	}
	for row := range stays(g) {
		if n := p.find(row.Node); n != nil {
			n.InGroup++
		}
	}
	for _, row := range g.Beside {
		if n := p.find(row.Node); n != nil {
			n.InGroup++
		}
	}
	for _, s := range g.Place {
		if n := p.replaced(s); n != nil {
			give(n, s.Prev.Ask(), 1)
			p.release(s.Prev)
			n.InJob--
		}
	}
}

// restore takes the room of a running allocation again whose successor found no
// place. It reports false when the room is gone.
func (p *pool) restore(s reconcile.Place, one *rank.Request) bool {
	i, ok := p.position(s.Prev.Node)
	if !ok {
		return true // a node that takes no new work: nobody else took its room
	}
	n := &p.nodes[i]
	a := s.Prev.Ask()
	if !a.Within(n.Free) || one.OnePerJob && n.InJob > 0 || one.OnePerGroup && n.InGroup > 0 || !p.regain(s.Prev) {
		return false
	}
	give(n, a, -1)
	n.InJob++
	n.InGroup++
	return true
}

func give(n *rank.Node, a fleet.Ask, sign int64) {
	n.Free.CPU += sign * a.CPU
	n.Free.MemoryMB += sign * a.MemoryMB
	n.Free.DiskMB += sign * a.DiskMB
}
