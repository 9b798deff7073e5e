package httpapi

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// allocTopics: a node's link is part of what its allocations show.
var (
	allocTopics = []state.Topic{{Table: state.TableAllocs}, {Table: state.TableNodes}, {Table: state.TableJobs}}
)

func allocIndex(v *state.View, a *state.Alloc) uint64 {
	if n := v.Node(a.Node); n != nil {
		return max(a.ModifyIndex, n.ModifyIndex)
	}
	return a.ModifyIndex
}

func allocStub(v *state.View, a *state.Alloc) fleet.AllocationListStub { return v.Allocation(a).Stub() }

func (a *API) listAllocations(w http.ResponseWriter, r *http.Request) error {
	prefix := strings.ToLower(r.URL.Query().Get("prefix"))
	s := source[*state.Alloc]{topics: allocTopics, index: allocIndex, rows: func(v *state.View) ([]*state.Alloc, error) {
		return withPrefix(prefix, v.Allocs(), func(a *state.Alloc) string { return a.ID.String() }), nil
	}}
	return list(a, w, r, s, allocStub)
}

func (a *API) getAllocation(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	v := a.Store.View()
	if n, o := findOrphan(v, id); o != nil && len(v.AllocsByPrefix(strings.ToLower(id))) == 0 {
		return a.answer(w, r, v.Index(), orphanView(n, o))
	}
	s := source[*state.Alloc]{topics: allocTopics, index: allocIndex, rows: single(func(v *state.View) (*state.Alloc, error) {
		return findAlloc(v, id)
	})}
	return one(a, w, r, s, (*state.View).Allocation)
}

func findAlloc(v *state.View, id string) (*state.Alloc, error) {
	return pick("allocation", id,
		func(u fleet.UUID) (*state.Alloc, bool) { a := v.AllocByID(u); return a, a != nil }, v.AllocsByPrefix,
		func(a *state.Alloc) string { return fleet.ShortID(a.ID.String()) + " (" + a.Name() + ")" })
}

// withPrefix collects the rows whose ID begins with prefix, oldest first. It
// scans rather than walks the index of IDs, which bounds its matches: a list
// that is cut in silence would be taken for the whole.
func withPrefix[T any](prefix string, rows func(func(T) bool), id func(T) string) []T {
	var out []T
	for row := range rows {
		if prefix == "" || strings.HasPrefix(id(row), prefix) {
			out = append(out, row)
		}
	}
	return out
}

// byName orders nodes for people, the last first, as list turns them round.
func byName(a, b *state.Node) int {
	return cmp.Or(cmp.Compare(b.Spec.Name, a.Spec.Name), slices.Compare(b.ID[:], a.ID[:]))
}
