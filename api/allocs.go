package api

import (
	"context"

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
