package api

import (
	"context"
	"net/http"
)

// Gateway is a certificate by which a link speaks for many devices.
type Gateway struct {
	ID            string
	Standing      string // fleet.StandingApproved or StandingRevoked
	Reason        string `json:",omitempty"` // of a revocation
	StandingAt    int64  `json:",omitempty"` // Unix nanoseconds of its last change
	CertExpiresAt int64  // of the newest certificate known, Unix nanoseconds
}

// GatewayRevokeRequest cuts a gateway off for good.
type GatewayRevokeRequest struct {
	Reason string // at most fleet.StandingReasonBytesMax bytes; may be empty
}

// Gateways lists the gateways that have joined or linked, revoked ones included.
func (c *Client) Gateways(ctx context.Context, q *QueryOptions) (out []*Gateway, m QueryMeta, err error) {
	m, err = c.read(ctx, "/gateways", q, nil, &out)
	return out, m, err
}

// RevokeGateway cuts a gateway off at once and for good.
func (c *Client) RevokeGateway(ctx context.Context, id string, in *GatewayRevokeRequest) (*Gateway, error) {
	var out Gateway
	return &out, c.write(ctx, http.MethodPut, "/gateway/"+segment(id)+"/revoke", nil, in, &out)
}
