package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dunlin-edge/dunlin/fleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNew(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config Config
		want   string // the base, or words of the error
		fails  bool
	}{
		{Config{}, "http://127.0.0.1:4646", false},
		{Config{Address: "10.0.0.1:4646"}, "http://10.0.0.1:4646", false},
		{Config{Address: "https://h:1/dunlin/?x=y"}, "https://h:1/dunlin", false},
		{Config{Address: "ftp://h"}, "ftp://h", true},
		{Config{Address: "http://"}, "http://", true},
		{Config{Address: "http://[::1"}, "[::1", true},
		{Config{CAFile: "/nowhere.pem"}, "/nowhere.pem", true},
		{Config{CAFile: junk}, "no certificate", true},
		{Config{CertFile: junk}, "its key", true},
		{Config{CertFile: junk, KeyFile: junk}, "junk.pem", true},
	} {
		client, err := New(c.config)
		switch {
		case c.fails && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: error %v, want %q", c.config, err, c.want)
		case !c.fails && err != nil:
			t.Errorf("%+v: %v", c.config, err)
		case !c.fails && client.Address() != c.want:
			t.Errorf("%+v: base %s, want %s", c.config, client.Address(), c.want)
		}
	}
	if u, err := parseAddress(Config{Address: "h:1", CAFile: "ca.pem"}); err != nil || u.Scheme != "https" {
		t.Errorf("TLS files gave %v, %v", u, err)
	}
}

// serve answers every request with f and gives a client of it.
func serve(t *testing.T, c Config, f http.HandlerFunc) *Client {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	c.Address = s.URL
	client, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestRequestsCarryOptions(t *testing.T) {
	c := serve(t, Config{Region: "eu", Token: "secret"}, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		got := r.URL.EscapedPath() + " " + q.Get("region") + " " + q.Get("index") + " " + q.Get("wait") + " " + q.Get("prefix") + " " + r.Header.Get(TokenHeader)
		if want := "/v1/job/a%20b%2Fc eu 7 10m0s p secret"; got != want {
			t.Errorf("request %q, want %q", got, want)
		}
		w.Header().Set("X-Nomad-Index", "9")
		w.Header().Set("X-Nomad-LastContact", "20")
		w.Header().Set("X-Nomad-KnownLeader", "true")
		_, _ = io.WriteString(w, `{"ID":"a b/c"}`)
	})
	j, m, err := c.Job(t.Context(), "a b/c", &QueryOptions{Index: 7, Wait: time.Hour, Prefix: "p"})
	if err != nil || j.ID != "a b/c" || m != (QueryMeta{9, 20 * time.Millisecond, true}) {
		t.Errorf("job %+v, meta %+v, %v", j, m, err)
	}
}

func TestErrors(t *testing.T) {
	c := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/job/") {
			http.Error(w, "there is no job", 404)
			return
		}
		_, _ = io.WriteString(w, "<html>")
	})
	_, _, err := c.Job(t.Context(), "x", nil)
	if !IsNotFound(err) || IsStatus(err, 400) || err.Error() != "there is no job" {
		t.Errorf("404 gave %v", err)
	}
	if _, _, err := c.Nodes(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "/nodes does not decode") {
		t.Errorf("junk gave %v", err)
	}
	if e := (&Error{Status: 502}).Error(); !strings.Contains(e, "502 Bad Gateway") {
		t.Errorf("an error without words says %q", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Leader(ctx); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("a canceled call gave %v", err)
	}
}

func TestPushSendsBytesAndSize(t *testing.T) {
	c := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || string(b) != "bytes" || r.ContentLength != 5 || r.Method != "PUT" || r.URL.Query().Get("name") != "a.wasm" {
			t.Errorf("%s %s: %q, %d bytes, %v", r.Method, r.URL, b, r.ContentLength, err)
		}
		_, _ = io.WriteString(w, `{"Digest":"sha256:x"}`)
	})
	// An io.Reader of unknown kind: net/http cannot see its size by itself.
	m, err := c.PushModule(t.Context(), "sha256:x", "a.wasm", io.MultiReader(bytes.NewReader([]byte("bytes"))), 5)
	if err != nil || m.Digest != "sha256:x" {
		t.Errorf("push %+v, %v", m, err)
	}
}

func TestHasModule(t *testing.T) {
	c := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != "HEAD":
			t.Errorf("asked with %s", r.Method)
		case strings.HasSuffix(r.URL.Path, "broken"):
			w.WriteHeader(500)
		case !strings.HasSuffix(r.URL.Path, "here"):
			w.WriteHeader(404)
		}
	})
	for digest, want := range map[string]bool{"here": true, "gone": false} {
		if got, err := c.HasModule(t.Context(), digest); got != want || err != nil {
			t.Errorf("%s: %v, %v", digest, got, err)
		}
	}
	if _, err := c.HasModule(t.Context(), "broken"); !IsStatus(err, 500) {
		t.Errorf("a failure gave %v", err)
	}
}

func TestEligibilityWord(t *testing.T) {
	var body string
	c := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
		_, _ = io.WriteString(w, "{}")
	})
	for eligible, word := range map[bool]string{true: fleet.NodeEligible, false: fleet.NodeIneligible} {
		if _, err := c.SetEligible(t.Context(), "n", eligible); err != nil || !strings.Contains(body, `"`+word+`"`) {
			t.Errorf("%v sent %s, %v", eligible, body, err)
		}
	}
}
