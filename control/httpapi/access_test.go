package httpapi

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestAccess(t *testing.T) {
	loop, far, open := Access{Loopback: true, Token: "secret"}, Access{Token: "secret"}, Access{Open: true}
	const local, remote = "127.0.0.1:5", "192.0.2.7:5"
	for _, c := range []struct {
		name       string
		access     Access
		from, host string
		headers    map[string]string
		cert       string // URI of the client's certificate
		words      string // of the refusal; empty: let in
	}{
		{name: "loopback", access: loop, from: local, host: "127.0.0.1:4646"},
		{name: "loopback v6", access: loop, from: "[::1]:5", host: "[::1]:4646"},
		{name: "loopback by localhost", access: loop, from: local, host: "LocalHost:4646"},
		{name: "loopback with a stale token", access: loop, from: local, host: "127.0.0.1:4646", headers: map[string]string{"X-Nomad-Token": "old"}},
		{name: "rebound name", access: loop, from: local, host: "evil.example:4646", words: "evil.example"},
		{name: "rebound name with token", access: loop, from: local, host: "evil.example:4646", headers: map[string]string{"X-Nomad-Token": "secret"}},
		{name: "other origin", access: loop, from: local, host: "127.0.0.1:4646", headers: map[string]string{"Origin": "http://evil.example"}, words: "other sites"},
		{name: "no origin to speak of", access: loop, from: local, host: "127.0.0.1:4646", headers: map[string]string{"Origin": "null"}, words: "other sites"},
		{name: "same origin", access: loop, from: local, host: "127.0.0.1:4646", headers: map[string]string{"Origin": "http://127.0.0.1:4646"}},
		{name: "cross-site navigation", access: loop, from: local, host: "127.0.0.1:4646", headers: map[string]string{"Sec-Fetch-Site": "cross-site"}, words: "other sites"},
		{name: "other origin, even open", access: open, from: local, host: "127.0.0.1:4646", headers: map[string]string{"Origin": "http://evil.example"}, words: "other sites"},
		{name: "passed on by a proxy", access: loop, from: local, host: "127.0.0.1:4646", headers: map[string]string{"X-Forwarded-For": "192.0.2.1"}, words: "management token"},
		{name: "remote in loopback mode", access: loop, from: remote, host: "127.0.0.1:4646", words: "management token"},
		{name: "loopback without the mode", access: far, from: local, host: "127.0.0.1:4646", words: "management token"},
		{name: "token", access: far, from: remote, host: "dunlin.example", headers: map[string]string{"X-Nomad-Token": "secret"}},
		{name: "bearer", access: far, from: remote, host: "dunlin.example", headers: map[string]string{"Authorization": "bearer secret"}},
		{name: "basic", access: far, from: remote, host: "dunlin.example", headers: map[string]string{"Authorization": "Basic secret"}, words: "management token"},
		{name: "wrong token", access: far, from: remote, host: "dunlin.example", headers: map[string]string{"X-Nomad-Token": "secre"}, words: "not the management token"},
		{name: "no token made", access: Access{}, from: remote, host: "dunlin.example", headers: map[string]string{"X-Nomad-Token": ""}, words: "management token"},
		{name: "open", access: open, from: remote, host: "dunlin.example"},
		{name: "operator", access: far, from: remote, host: "h", cert: "spiffe://eu/operator/ann"},
		{name: "server", access: far, from: remote, host: "h", cert: "spiffe://eu/server/s1"},
		{name: "node", access: far, from: remote, host: "h", cert: "spiffe://eu/node/n1", words: "is a node's"},
		{name: "other region", access: far, from: remote, host: "h", cert: "spiffe://us/operator/ann", words: `"us"`},
		{name: "no identity", access: far, from: remote, host: "h", cert: "https://x/y", words: "certificate"},
		{name: "node with token", access: far, from: remote, host: "h", cert: "spiffe://eu/node/n1", headers: map[string]string{"X-Nomad-Token": "secret"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRegion(t)
			r := httptest.NewRequest("GET", "/v1/jobs", nil)
			r.RemoteAddr, r.Host = c.from, c.host
			for k, v := range c.headers {
				r.Header.Set(k, v)
			}
			if c.cert != "" {
				u, _ := url.Parse(c.cert)
				r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{URIs: []*url.URL{u}}}}}
			}
			w := httptest.NewRecorder()
			g.api(c.access).ServeHTTP(w, r)
			if c.words == "" && w.Code != http.StatusOK {
				t.Errorf("refused with %d: %s", w.Code, w.Body)
			}
			if c.words != "" && (w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), c.words)) {
				t.Errorf("%d %q, want 403 with %q", w.Code, w.Body, c.words)
			}
		})
	}
}

// TestUnverifiedCertificate: a certificate that nobody verified proves nothing.
func TestUnverifiedCertificate(t *testing.T) {
	u, _ := url.Parse("spiffe://eu/operator/ann")
	r := httptest.NewRequest("GET", "/v1/jobs", nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{URIs: []*url.URL{u}}}}
	w := httptest.NewRecorder()
	newRegion(t).api(Access{}).ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("status %d", w.Code)
	}
}

// TestAccessComesFirst: who is not let in learns nothing about paths.
func TestAccessComesFirst(t *testing.T) {
	a := newRegion(t).api(Access{})
	for _, target := range []string{"/v1/nothing", "/v1/system/gc", "/v1/jobs", "/"} {
		if w := do(a, "PATCH", target, ""); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
}
