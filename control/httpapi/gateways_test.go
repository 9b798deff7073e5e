package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

func TestGateways(t *testing.T) {
	g := newRegion(t)
	c := g.client(api.Config{})
	g.node(9, "pi-9", fleet.LinkOnline)
	g.commit(func(x *state.Txn, index uint64) {
		for _, peer := range []string{fleet.PeerOfGateway("sim"), fleet.PeerOfGateway("sim2"), fleet.PeerOfNode(id(9))} {
			x.PutIdentity(&fleet.NodeIdentity{Peer: peer, KeyHash: "k", CertExpiresAt: 5, Standing: fleet.StandingApproved}, index)
		}
	})
	list := func() (words []string) {
		t.Helper()
		all, _, err := c.Gateways(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range all {
			words = append(words, g.ID+" "+g.Standing+" "+g.Reason)
		}
		return words
	}
	if got := strings.Join(list(), "; "); got != "sim approved ; sim2 approved " {
		t.Errorf("before: %s", got)
	}
	out, err := c.RevokeGateway(t.Context(), "sim", &api.GatewayRevokeRequest{Reason: "copied"})
	if err != nil || out.ID != "sim" || out.Standing != fleet.StandingRevoked || out.Reason != "copied" || out.StandingAt == 0 || out.CertExpiresAt != 5 {
		t.Errorf("revoked %+v, %v", out, err)
	}
	if got := strings.Join(list(), "; "); got != "sim revoked copied; sim2 approved " {
		t.Errorf("after: %s", got)
	}
	for name, bad := range map[string]struct {
		reason string
		status int
	}{
		"si":                {"", http.StatusNotFound},
		id(9).String():      {"", http.StatusNotFound}, // a node's, which has its own verb
		"sim2":              {strings.Repeat("x", fleet.StandingReasonBytesMax+1), http.StatusBadRequest},
		"a/../../v1/agent/": {"", http.StatusNotFound},
	} {
		if _, err := c.RevokeGateway(t.Context(), name, &api.GatewayRevokeRequest{Reason: bad.reason}); !api.IsStatus(err, bad.status) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
