package httpapi

import (
	"net/http"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// explainJob says where a job's work could go, or with ?node= whether it could go
// there.
func (a *API) explainJob(w http.ResponseWriter, r *http.Request) error {
	v := a.Store.View()
	j, err := findJob(v, r.PathValue("id"))
	if err != nil {
		return err
	}
	var only *state.Node
	if id := r.URL.Query().Get("node"); id != "" {
		if only, err = findNode(v, id); err != nil {
			return err
		}
	}
	return a.answer(w, r, v.Index(), a.Planner.Why(v, j, only))
}

// evalWhole is an evaluation with how the nodes fared for groups that were placed
// as a whole too. Lists leave that out: it is most of an evaluation's size.
func evalWhole(_ *state.View, e *state.Eval) *fleet.Evaluation {
	out := e.View()
	for _, g := range e.Groups {
		if g.Metric != nil && g.Queued == 0 {
			if out.PlacedTGAllocs == nil {
				out.PlacedTGAllocs = map[string]*fleet.AllocMetric{}
			}
			out.PlacedTGAllocs[g.Group] = g.Metric
		}
	}
	return out
}
