package device

import (
	"slices"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// View is what a device knows, for people and for tests.
type View struct {
	Facts  Facts
	LinkUp bool
	Untold int // allocations whose newest status is not acknowledged
	Allocs []AllocView
}

// AllocView is one allocation of a View.
type AllocView struct {
	wire.AllocStatus
	Name    string // job.group[index]
	Job     wire.JobKey
	Stop    bool // the region wants it stopped
	Orphan  bool // the region does not know it
	Cleared bool // its files are gone
	Acked   bool // the region has committed this status
}

// View shows the device; allocations are sorted by ID. It costs what a full status batch costs.
func (d *Device) View() View {
	v := View{Facts: d.facts, LinkUp: d.linkUp}
	for _, id := range d.sortedIDs() {
		a := d.view(d.allocs[id])
		if !a.Acked {
			v.Untold++
		}
		v.Allocs = append(v.Allocs, a)
	}
	return v
}

// Ended lists the allocations that have ended and still have files, the one that ended first first.
func (d *Device) Ended() []fleet.UUID { return slices.Clone(d.dead) }

// Live lists the allocations that have not ended, sorted.
func (d *Device) Live() []fleet.UUID {
	return slices.DeleteFunc(d.sortedIDs(), func(id fleet.UUID) bool { return d.allocs[id].Terminal() })
}

// Alloc shows one allocation.
func (d *Device) Alloc(id fleet.UUID) (AllocView, bool) {
	e := d.allocs[id]
	if e == nil {
		return AllocView{}, false
	}
	return d.view(e), true
}

func (d *Device) view(e *entry) AllocView {
	return AllocView{
		AllocStatus: e.Status(), Name: e.Desired().Name(), Job: e.Desired().Job, Stop: e.Desired().Stop || e.hold != nil,
		Orphan: e.orphan, Cleared: e.cleared, Acked: e.acked == e.Rev(),
	}
}
