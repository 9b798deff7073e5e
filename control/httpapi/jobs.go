package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// jobTopics are what a job's status and summary are derived from.
var jobTopics = []state.Topic{
	{Table: state.TableJobs}, {Table: state.TableAllocs}, {Table: state.TableEvals}, {Table: state.TableNodes},
}

func (a *API) listJobs(w http.ResponseWriter, r *http.Request) error {
	prefix := r.URL.Query().Get("prefix")
	s := source[*state.Job]{topics: jobTopics, index: jobIndex, rows: func(v *state.View) ([]*state.Job, error) {
		var rows []*state.Job
		for j := range v.Jobs() {
			if strings.HasPrefix(string(j.ID), prefix) {
				rows = append(rows, j)
			}
		}
		slices.Reverse(rows) // list shows the last first; jobs go by name
		return rows, nil
	}}
	return list(a, w, r, s, jobStub)
}

func (a *API) getJob(w http.ResponseWriter, r *http.Request) error {
	return one(a, w, r, a.theJob(r), (*state.View).JobView)
}

func (a *API) jobSummary(w http.ResponseWriter, r *http.Request) error {
	return one(a, w, r, a.theJob(r), summary)
}

// theJob is the job that the path names, and all that its status derives from.
func (a *API) theJob(r *http.Request) source[*state.Job] {
	id := r.PathValue("id")
	return source[*state.Job]{topics: jobTopics, index: jobIndex, rows: single(func(v *state.View) (*state.Job, error) {
		return findJob(v, id)
	})}
}

func findJob(v *state.View, id string) (*state.Job, error) {
	if j := v.JobByID(fleet.DefaultNamespace, fleet.JobID(id)); j != nil {
		return j, nil
	}
	var near []string
	for j := range v.Jobs() {
		if strings.HasPrefix(string(j.ID), id) && len(near) < SuggestionsMax {
			near = append(near, string(j.ID))
		}
	}
	if len(near) > 0 {
		return nil, refuse(http.StatusNotFound, "there is no job %q; did you mean %s?", id, strings.Join(near, ", "))
	}
	return nil, refuse(http.StatusNotFound, "there is no job %q", id)
}

// jobIndex is the newest change of anything a job's status or summary shows.
func jobIndex(v *state.View, j *state.Job) uint64 {
	newest := j.ModifyIndex
	for a := range v.AllocsByJob(j.Key) {
		newest = max(newest, allocIndex(v, a))
	}
	for e := range v.EvalsByJob(j.Namespace, j.ID) {
		newest = max(newest, e.ModifyIndex)
	}
	return newest
}

func jobStub(v *state.View, j *state.Job) *api.JobListStub {
	view := v.JobView(j)
	return &api.JobListStub{
		ID: view.ID, Name: view.Name, Namespace: view.Namespace, Datacenters: view.Datacenters, NodePool: view.NodePool,
		Type: view.Type, Priority: fleet.Or(view.Priority, fleet.DefaultPriority), Stop: view.Stop,
		Status: view.Status, StatusDescription: view.StatusDescription, JobSummary: summary(v, j),
		CreateIndex: view.CreateIndex, ModifyIndex: view.ModifyIndex, JobModifyIndex: view.JobModifyIndex,
		SubmitTime: view.SubmitTime, Version: view.Version,
	}
}

func summary(v *state.View, j *state.Job) *api.JobSummary {
	out := &api.JobSummary{
		JobID: j.ID, Namespace: j.Namespace, Summary: map[string]api.GroupSummary{},
		CreateIndex: j.CreateIndex, ModifyIndex: jobIndex(v, j),
	}
	for group, s := range v.Summary(j) {
		out.Summary[group] = api.GroupSummary(s)
	}
	return out
}

func (a *API) jobVersions(w http.ResponseWriter, r *http.Request) error {
	diffs := r.URL.Query().Get("diffs") == "true"
	return one(a, w, r, a.theJob(r), func(v *state.View, j *state.Job) *api.JobVersionsResponse {
		out := &api.JobVersionsResponse{}
		for _, ver := range j.Versions {
			out.Versions = append(out.Versions, v.JobVersionView(ver))
		}
		for i := 1; diffs && i < len(out.Versions); i++ {
			out.Diffs = append(out.Diffs, fleet.Diff(out.Versions[i], out.Versions[i-1]))
		}
		return out
	})
}

func (a *API) jobAllocations(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	s := source[*state.Alloc]{topics: allocTopics, index: allocIndex, rows: func(v *state.View) ([]*state.Alloc, error) {
		j, err := findJob(v, id)
		if err != nil {
			return nil, err
		}
		return slices.Collect(v.AllocsByJob(j.Key)), nil
	}}
	return list(a, w, r, s, allocStub)
}

func (a *API) jobEvaluations(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	s := source[*state.Eval]{topics: evalTopics, index: evalIndex, rows: func(v *state.View) ([]*state.Eval, error) {
		j, err := findJob(v, id)
		if err != nil {
			return nil, err
		}
		return slices.Collect(v.EvalsByJob(j.Namespace, j.ID)), nil
	}}
	return list(a, w, r, s, evalView)
}

// noDeployments answers that there are none, which is the truth: a new version
// replaces its allocations at once. Clients that look after registering go on.
func (a *API) noDeployments(w http.ResponseWriter, r *http.Request) error {
	return a.answer(w, r, a.Store.View().Index(), []struct{}{})
}

func (a *API) noDeployment(w http.ResponseWriter, r *http.Request) error {
	return a.answer(w, r, a.Store.View().Index(), nil)
}
