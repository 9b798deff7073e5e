package httpapi

import (
	"net/http"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/reap"
)

// collect forgets all that has ended, however short ago. It goes through the log in
// the same bounded steps as the region's own passes.
func (a *API) collect(w http.ResponseWriter, r *http.Request) error {
	var out api.SystemGCResponse
	pass, index := reap.NewPass(reap.Now()), a.Store.View().Index()
	for more := true; more; {
		var step command.Reap
		if step, more = pass.Next(a.Store.View(), a.Now().UnixNano()); reap.Empty(&step) {
			continue
		}
		at, result, err := a.Log.Propose(r.Context(), &step)
		if err != nil {
			return err
		}
		index = at
		if n, ok := result.(command.Reaped); ok {
			out.Jobs, out.Evals, out.Allocs, out.Nodes = out.Jobs+n.Jobs, out.Evals+n.Evals, out.Allocs+n.Allocs, out.Nodes+n.Nodes
		}
	}
	a.Logger.Info("what has ended was forgotten by request", "jobs", out.Jobs, "evals", out.Evals, "allocs", out.Allocs, "nodes", out.Nodes)
	out.WriteMeta = a.writeMeta(index)
	return a.answer(w, r, index, &out)
}
