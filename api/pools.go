package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/dunlin-edge/dunlin/fleet"
)

// SchedulerConfigurationResponse is how a region schedules.
type SchedulerConfigurationResponse struct {
	SchedulerConfig *fleet.SchedulerConfiguration
	WriteMeta
}

// SchedulerSetConfigurationResponse answers a change of it.
type SchedulerSetConfigurationResponse struct {
	Updated  bool   // false: it was not at the index that was asked for
	Warnings string `json:",omitempty"`
	WriteMeta
}

// NodePools lists node pools. q.Prefix narrows by name.
func (c *Client) NodePools(ctx context.Context, q *QueryOptions) (out []*fleet.NodePool, m QueryMeta, err error) {
	m, err = c.read(ctx, "/node/pools", q, nil, &out)
	return out, m, err
}

// NodePool returns one pool.
func (c *Client) NodePool(ctx context.Context, name string, q *QueryOptions) (out *fleet.NodePool, m QueryMeta, err error) {
	m, err = c.read(ctx, "/node/pool/"+segment(name), q, nil, &out)
	return out, m, err
}

// PutNodePool makes or changes a pool.
func (c *Client) PutNodePool(ctx context.Context, p *fleet.NodePool) error {
	return c.write(ctx, http.MethodPut, "/node/pools", nil, p, nil)
}

// DeleteNodePool removes a pool that no node and no running job is in.
func (c *Client) DeleteNodePool(ctx context.Context, name string) error {
	return c.write(ctx, http.MethodDelete, "/node/pool/"+segment(name), nil, nil, nil)
}

// NodePoolNodes lists the nodes of a pool.
func (c *Client) NodePoolNodes(ctx context.Context, name string, q *QueryOptions) (out []*fleet.NodeListStub, m QueryMeta, err error) {
	m, err = c.read(ctx, "/node/pool/"+segment(name)+"/nodes", q, nil, &out)
	return out, m, err
}

// NodePoolJobs lists the jobs that name a pool.
func (c *Client) NodePoolJobs(ctx context.Context, name string, q *QueryOptions) (out []*JobListStub, m QueryMeta, err error) {
	m, err = c.read(ctx, "/node/pool/"+segment(name)+"/jobs", q, nil, &out)
	return out, m, err
}

// SchedulerConfiguration returns how the region schedules.
func (c *Client) SchedulerConfiguration(ctx context.Context, q *QueryOptions) (out *SchedulerConfigurationResponse, m QueryMeta, err error) {
	m, err = c.read(ctx, "/operator/scheduler/configuration", q, nil, &out)
	return out, m, err
}

// SetSchedulerConfiguration changes it as a whole. With cas the change is made only
// if the configuration's ModifyIndex is still that of s.
func (c *Client) SetSchedulerConfiguration(ctx context.Context, s *fleet.SchedulerConfiguration, cas bool) (*SchedulerSetConfigurationResponse, error) {
	var q url.Values
	if cas {
		q = url.Values{"cas": {strconv.FormatUint(s.ModifyIndex, 10)}}
	}
	var out SchedulerSetConfigurationResponse
	return &out, c.write(ctx, http.MethodPut, "/operator/scheduler/configuration", q, s, &out)
}
