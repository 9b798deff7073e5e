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

var evalTopics = []state.Topic{{Table: state.TableEvals}, {Table: state.TableJobs}}

func evalIndex(_ *state.View, e *state.Eval) uint64 { return e.ModifyIndex }

func evalView(_ *state.View, e *state.Eval) *fleet.Evaluation { return e.View() }

// evalStatuses are what ?status= may be.
var evalStatuses = []string{fleet.EvalPending, fleet.EvalBlocked, fleet.EvalComplete, fleet.EvalFailed, fleet.EvalCancelled}

// listEvaluations narrows by ?prefix= of the ID, ?job= and ?status=.
func (a *API) listEvaluations(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	prefix, job, status := strings.ToLower(q.Get("prefix")), fleet.JobID(q.Get("job")), q.Get("status")
	if status != "" && !slices.Contains(evalStatuses, status) {
		return refuse(http.StatusBadRequest, "status %q is none of an evaluation; there are %s", status, strings.Join(evalStatuses, ", "))
	}
	s := source[*state.Eval]{topics: evalTopics, index: evalIndex, rows: func(v *state.View) ([]*state.Eval, error) {
		from := v.Evals()
		if job != "" {
			from = v.EvalsByJob(fleet.DefaultNamespace, job)
		}
		rows := withPrefix(prefix, from, func(e *state.Eval) string { return e.ID.String() })
		return slices.DeleteFunc(rows, func(e *state.Eval) bool { return status != "" && e.Status != status }), nil
	}}
	return list(a, w, r, s, evalView)
}

// deleteEvaluations forgets the evaluations that the body names by their IDs: all of
// them, or none.
func (a *API) deleteEvaluations(w http.ResponseWriter, r *http.Request) error {
	var in api.EvalDeleteRequest
	if err := a.decode(w, r, &in); err != nil {
		return err
	}
	switch n := len(in.EvalIDs); {
	case in.Filter != "":
		return refuse(http.StatusBadRequest, "Filter is not carried out; list the evaluations and name them in EvalIDs")
	case n == 0:
		return refuse(http.StatusBadRequest, "EvalIDs is empty; name the evaluations to delete")
	case n > command.ReapMax:
		return refuse(http.StatusBadRequest, "EvalIDs has %d evaluations; at most %d", n, command.ReapMax)
	}
	cmd := &command.EvalsDelete{}
	for i, word := range in.EvalIDs {
		id, err := fleet.ParseUUID(string(word))
		if err != nil {
			return refuse(http.StatusBadRequest, "EvalIDs[%d]: %v; give whole IDs", i, err)
		}
		cmd.Evals = append(cmd.Evals, id)
	}
	index, result, err := a.proposeFor(r.Context(), cmd)
	if err != nil {
		return err
	}
	out := api.EvalDeleteResponse{WriteMeta: a.writeMeta(index)}
	if deleted, ok := result.(command.EvalsDeleted); ok {
		out.Count = deleted.Count
	}
	a.Logger.Info("evaluations were deleted by request", "count", out.Count)
	return a.answer(w, r, index, out)
}

func (a *API) getEvaluation(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	s := source[*state.Eval]{topics: evalTopics, index: evalIndex, rows: single(func(v *state.View) (*state.Eval, error) {
		return findEval(v, id)
	})}
	return one(a, w, r, s, evalWhole)
}

func findEval(v *state.View, id string) (*state.Eval, error) {
	return pick("evaluation", id,
		func(u fleet.UUID) (*state.Eval, bool) { e := v.Eval(u); return e, e != nil }, v.EvalsByPrefix,
		func(e *state.Eval) string { return fleet.ShortID(e.ID.String()) + " (" + string(e.Job) + ")" })
}

func (a *API) evaluationAllocations(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	s := source[*state.Alloc]{topics: allocTopics, index: allocIndex, rows: func(v *state.View) ([]*state.Alloc, error) {
		e, err := findEval(v, id)
		if err != nil {
			return nil, err
		}
		var rows []*state.Alloc
		if j := v.JobByID(e.Namespace, e.Job); j != nil { // a purged job's allocations are found by node only
			for alloc := range v.AllocsByJob(j.Key) {
				if alloc.Eval == e.ID {
					rows = append(rows, alloc)
				}
			}
		}
		return rows, nil
	}}
	return list(a, w, r, s, allocStub)
}
