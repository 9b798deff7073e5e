package api

import (
	"context"
	"net/http"

	"github.com/dunlin-edge/dunlin/fleet"
)

// RegionEpoch says in which epoch a region is, and how it came to it.
type RegionEpoch struct {
	RegionID string
	Region   string
	Epoch    uint64
	RaisedAt int64  // Unix nanoseconds; 0: the first epoch
	Reason   string // of the last raise
}

// LossBrake says whether replacements are held because many devices are gone.
type LossBrake struct {
	On         bool
	Since      int64  // Unix nanoseconds of the last change of On; 0: never
	Reason     string // of that change
	ReleasedAt int64  // what went before this moment does not count
	Gone       int    // devices that are gone now and whose work is not given up
}

// AllocStopRequest ends an allocation or an orphan.
type AllocStopRequest struct {
	// Gone: its device will not come back. The allocation counts as lost, and what
	// waits for its end goes on.
	Gone bool `json:",omitempty"`
}

// AllocStopResponse answers it. EvalID is empty if its job wants no other.
type AllocStopResponse struct {
	EvalID fleet.EvalID
	Orphan bool
	WriteMeta
}

// AllocAdoptResponse answers an adoption.
type AllocAdoptResponse struct {
	Name    string
	Stopped fleet.AllocID `json:",omitempty"` // what had the name
	EvalID  fleet.EvalID
	WriteMeta
}

// Epoch returns the region's epoch.
func (c *Client) Epoch(ctx context.Context, q *QueryOptions) (out *RegionEpoch, m QueryMeta, err error) {
	m, err = c.read(ctx, "/operator/epoch", q, nil, &out)
	return out, m, err
}

// RaiseEpoch raises it by one: every device is told everything anew, and what it
// runs and the region does not know stays as an orphan.
func (c *Client) RaiseEpoch(ctx context.Context) (*RegionEpoch, error) {
	var out RegionEpoch
	return &out, c.write(ctx, http.MethodPut, "/operator/epoch", nil, struct{}{}, &out)
}

// LossBrake returns the state of the loss brake.
func (c *Client) LossBrake(ctx context.Context, q *QueryOptions) (out *LossBrake, m QueryMeta, err error) {
	m, err = c.read(ctx, "/operator/loss-brake", q, nil, &out)
	return out, m, err
}

// ReleaseLossBrake lets what is held be replaced.
func (c *Client) ReleaseLossBrake(ctx context.Context) (*LossBrake, error) {
	var out LossBrake
	return &out, c.write(ctx, http.MethodDelete, "/operator/loss-brake", nil, nil, &out)
}

// StopAllocation ends an allocation, or an orphan.
func (c *Client) StopAllocation(ctx context.Context, id fleet.AllocID, r *AllocStopRequest) (*AllocStopResponse, error) {
	var out AllocStopResponse
	return &out, c.write(ctx, http.MethodPut, "/allocation/"+segment(id)+"/stop", nil, r, &out)
}

// AdoptAllocation makes an orphan an allocation of the region again.
func (c *Client) AdoptAllocation(ctx context.Context, id fleet.AllocID) (*AllocAdoptResponse, error) {
	var out AllocAdoptResponse
	return &out, c.write(ctx, http.MethodPut, "/allocation/"+segment(id)+"/adopt", nil, struct{}{}, &out)
}

// SystemGCResponse says how much was forgotten.
type SystemGCResponse struct {
	Jobs, Evals, Allocs, Nodes int
	WriteMeta
}

// SystemGC forgets all that has ended, however short ago.
func (c *Client) SystemGC(ctx context.Context) (*SystemGCResponse, error) {
	var out SystemGCResponse
	return &out, c.write(ctx, http.MethodPut, "/system/gc", nil, nil, &out)
}
