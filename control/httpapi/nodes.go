package httpapi

import (
	"cmp"
	"crypto/rand"
	"errors"
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
	return one(a, w, r, s, func(_ *state.View, n *state.Node) *fleet.Node {
		out := n.View()
		out.RefusedPlans = a.Info.Refusing(n.Key)
		return out
	})
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
	if n.Drain != nil && in.Eligibility == fleet.NodeEligible {
		return refuse(http.StatusBadRequest, "node %s is being drained; stop that first: dunlin node drain -disable %s", n.Spec.Name, n.Spec.Name)
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

func (a *API) setStanding(w http.ResponseWriter, r *http.Request) error {
	var in api.NodeStandingRequest
	if err := a.decode(w, r, &in); err != nil {
		return err
	}
	switch in.Standing {
	case fleet.StandingApproved, fleet.StandingQuarantined, fleet.StandingRevoked:
	default:
		return refuse(http.StatusBadRequest, "Standing is %q; use %s, %s or %s", in.Standing, fleet.StandingApproved, fleet.StandingQuarantined, fleet.StandingRevoked)
	}
	if len(in.Reason) > fleet.StandingReasonBytesMax {
		return refuse(http.StatusBadRequest, "Reason has %d bytes; at most %d", len(in.Reason), fleet.StandingReasonBytesMax)
	}
	n, err := findNode(a.Store.View(), r.PathValue("id"))
	if err != nil {
		return err
	}
	cmd := &command.IdentityStanding{Peer: fleet.PeerOfNode(n.ID), Standing: in.Standing, Reason: in.Reason, At: a.Now().UnixNano()}
	_, _ = rand.Read(cmd.Seed[:]) // never fails
	index, result, err := a.Log.Propose(r.Context(), cmd)
	if errors.Is(err, command.ErrRevoked) {
		return refuse(http.StatusConflict, "%v", err)
	}
	if err != nil {
		return err
	}
	out := api.NodeStandingResponse{NodeModifyIndex: index, EvalIDs: []fleet.EvalID{}, WriteMeta: a.writeMeta(index)}
	if set, ok := result.(command.StandingSet); ok {
		for _, id := range set.Evals {
			out.EvalIDs = append(out.EvalIDs, fleet.EvalID(id.String()))
		}
	}
	a.Logger.Info("a device's standing was set", "node", n.ID, "name", n.Spec.Name, "standing", in.Standing, "reason", in.Reason)
	return a.answer(w, r, index, out)
}

func (a *API) listInvites(w http.ResponseWriter, r *http.Request) error {
	v, now := a.Store.View(), a.Now().UnixNano()
	out := []*api.Invite{}
	for i := range v.Invites() {
		if i.ExpiresAt > now {
			out = append(out, inviteView(&i))
		}
	}
	slices.SortFunc(out, func(x, y *api.Invite) int {
		return cmp.Or(cmp.Compare(x.ExpiresAt, y.ExpiresAt), cmp.Compare(x.ID, y.ID))
	})
	return a.answer(w, r, v.Index(), out)
}

func inviteView(i *fleet.Invite) *api.Invite {
	return &api.Invite{
		ID: i.ID(), Name: i.Name, Datacenter: i.Datacenter, Pool: i.Pool, Role: cmp.Or(i.Role, fleet.InviteRoleNode),
		Count: max(1, i.Count), Left: i.Left(), CreatedAt: i.CreatedAt, ExpiresAt: i.ExpiresAt, UsedAt: i.UsedAt, UsedBy: i.UsedBy,
	}
}

func (a *API) revokeInvite(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	var found []fleet.Invite
	for i := range a.Store.View().Invites() {
		if i.Named(id) {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 0:
		return refuse(http.StatusNotFound, "no invite begins with %q (at least %d characters of its ID); see: dunlin node invite list", id, fleet.InviteIDBytesMin)
	case len(found) > 1:
		return refuse(http.StatusBadRequest, "%d invites begin with %q; give more of the ID", len(found), id)
	}
	index, err := a.propose(r.Context(), &command.InviteRevoke{TokenHash: found[0].TokenHash})
	if err != nil {
		return err
	}
	return a.answer(w, r, index, inviteView(&found[0]))
}
