package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

// TestNodeDrain goes through the verb against a server that ends the drain at the
// second look.
func TestNodeDrain(t *testing.T) {
	var asked api.NodeDrainRequest
	looks := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var out any = &fleet.Node{ID: "11111111-1111-4111-8111-111111111111", Name: "pi-1", NodeBookkeeping: fleet.NodeBookkeeping{Drain: looks == 1}}
		switch {
		case strings.HasSuffix(r.URL.Path, "/drain"):
			asked = api.NodeDrainRequest{}
			if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
				t.Error(err)
			}
			out = &api.NodeDrainResponse{}
		case strings.HasSuffix(r.URL.Path, "/allocations"):
			looks++
			a := &fleet.Allocation{ID: "22222222-2222-4222-8222-222222222222", Name: "web.g[0]", ClientStatus: fleet.ClientRunning, DesiredStatus: fleet.DesiredRun}
			if looks > 1 {
				a.ClientStatus, a.DesiredStatus = fleet.ClientComplete, fleet.DesiredStop
			}
			out = []*fleet.Allocation{a}
		}
		w.Header().Set("X-Nomad-Index", "5")
		_ = json.NewEncoder(w).Encode(out)
	}))
	defer server.Close()
	environ := map[string]string{"DUNLIN_ADDR": server.URL}
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"-enable", ExitOK, "node pi-1 is drained, within 1h"},
		{"-enable -force", ExitOK, "node pi-1 is drained at once"},
		{"-enable -no-deadline -ignore-system", ExitOK, "node pi-1 is drained, for as long as it takes"},
		{"-disable", ExitOK, "not drained any more, and takes new work"},
		{"-disable -keep-ineligible", ExitOK, "takes no new work"},
		{"", ExitUsage, "give either -enable or -disable"},
		{"-enable -force -no-deadline", ExitUsage, "give one of"},
		{"-disable -force", ExitUsage, "go with -enable"},
		{"-enable -deadline 0s", ExitUsage, "give a time"},
	} {
		r := invoke(t, environ, append([]string{"node", "drain", "pi-1"}, strings.Fields(tt.args)...)...)
		if r.code != tt.code || !strings.Contains(r.out+r.err, tt.want) {
			t.Errorf("%q: code %d, %q %q; want %d, %q", tt.args, r.code, r.out, r.err, tt.code, tt.want)
		}
	}
	r := invoke(t, environ, "node", "drain", "-enable", "-deadline", "5m", "-monitor", "pi-1")
	if r.code != ExitOK || !strings.Contains(r.out, "web.g[0]: complete\nthe drain of node pi-1 is over") || asked.DrainSpec.Deadline.String() != "5m0s" {
		t.Errorf("%d %q %q, asked %+v", r.code, r.out, r.err, asked.DrainSpec)
	}
}
