package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

var nodeTopics = []state.Topic{{Table: state.TableNodes}}

func nodeIndex(_ *state.View, n *state.Node) uint64 { return n.ModifyIndex }

func (a *API) listNodes(w http.ResponseWriter, r *http.Request) error {
	prefix := strings.ToLower(r.URL.Query().Get("prefix"))
	s := source[*state.Node]{topics: nodeTopics, index: nodeIndex, rows: func(v *state.View) ([]*state.Node, error) {
		rows := withPrefix(prefix, v.Nodes(), func(n *state.Node) string { return n.ID.String() })
		slices.SortFunc(rows, byName)
		return rows, nil
	}}
	return list(a, w, r, s, func(_ *state.View, n *state.Node) fleet.NodeListStub { return n.View().Stub() })
}

func (a *API) getNode(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	s := source[*state.Node]{topics: nodeTopics, index: nodeIndex, rows: single(func(v *state.View) (*state.Node, error) {
		return findNode(v, id)
	})}
	return one(a, w, r, s, func(_ *state.View, n *state.Node) *fleet.Node { return n.View() })
}

// findNode resolves a name too: people know devices by name. A name wins over
// the beginning of another device's ID.
func findNode(v *state.View, id string) (*state.Node, error) {
	label := func(n *state.Node) string { return fleet.ShortID(n.ID.String()) + " (" + n.Spec.Name + ")" }
	var named []*state.Node
	for n := range v.Nodes() {
		if n.Spec.Name == id {
			named = append(named, n)
		}
	}
	switch len(named) {
	case 0:
		return pick("node", id,
			func(u fleet.UUID) (*state.Node, bool) { n := v.NodeByID(u); return n, n != nil }, v.NodesByPrefix, label)
	case 1:
		return named[0], nil
	}
	return nil, ambiguous("node", id, named, label)
}

func (a *API) nodeAllocations(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	s := source[*state.Alloc]{topics: allocTopics, index: allocIndex, rows: func(v *state.View) ([]*state.Alloc, error) {
		n, err := findNode(v, id)
		if err != nil {
			return nil, err
		}
		return slices.Collect(v.AllocsByNode(n.Key)), nil
	}}
	return list(a, w, r, s, (*state.View).Allocation)
}

func (a *API) setEligibility(w http.ResponseWriter, r *http.Request) error {
	var in api.NodeEligibilityRequest
	if err := a.decode(w, r, &in); err != nil {
		return err
	}
	if in.Eligibility != fleet.NodeEligible && in.Eligibility != fleet.NodeIneligible {
		return refuse(http.StatusBadRequest, "Eligibility is %q; use %s or %s", in.Eligibility, fleet.NodeEligible, fleet.NodeIneligible)
	}
	n, err := findNode(a.Store.View(), r.PathValue("id"))
	if err != nil {
		return err
	}
	index, err := a.propose(r.Context(), &command.NodeEligibility{
		Node: n.ID, Eligible: in.Eligibility == fleet.NodeEligible, At: a.Now().UnixNano(),
	})
	if err != nil {
		return err
	}
	return a.answer(w, r, index, api.NodeEligibilityResponse{
		NodeModifyIndex: index, EvalIDs: []fleet.EvalID{}, WriteMeta: a.writeMeta(index),
	})
}

func (a *API) invite(w http.ResponseWriter, r *http.Request) error {
	var in api.InviteRequest
	if r.ContentLength != 0 {
		if err := a.decode(w, r, &in); err != nil {
			return err
		}
	}
	out, err := a.Enroll.Invite(r.Context(), &in)
	if err != nil {
		if _, known := a.Info.Leader(); !known {
			return refuse(http.StatusServiceUnavailable, "no invite can be made now: %v", err)
		}
		return refuse(http.StatusBadRequest, "%v", err)
	}
	return a.answer(w, r, a.Store.View().Index(), out)
}
