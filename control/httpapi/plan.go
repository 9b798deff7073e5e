package httpapi

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

func (a *API) planJob(w http.ResponseWriter, r *http.Request) error {
	body, err := a.body(w, r)
	if err != nil {
		return err
	}
	var o struct{ Diff bool }
	if err := decodeJSON(body, &o); err != nil {
		return err
	}
	p, err := a.prepare(body, false)
	if err != nil {
		return err
	}
	if id := r.PathValue("id"); id != string(p.job.ID) {
		p.refuse("ID", fmt.Sprintf("the body's job is %q, the path's %q", p.job.ID, id), "make them the same")
	}
	if err := p.problems.Err(); err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	result, err := a.Planner.Plan(r.Context(), p.job)
	if err != nil {
		return fmt.Errorf("plan job %q: %w", p.job.ID, err)
	}
	v := a.Store.View()
	out := api.JobPlanResponse{
		Annotations:    &api.PlanAnnotations{DesiredTGUpdates: result.Updates, PreemptedAllocs: result.Preempted},
		FailedTGAllocs: result.Failed,
		RankedTGAllocs: result.Ranked,
		CreatedEvals:   result.Evals,
		Warnings:       strings.Join(p.problems.Warnings(), "\n"),
	}
	out.Modules = moves(v, p.job, result.Placed)
	var old *fleet.Job
	if j := v.JobByID(p.job.Namespace, p.job.ID); j != nil {
		old, out.JobModifyIndex = v.JobView(j), j.JobModifyIndex
	}
	if o.Diff {
		out.Diff = fleet.Diff(old, p.job)
		annotate(out.Diff, result.Updates)
	}
	return a.answer(w, r, v.Index(), out)
}

// annotate adds to each group's difference what the plan does about it, in the
// words that clients of the field print.
func annotate(d *fleet.JobDiff, updates map[string]*api.DesiredUpdates) {
	for i := range d.TaskGroups {
		g := &d.TaskGroups[i]
		u := updates[g.Name]
		if u == nil {
			continue
		}
		g.Updates = map[string]uint64{}
		for word, n := range map[string]uint64{
			"ignore": u.Ignore, "create": u.Place, "migrate": u.Migrate, "destroy": u.Stop,
			"in-place update": u.InPlaceUpdate, "create/destroy update": u.DestructiveUpdate,
		} {
			if n > 0 {
				g.Updates[word] = n
			}
		}
	}
}
