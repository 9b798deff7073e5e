package metrics

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

func region() *state.View {
	s := state.New()
	x := s.Begin()
	x.SetRegion(state.Region{ID: fleet.UUID{1}, Epoch: 3, Brake: state.Brake{On: true}})
	for i, n := range []*state.Node{
		{Link: fleet.LinkOnline, Identity: &fleet.NodeIdentity{Standing: fleet.StandingApproved, CertExpiresAt: 2_000e9}},
		{Link: fleet.LinkLost, Identity: &fleet.NodeIdentity{Standing: fleet.StandingRevoked, CertExpiresAt: 1_000e9}},
		{Link: fleet.LinkOnline, Identity: &fleet.NodeIdentity{Standing: fleet.StandingQuarantined, CertExpiresAt: 3_000e9},
			Orphans: []state.Orphan{{Orphan: wire.Orphan{ID: fleet.UUID{9}}}}},
	} {
		n.Key, n.ID, n.Spec = state.NodeKey(i+1), fleet.UUID{byte(i + 1)}, &fleet.Node{}
		n.Identity.Peer = fleet.PeerOfNode(n.ID)
		x.PutIdentity(n.Identity, 7)
		x.PutNode(*n, 7)
	}
	x.Commit(7)
	return s.View()
}

func TestScrape(t *testing.T) {
	view := region()
	var carried traffic.Tally
	carried[traffic.Beat] = traffic.Count{Sent: 5, Received: 70}
	w := httptest.NewRecorder()
	Handler(Source{
		View: func() *state.View { return view },
		Links: func() map[string]Transport {
			return map[string]Transport{"quic": {2, link.Handshakes{Full: 4, Resumed: 6}}}
		},
		Carried: func() traffic.Tally { return carried },
		Refused: func() map[string]uint64 { return map[string]uint64{"nonsense": 8} },
		Expires: func() (ca, server time.Time) { return time.Unix(5_000, 0), time.Unix(4_000, 0) },
		Leads:   func() bool { return true },
		Plans:   func() Plans { return Plans{Accepted: 30, Refused: 2, Refusing: 1} },
	}).ServeHTTP(w, httptest.NewRequest("GET", "/v1/metrics", nil))
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, want := range []string{
		"dunlin_index 7", "dunlin_leader 1", "dunlin_region_epoch 3", "dunlin_loss_brake 1",
		`dunlin_nodes{state="online"} 2`, `dunlin_nodes{state="lost"} 1`, `dunlin_nodes{state="late"} 0`,
		"dunlin_nodes_quarantined 1", "dunlin_orphans 1", `dunlin_rows{table="jobs"} 0`,
		`dunlin_links{transport="quic"} 2`, `dunlin_handshakes_total{transport="quic",result="resumed"} 6`,
		`dunlin_link_bytes_total{class="beat",direction="received"} 70`, `dunlin_refused_total{kind="nonsense"} 8`,
		// A revoked certificate ends nothing that anybody waits for.
		`dunlin_certificate_expires_seconds{of="node"} 2000`, `dunlin_certificate_expires_seconds{of="ca"} 5000`,
		`dunlin_plan_placements_total{result="accepted"} 30`, `dunlin_plan_placements_total{result="refused"} 2`, "dunlin_nodes_refusing 1",
		"go_goroutines ",
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("the scrape lacks %q", want)
		}
	}
}
