package device

import (
	"cmp"
	"maps"
	"slices"

	"github.com/dunlin-edge/dunlin/fleet"
)

// lineage names what versions of a job follow each other on this device.
type lineage struct {
	namespace string
	id        fleet.JobID
	group     string
}

func (e *entry) lineage() lineage { return lineage{e.key.Namespace, e.key.ID, e.Desired().Group} }

// pinned is what the cache must keep: what allocations that have not ended need, and what would be needed to go back from their
// version to the one before. The last comes from allocations that ended here and whose job is still known; it is forgotten with
// their files.
func (d *Device) pinned() []string {
	keep := map[string]bool{}
	for digest := range d.modules {
		keep[digest] = true
	}
	for _, e := range d.fallbacks() {
		for _, digest := range e.digests("") {
			keep[digest] = true
		}
	}
	return slices.Sorted(maps.Keys(keep))
}

// fallbacks are allocations of the version before the newest that is wanted, by lineage.
func (d *Device) fallbacks() map[lineage]*entry {
	wanted := map[lineage]uint64{}
	for _, e := range d.allocs {
		if e.group != nil && !e.Terminal() {
			wanted[e.lineage()] = max(wanted[e.lineage()], e.key.Version)
		}
	}
	before := map[lineage]*entry{}
	for _, id := range d.sortedIDs() {
		e := d.allocs[id]
		if e.group == nil {
			continue
		}
		l := e.lineage()
		if newest, live := wanted[l]; live && e.key.Version < newest && (before[l] == nil || before[l].key.Version < e.key.Version) {
			before[l] = e
		}
	}
	return before
}

// bases are the modules that ran here for the tasks that wait for m, newest version first.
func (d *Device) bases(m *module) []string {
	var out []string
	for _, w := range m.waiters {
		e := d.allocs[w.alloc]
		if e == nil || e.group == nil {
			continue
		}
		var kin []*entry
		for _, id := range d.sortedIDs() {
			if k := d.allocs[id]; k != e && k.group != nil && k.lineage() == e.lineage() {
				kin = append(kin, k)
			}
		}
		slices.SortStableFunc(kin, func(a, b *entry) int { return cmp.Compare(b.key.Version, a.key.Version) })
		for _, k := range kin {
			for _, digest := range k.digests(w.task) {
				if digest != m.ref.Digest && !slices.Contains(out, digest) && len(out) < BasesMax {
					out = append(out, digest)
				}
			}
		}
	}
	return out
}

// digests are the modules of one of the entry's tasks, or of all with "".
func (e *entry) digests(task string) (out []string) {
	for i, n := range e.group.needs {
		if task != "" && e.group.spec.Tasks[i].Name != task {
			continue
		}
		for _, ref := range n.modules {
			out = append(out, ref.Digest)
		}
	}
	return out
}
