package api

import (
	"context"
	"net/http"

	"github.com/dunlin-edge/dunlin/fleet"
)

// NodeEligibilityRequest lets new work onto a node, or keeps it off.
type NodeEligibilityRequest struct {
	NodeID      fleet.NodeID `json:",omitempty"`
	Eligibility string       // fleet.NodeEligible or fleet.NodeIneligible
}

// NodeEligibilityResponse answers it.
type NodeEligibilityResponse struct {
	NodeModifyIndex uint64
	EvalIDs         []fleet.EvalID
	EvalCreateIndex uint64
	WriteMeta
}

// InviteRequest asks for an invite.
type InviteRequest struct {
	Name       string         `json:",omitempty"` // the device's name; empty: it chooses
	Datacenter string         `json:",omitempty"`
	Pool       string         `json:",omitempty"` // the devices' node pool
	Role       string         `json:",omitempty"` // fleet.InviteRoleNode (default) or fleet.InviteRoleGateway
	TTL        fleet.Duration `json:",omitempty"` // 0: the region's default
	Count      int            `json:",omitempty"` // how many may join; 0: one
}

// Invite is an open or spent invite, as people see it. The token is nowhere.
type Invite struct {
	ID         string // by which it is revoked
	Name       string `json:",omitempty"`
	Datacenter string
	Pool       string `json:",omitempty"`
	Role       string
	Count      int // how many may join in all
	Left       int
	CreatedAt  int64        // Unix nanoseconds, as below
	ExpiresAt  int64        //
	UsedAt     int64        `json:",omitempty"` // last
	UsedBy     fleet.NodeID `json:",omitempty"` // last
}

// NodeStandingRequest approves, quarantines or revokes a device.
type NodeStandingRequest struct {
	Standing string // fleet.StandingApproved, StandingQuarantined or StandingRevoked
	Reason   string `json:",omitempty"`
}

// NodeStandingResponse answers it.
type NodeStandingResponse struct {
	NodeModifyIndex uint64
	EvalIDs         []fleet.EvalID
	WriteMeta
}

// InviteResponse is an invite. Whoever holds the line can join, as often as its
// count says.
type InviteResponse struct {
	Invite    string // the line for `dunlin join`
	ExpiresAt int64  // Unix nanoseconds
}

// Nodes lists nodes. q.Prefix narrows by ID.
func (c *Client) Nodes(ctx context.Context, q *QueryOptions) (out []*fleet.NodeListStub, m QueryMeta, err error) {
	m, err = c.read(ctx, "/nodes", q, nil, &out)
	return out, m, err
}

// Node returns one node by ID, the beginning of one, or its name.
func (c *Client) Node(ctx context.Context, id fleet.NodeID, q *QueryOptions) (out *fleet.Node, m QueryMeta, err error) {
	m, err = c.read(ctx, "/node/"+segment(id), q, nil, &out)
	return out, m, err
}

// NodeAllocations lists what a node was given, newest first, in full.
func (c *Client) NodeAllocations(ctx context.Context, id fleet.NodeID, q *QueryOptions) (out []*fleet.Allocation, m QueryMeta, err error) {
	m, err = c.read(ctx, "/node/"+segment(id)+"/allocations", q, nil, &out)
	return out, m, err
}

// NodeWritten asks a device what it has written to its disk. A device without a link is an error of status 503.
func (c *Client) NodeWritten(ctx context.Context, id fleet.NodeID) (*fleet.DiskWrites, error) {
	var out fleet.DiskWrites
	_, err := c.read(ctx, "/node/"+segment(id)+"/written", nil, nil, &out)
	return &out, err
}

// SetEligible lets new work onto a node, or keeps it off.
func (c *Client) SetEligible(ctx context.Context, id fleet.NodeID, eligible bool) (*NodeEligibilityResponse, error) {
	in := NodeEligibilityRequest{Eligibility: fleet.NodeIneligible}
	if eligible {
		in.Eligibility = fleet.NodeEligible
	}
	var out NodeEligibilityResponse
	return &out, c.write(ctx, http.MethodPut, "/node/"+segment(id)+"/eligibility", nil, &in, &out)
}

// Invite makes an invite for one device.
func (c *Client) Invite(ctx context.Context, r *InviteRequest) (*InviteResponse, error) {
	var out InviteResponse
	return &out, c.write(ctx, http.MethodPost, "/nodes/invite", nil, r, &out)
}

// Invites lists the invites that have not expired, spent ones included.
func (c *Client) Invites(ctx context.Context, q *QueryOptions) (out []*Invite, m QueryMeta, err error) {
	m, err = c.read(ctx, "/nodes/invites", q, nil, &out)
	return out, m, err
}

// RevokeInvite takes an invite back, by its ID or the beginning of it.
func (c *Client) RevokeInvite(ctx context.Context, id string) error {
	return c.write(ctx, http.MethodDelete, "/nodes/invite/"+segment(id), nil, nil, nil)
}

// SetStanding approves, quarantines or revokes a device.
func (c *Client) SetStanding(ctx context.Context, id fleet.NodeID, in *NodeStandingRequest) (*NodeStandingResponse, error) {
	var out NodeStandingResponse
	return &out, c.write(ctx, http.MethodPut, "/node/"+segment(id)+"/standing", nil, in, &out)
}

// NodeDrainRequest begins to empty a node, or, without a DrainSpec, stops that.
type NodeDrainRequest struct {
	NodeID       fleet.NodeID `json:",omitempty"`
	DrainSpec    *fleet.DrainSpec
	MarkEligible bool // after it was stopped: the node takes new work
}

// NodeDrainResponse answers it.
type NodeDrainResponse struct {
	NodeModifyIndex uint64
	EvalIDs         []fleet.EvalID
	EvalCreateIndex uint64
	WriteMeta
}

// Drain begins to empty a node, changes how, or stops it.
func (c *Client) Drain(ctx context.Context, id fleet.NodeID, in *NodeDrainRequest) (*NodeDrainResponse, error) {
	var out NodeDrainResponse
	return &out, c.write(ctx, http.MethodPut, "/node/"+segment(id)+"/drain", nil, in, &out)
}
