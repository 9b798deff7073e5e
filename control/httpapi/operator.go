package httpapi

import (
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

func epochOf(v *state.View) *api.RegionEpoch {
	r := v.Region()
	return &api.RegionEpoch{RegionID: r.ID.String(), Region: r.Name, Epoch: r.Epoch, RaisedAt: r.Raised.At, Reason: r.Raised.Reason}
}

func (a *API) getEpoch(w http.ResponseWriter, r *http.Request) error {
	v := a.Store.View()
	return a.answer(w, r, v.Index(), epochOf(v))
}

func (a *API) raiseEpoch(w http.ResponseWriter, r *http.Request) error {
	cmd := command.EpochRaise{Epoch: a.Store.View().Region().Epoch, Operator: true, At: a.Now().UnixNano()}
	index, err := a.propose(r.Context(), &cmd)
	if err != nil {
		return err
	}
	a.Logger.Warn("an operator raised the region's epoch", "epoch", a.Store.View().Region().Epoch)
	return a.answer(w, r, index, epochOf(a.Store.View()))
}

func brakeOf(v *state.View) *api.LossBrake {
	b := v.Region().Brake
	out := &api.LossBrake{On: b.On, Since: b.Since, Reason: b.Reason, ReleasedAt: b.ReleasedAt}
	for n := range v.Nodes() {
		if n.Link == fleet.LinkUnreachable {
			out.Gone++
		}
	}
	return out
}

func (a *API) getLossBrake(w http.ResponseWriter, r *http.Request) error {
	v := a.Store.View()
	return a.answer(w, r, v.Index(), brakeOf(v))
}

func (a *API) releaseLossBrake(w http.ResponseWriter, r *http.Request) error {
	cmd := command.BrakeSet{Forget: true, Reason: "an operator released it", At: a.Now().UnixNano()}
	index, err := a.propose(r.Context(), &cmd)
	if err != nil {
		return err
	}
	a.Logger.Warn("an operator released the loss brake: what is held is replaced")
	return a.answer(w, r, index, brakeOf(a.Store.View()))
}

// held is an allocation or an orphan by its ID, or the beginning of one.
func held(v *state.View, id string) (fleet.UUID, error) {
	row, err := findAlloc(v, id)
	if err == nil {
		return row.ID, nil
	}
	if _, o := findOrphan(v, id); o != nil {
		return o.ID, nil
	}
	return fleet.UUID{}, err
}

// findOrphan finds the one orphan whose ID begins so.
func findOrphan(v *state.View, id string) (node *state.Node, orphan *state.Orphan) {
	for n := range v.Nodes() {
		for i := range n.Orphans {
			if !strings.HasPrefix(n.Orphans[i].ID.String(), strings.ToLower(id)) {
				continue
			}
			if orphan != nil {
				return nil, nil
			}
			node, orphan = n, &n.Orphans[i]
		}
	}
	return node, orphan
}

// orphanView is the API's form of an allocation that the region has no row of.
func orphanView(n *state.Node, o *state.Orphan) *fleet.Allocation {
	out := &fleet.Allocation{
		ID: fleet.AllocID(o.ID.String()), Namespace: o.Job.Namespace, Name: o.Name(), NodeID: fleet.NodeID(n.ID.String()), NodeName: n.Spec.Name,
		JobID: o.Job.ID, JobVersion: o.Job.Version, TaskGroup: o.Group, Orphan: true, ClientStatus: o.Status, CreateTime: o.CreateTime,
		DesiredStatus: fleet.DesiredRun, DesiredDescription: "an orphan: the region does not know it; it keeps running until it is adopted or stopped",
		CreateIndex: n.ModifyIndex, ModifyIndex: n.ModifyIndex,
	}
	if o.StopReason != "" {
		out.DesiredStatus, out.DesiredDescription = fleet.DesiredStop, o.StopReason
	}
	return out
}

func (a *API) mintEval() fleet.UUID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fleet.MintUUID(b)
}

func (a *API) stopAllocation(w http.ResponseWriter, r *http.Request) error {
	var in api.AllocStopRequest
	if r.ContentLength != 0 {
		if err := a.decode(w, r, &in); err != nil {
			return err
		}
	}
	id, err := held(a.Store.View(), r.PathValue("id"))
	if err != nil {
		return err
	}
	cmd := command.AllocStop{Alloc: id, Gone: in.Gone, EvalID: a.mintEval(), At: a.Now().UnixNano()}
	index, result, err := a.proposeFor(r.Context(), &cmd)
	if err != nil {
		return err
	}
	out := api.AllocStopResponse{WriteMeta: a.writeMeta(index)}
	if s, ok := result.(command.AllocStopped); ok {
		out.Orphan = s.Orphan
		if !s.EvalID.IsZero() {
			out.EvalID = fleet.EvalID(s.EvalID.String())
		}
	}
	return a.answer(w, r, index, out)
}

func (a *API) adoptAllocation(w http.ResponseWriter, r *http.Request) error {
	id, err := held(a.Store.View(), r.PathValue("id"))
	if err != nil {
		return err
	}
	cmd := command.AllocAdopt{Alloc: id, EvalID: a.mintEval(), At: a.Now().UnixNano()}
	index, result, err := a.proposeFor(r.Context(), &cmd)
	if err != nil {
		return err
	}
	out := api.AllocAdoptResponse{EvalID: fleet.EvalID(cmd.EvalID.String()), WriteMeta: a.writeMeta(index)}
	if s, ok := result.(command.AllocAdopted); ok {
		out.Name = s.Name
		if !s.Stopped.IsZero() {
			out.Stopped = fleet.AllocID(s.Stopped.String())
		}
	}
	return a.answer(w, r, index, out)
}
