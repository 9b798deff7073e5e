package device

import (
	"cmp"
	"slices"

	"github.com/dunlin-edge/dunlin/fleet"
)

// bury counts an allocation that has just ended: its modules may go, its files stay for a while. The end is written at once:
// it may be told from now on, and what was told as ended must not be started by the next boot.
func (d *Device) bury(e *entry) {
	e.buried = true
	d.out.urgent = true
	if e.orphan {
		d.status.orphans = true
	}
	d.unpin(e)
	d.released = d.released || !e.claims.granted.Empty()
	d.dead = append(d.dead, e.ID())
}

// sortDead rebuilds the order of deaths after a boot.
func (d *Device) sortDead() {
	d.dead, d.tombs = nil, nil
	for _, id := range d.sortedIDs() {
		switch e := d.allocs[id]; {
		case e.cleared:
			d.tombs = append(d.tombs, id)
		case e.Terminal():
			d.dead = append(d.dead, id)
		}
	}
	byEnd := func(a, b fleet.UUID) int { return cmp.Compare(d.allocs[a].EndedAt(), d.allocs[b].EndedAt()) }
	slices.SortStableFunc(d.dead, byEnd)
	slices.SortStableFunc(d.tombs, byEnd)
}

// reap removes the files of the oldest ended allocations beyond the limit, and the oldest tombstones beyond theirs. Only what
// the region has acknowledged may go: until then the device is the only one who knows how it ended.
func (d *Device) reap() {
	for i := 0; len(d.dead) > d.cfg.DeadAllocsMax && i < len(d.dead); {
		id := d.dead[i]
		e := d.allocs[id]
		if e.acked != e.Rev() {
			i++
			continue
		}
		d.dead = slices.Delete(d.dead, i, i+1)
		d.tombs = append(d.tombs, id)
		e.cleared = true
		e.Trim()
		d.release(e)
		d.markDirty(e)
		d.out.remove = append(d.out.remove, RemoveAllocDir{Alloc: id})
	}
	for len(d.tombs) > TombstonesMax {
		d.forget(d.tombs[0])
		d.tombs = slices.Delete(d.tombs, 0, 1)
	}
}
