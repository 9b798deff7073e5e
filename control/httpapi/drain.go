package httpapi

import (
	"net/http"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/fleet"
)

func (a *API) setDrain(w http.ResponseWriter, r *http.Request) error {
	var in api.NodeDrainRequest
	if err := a.decode(w, r, &in); err != nil {
		return err
	}
	n, err := findNode(a.Store.View(), r.PathValue("id"))
	if err != nil {
		return err
	}
	cmd := &command.NodeDrain{Node: n.ID, Eligible: in.MarkEligible, At: a.Now().UnixNano()}
	if s := in.DrainSpec; s != nil {
		if s.Deadline.Std() > fleet.DurationMax {
			return refuse(http.StatusBadRequest, "DrainSpec.Deadline is %s; at most %s, or 0 for as long as it takes", s.Deadline, fleet.DurationMax)
		}
		cmd.Drain, cmd.Limit, cmd.IgnoreSystem = true, s.Deadline, s.IgnoreSystemJobs
	}
	index, result, err := a.Log.Propose(r.Context(), cmd)
	if err != nil {
		return err
	}
	out := api.NodeDrainResponse{NodeModifyIndex: index, EvalIDs: []fleet.EvalID{}, WriteMeta: a.writeMeta(index)}
	if set, ok := result.(command.DrainSet); ok {
		for _, id := range set.Evals {
			out.EvalIDs, out.EvalCreateIndex = append(out.EvalIDs, fleet.EvalID(id.String())), index
		}
	}
	a.Logger.Info("a device's drain was set", "node", n.ID, "name", n.Spec.Name, "drain", cmd.Drain, "deadline", cmd.Limit)
	return a.answer(w, r, index, out)
}
