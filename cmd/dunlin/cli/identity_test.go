package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/cmd/dunlin/config"
	"github.com/dunlin-edge/dunlin/edge/statedb"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// wrote is a request that changes something, as a region got it.
type wrote struct{ method, path, body string }

// identities plays a region with a device, two gateways and two invites.
func identities(t *testing.T) (address map[string]string, got *[]wrote) {
	t.Helper()
	got = &[]wrote{}
	mux := http.NewServeMux()
	read := func(path string, v any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Nomad-Index", "7")
			if err := json.NewEncoder(w).Encode(v); err != nil {
				t.Error(err)
			}
		})
	}
	write := func(pattern string, v any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			*got = append(*got, wrote{r.Method, r.URL.Path, strings.TrimSpace(string(b))})
			if strings.HasSuffix(r.URL.Path, "/gone") || strings.HasSuffix(r.URL.Path, "/gone/revoke") {
				http.Error(w, "there is none of that name", http.StatusNotFound)
				return
			}
			if err := json.NewEncoder(w).Encode(v); err != nil {
				t.Error(err)
			}
		})
	}
	one := fleet.NodeID("11111111-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
	for _, word := range []string{"kiosk-1", "11111111"} {
		read("/v1/node/"+word, &fleet.Node{ID: one, Name: "kiosk-1"})
	}
	write("PUT /v1/node/{id}/standing", &api.NodeStandingResponse{EvalIDs: []fleet.EvalID{}})
	read("/v1/nodes/invites", []*api.Invite{
		{ID: "abcd1234", Role: "node", Datacenter: "dc1", Pool: "kiosks", Count: 5, Left: 3, ExpiresAt: time.Now().Add(time.Hour).UnixNano(), UsedBy: one},
		{ID: "ffff0000", Role: "gateway", Name: "hall", Count: 1, Left: 1, ExpiresAt: time.Now().Add(time.Hour).UnixNano()},
	})
	write("DELETE /v1/nodes/invite/{id}", &api.Invite{})
	read("/v1/gateways", []*api.Gateway{{ID: "sim", Standing: fleet.StandingApproved, CertExpiresAt: time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC).UnixNano()},
		{ID: "old", Standing: fleet.StandingRevoked, Reason: "its key was copied"}})
	write("PUT /v1/gateway/{id}/revoke", &api.Gateway{ID: "sim"})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return map[string]string{"DUNLIN_ADDR": srv.URL}, got
}

func TestIdentityVerbs(t *testing.T) {
	const standing = "/v1/node/11111111-aaaa-4aaa-8aaa-aaaaaaaaaaaa/standing"
	for _, c := range []struct {
		line  string
		code  int
		out   []string // words of what is printed
		wrote []wrote
		err   string
	}{
		{line: "node approve kiosk-1", out: []string{"node kiosk-1 takes work"}, wrote: []wrote{{"PUT", standing, `"Standing":"approved"`}}},
		{line: "node quarantine -reason odd kiosk-1", out: []string{"is in quarantine; what runs keeps running"},
			wrote: []wrote{{"PUT", standing, `{"Standing":"quarantined","Reason":"odd"}`}}},
		{line: "node revoke -reason stolen 11111111", out: []string{"node kiosk-1 is revoked"},
			wrote: []wrote{{"PUT", standing, `{"Standing":"revoked","Reason":"stolen"}`}}},
		{line: "node revoke -json kiosk-1", out: []string{`"EvalIDs": []`}, wrote: []wrote{{"PUT", standing, `"Standing":"revoked"`}}},
		{line: "node revoke", code: ExitUsage, err: "needs a node"},
		{line: "node revoke kiosk-7", code: ExitFailed, err: `no node has the name or ID "kiosk-7"`},
		{line: "node quarantine kiosk-1 kiosk-12", code: ExitUsage, err: `"kiosk-12"`},
		{line: "node invite list", out: []string{"abcd1234", "kiosks", "3 of 5", "11111111", "ffff0000", "gateway", "hall", "1 of 1"}},
		{line: "node invite list -json", out: []string{`"ID": "abcd1234"`, `"Left": 3`}},
		{line: "node invite list x", code: ExitUsage, err: "takes no argument"},
		{line: "node invite revoke abcd1234", out: []string{"lets nobody in"}, wrote: []wrote{{"DELETE", "/v1/nodes/invite/abcd1234", ""}}},
		{line: "node invite revoke gone", code: ExitFailed, err: "none of that name", wrote: []wrote{{"DELETE", "/v1/nodes/invite/gone", ""}}},
		{line: "node invite revoke", code: ExitUsage, err: "needs an invite's ID"},
		{line: "node gateway list", out: []string{"sim", "approved", "2031-05-06", "old", "revoked", "its key was copied"}},
		{line: "node gateway list -json", out: []string{`"ID": "sim"`}},
		{line: "node gateway revoke -reason copied sim", out: []string{"gateway sim is revoked"},
			wrote: []wrote{{"PUT", "/v1/gateway/sim/revoke", `{"Reason":"copied"}`}}},
		{line: "node gateway revoke gone", code: ExitFailed, err: "none of that name", wrote: []wrote{{"PUT", "/v1/gateway/gone/revoke", ""}}},
		{line: "node gateway revoke", code: ExitUsage, err: "needs a gateway's ID"},
	} {
		environ, got := identities(t)
		r := invoke(t, environ, strings.Fields(c.line)...)
		if r.code != c.code || !strings.Contains(r.err, c.err) || c.code == ExitOK && r.err != "" {
			t.Errorf("%s: exit %d, %q; want %d and %q", c.line, r.code, r.err, c.code, c.err)
		}
		for _, word := range c.out {
			if !strings.Contains(r.out, word) {
				t.Errorf("%s: the output lacks %q:\n%s", c.line, word, r.out)
			}
		}
		if len(*got) != len(c.wrote) {
			t.Errorf("%s: the region was told %v", c.line, *got)
			continue
		}
		for i, w := range *got {
			if want := c.wrote[i]; w.method != want.method || w.path != want.path || !strings.Contains(w.body, want.body) {
				t.Errorf("%s: the region was told %v; want %v", c.line, w, want)
			}
		}
	}
}

