package httpapi

import (
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

func TestEvaluationsNarrowedAndDeleted(t *testing.T) {
	g := newRegion(t)
	c, ctx := g.client(api.Config{}), t.Context()
	for _, job := range []fleet.JobID{"web", "db"} {
		if _, err := c.Register(ctx, &api.JobRegisterRequest{Job: registrable(job)}); err != nil {
			t.Fatal(err)
		}
	}
	put := func(n byte, job fleet.JobID, status string) fleet.EvalID {
		e := state.Eval{ID: id(n), Namespace: fleet.DefaultNamespace, Job: job, Status: status}
		if _, _, err := g.Propose(ctx, command.EvalsPut{Evals: []state.Eval{e}}); err != nil {
			t.Fatal(err)
		}
		return fleet.EvalID(e.ID.String())
	}
	done, blocked, newest := put(51, "web", fleet.EvalComplete), put(52, "web", fleet.EvalBlocked), put(53, "web", fleet.EvalFailed)
	for name, tc := range map[string]struct {
		f    api.EvalFilter
		want int
	}{
		"all":          {api.EvalFilter{}, 5},
		"of a job":     {api.EvalFilter{Job: "web"}, 4},
		"of a status":  {api.EvalFilter{Status: fleet.EvalPending}, 2},
		"of both":      {api.EvalFilter{Job: "web", Status: fleet.EvalBlocked}, 1},
		"of no such":   {api.EvalFilter{Job: "none"}, 0},
		"none of them": {api.EvalFilter{Job: "db", Status: fleet.EvalFailed}, 0},
	} {
		if evals, _, err := c.EvaluationsLike(ctx, tc.f, nil); err != nil || evals == nil || len(evals) != tc.want {
			t.Errorf("%s: %d, %v; want %d", name, len(evals), err, tc.want)
		}
	}
	if _, _, err := c.EvaluationsLike(ctx, api.EvalFilter{Status: "done"}, nil); !api.IsStatus(err, 400) || !strings.Contains(err.Error(), "there are pending, blocked") {
		t.Errorf("an unknown status: %v", err)
	}
	pending, _, err := c.EvaluationsLike(ctx, api.EvalFilter{Job: "db"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for words, tc := range map[string]struct {
		ids    []fleet.EvalID
		status int
	}{
		"would never be done": {[]fleet.EvalID{done, pending[0].ID}, 409},
		"newest of job web":   {[]fleet.EvalID{done, newest}, 409},
		"no such evaluation":  {[]fleet.EvalID{fleet.EvalID(id(77).String())}, 404},
		"give whole IDs":      {[]fleet.EvalID{"5100"}, 400},
		"EvalIDs is empty":    {nil, 400},
	} {
		if _, err := c.DeleteEvaluations(ctx, tc.ids); !api.IsStatus(err, tc.status) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
	if r, err := c.DeleteEvaluations(ctx, []fleet.EvalID{done, blocked}); err != nil || r.Count != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	if evals, _, err := c.EvaluationsLike(ctx, api.EvalFilter{Job: "web"}, nil); err != nil || len(evals) != 2 {
		t.Fatalf("%d are left, %v", len(evals), err)
	}
}
