package api

import (
	"context"
	"net/url"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Allocations lists all allocations, newest first. q.Prefix narrows by ID.
func (c *Client) Allocations(ctx context.Context, q *QueryOptions) (out []*fleet.AllocationListStub, m QueryMeta, err error) {
	m, err = c.read(ctx, "/allocations", q, nil, &out)
	return out, m, err
}

// Allocation returns one allocation. The beginning of an ID is enough when it is
// the only one that begins so.
func (c *Client) Allocation(ctx context.Context, id fleet.AllocID, q *QueryOptions) (out *fleet.Allocation, m QueryMeta, err error) {
	m, err = c.read(ctx, "/allocation/"+segment(id), q, nil, &out)
	return out, m, err
}

// Evaluations lists all evaluations, newest first. q.Prefix narrows by ID.
func (c *Client) Evaluations(ctx context.Context, q *QueryOptions) (out []*fleet.Evaluation, m QueryMeta, err error) {
	m, err = c.read(ctx, "/evaluations", q, nil, &out)
	return out, m, err
}

// EvalFilter narrows a list of evaluations; empty fields do not.
type EvalFilter struct {
	Job    fleet.JobID
	Status string
}

// EvaluationsLike lists evaluations that a filter lets through, newest first.
func (c *Client) EvaluationsLike(ctx context.Context, f EvalFilter, q *QueryOptions) (out []*fleet.Evaluation, m QueryMeta, err error) {
	extra := url.Values{}
	if f.Job != "" {
		extra.Set("job", string(f.Job))
	}
	if f.Status != "" {
		extra.Set("status", f.Status)
	}
	m, err = c.read(ctx, "/evaluations", q, extra, &out)
	return out, m, err
}

// EvalDeleteRequest names evaluations that are to be forgotten: all of them, or none.
type EvalDeleteRequest struct {
	EvalIDs []fleet.EvalID
	Filter  string // the field's; not carried out
}

// EvalDeleteResponse says how many were.
type EvalDeleteResponse struct {
	Count int
	WriteMeta
}

// DeleteEvaluations forgets evaluations that have ended or wait for room, by whole
// IDs. One that is to be worked on, and the newest of a job, are refused with 409.
func (c *Client) DeleteEvaluations(ctx context.Context, ids []fleet.EvalID) (out EvalDeleteResponse, err error) {
	err = c.write(ctx, "DELETE", "/evaluations", nil, &EvalDeleteRequest{EvalIDs: ids}, &out)
	return out, err
}

// Evaluation returns one evaluation; the beginning of an ID is enough.
func (c *Client) Evaluation(ctx context.Context, id fleet.EvalID, q *QueryOptions) (out *fleet.Evaluation, m QueryMeta, err error) {
	m, err = c.read(ctx, "/evaluation/"+segment(id), q, nil, &out)
	return out, m, err
}

// EvaluationAllocations lists what an evaluation placed.
func (c *Client) EvaluationAllocations(ctx context.Context, id fleet.EvalID, q *QueryOptions) (out []*fleet.AllocationListStub, m QueryMeta, err error) {
	m, err = c.read(ctx, "/evaluation/"+segment(id)+"/allocations", q, nil, &out)
	return out, m, err
}