// TestAgentGeneralize: a device's folder becomes one of an image; what would end in two devices with one identity is refused.
func TestAgentGeneralize(t *testing.T) {
	const device = "name = \"kiosk-1\"\nregion = \"global\"\nclient {\n  enabled = true\n  servers = [\"10.0.0.1\"]\n}\n"
	token, _, err := trust.NewToken()
	if err != nil {
		t.Fatal(err)
	}
	invite, err := trust.EncodeInvite(trust.Invite{
		Region: "global", Addresses: []string{"10.0.0.1:4647"}, Fingerprint: strings.Repeat("ab", 32), Token: token, Expires: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args    []string // after -data-dir DIR
		prepare func(t *testing.T, dir string)
		code    int
		out     string
		err     string
	}{
		"plain":            {nil, nil, ExitOK, "on each copy run: dunlin join INVITE", ""},
		"with an invite":   {[]string{"-invite", invite}, nil, ExitOK, "each copy joins by the invite", ""},
		"a bad invite":     {[]string{"-invite", "dunlin1.x"}, nil, ExitUsage, "", "invite"},
		"an argument":      {[]string{"x"}, nil, ExitUsage, "", "takes no argument"},
		"a server's":       {nil, func(t *testing.T, dir string) { mkdir(t, dir, "server") }, ExitFailed, "", "holds a server too"},
		"an agent runs":    {nil, holdState, ExitFailed, "", "an agent runs"},
		"no configuration": {nil, func(t *testing.T, dir string) { remove(t, dir, config.AgentFile) }, ExitOK, "holds no identity", ""},
		"a broken one": {nil, func(t *testing.T, dir string) { write(t, dir, config.AgentFile, "name = {") }, ExitFailed, "",
			config.AgentFile},
		"no folder": {nil, func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}, ExitFailed, "", "no data folder"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			mkdir(t, dir, config.TLSDir)
			for _, file := range append(trust.IdentityFiles(), trust.CAFile) {
				write(t, filepath.Join(dir, config.TLSDir), file, "x")
			}
			write(t, dir, config.AgentFile, device)
			if c.prepare != nil {
				c.prepare(t, dir)
			}
			r := invoke(t, nil, append([]string{"agent", "generalize", "-data-dir", dir}, c.args...)...)
			if r.code != c.code || !strings.Contains(r.out, c.out) || !strings.Contains(r.err, c.err) {
				t.Fatalf("exit %d, %q, %q", r.code, r.out, r.err)
			}
			_, err := os.Stat(filepath.Join(dir, config.TLSDir, trust.KeyFile))
			if gone := err != nil; c.code == ExitOK != gone && name != "a broken one" && name != "no folder" {
				t.Errorf("the key is gone: %t", gone)
			}
			if c.code != ExitOK {
				return
			}
			for _, file := range trust.IdentityFiles() {
				if _, err := os.Stat(filepath.Join(dir, config.TLSDir, file)); err == nil {
					t.Errorf("%s is still there", file)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, config.TLSDir, trust.CAFile)); err != nil {
				t.Errorf("the region's CA: %v", err)
			}
			if text, err := os.ReadFile(filepath.Join(dir, config.AgentFile)); err == nil && (strings.Contains(string(text), "kiosk-1") || !strings.Contains(string(text), "10.0.0.1")) {
				t.Errorf("the configuration is %s", text)
			}
			text, err := os.ReadFile(filepath.Join(dir, inviteFile))
			if wants := len(c.args) > 0; wants != (err == nil) || wants && strings.TrimSpace(string(text)) != invite {
				t.Errorf("the invite in the folder: %q, %v", text, err)
			}
		})
	}
}

func mkdir(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// holdState is an agent as the folder sees it.
func holdState(t *testing.T, dir string) {
	t.Helper()
	release, err := statedb.Hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
}
