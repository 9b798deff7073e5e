package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// TestServeEnds: the end of the server ends those who wait, and Serve returns
// after the last of them.
func TestServeEnds(t *testing.T) {
	g := newRegion(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := g.api(Access{Loopback: true})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, nil, a, slog.New(slog.DiscardHandler)) }()
	c, err := api.New(api.Config{Address: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Leader(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := make(chan error, 1)
	go func() {
		_, _, err := c.Nodes(t.Context(), &api.QueryOptions{Index: 100, Wait: time.Hour})
		asked <- err
	}()
	soon, stop := context.WithTimeout(t.Context(), 45*time.Second)
	defer stop()
	for tick := time.Tick(time.Millisecond); len(a.blocking) == 0; { // until the query waits
		select {
		case <-tick:
		case <-soon.Done():
			t.Fatal("the query does not wait")
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-asked; !api.IsStatus(err, http.StatusServiceUnavailable) {
		t.Errorf("a query that was cut off gave %v", err)
	}
	if _, err := c.Leader(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer from http://127.0.0.1") {
		t.Errorf("a closed server gave %v", err)
	}
}

type failing struct{ net.Listener }

func (failing) Accept() (net.Conn, error) { return nil, errors.New("out of files") }

func TestServeTellsWhy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), failing{l}, nil, http.NotFoundHandler(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "out of files") {
		t.Errorf("Serve: %v", err)
	}
}

// TestServeTLS: an operator's certificate opens the API, a node's does not, and
// with neither the token does.
func TestServeTLS(t *testing.T) {
	now, dir := time.Now(), t.TempDir()
	ca, err := trust.NewCA("eu", now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sign := func(kind trust.Kind) *trust.Material {
		key, err := trust.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		cert, err := ca.Sign(key.Public(), trust.Identity{Region: "eu", Kind: kind, ID: "x1"}, now, time.Hour, nil, []net.IP{net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		m, err := trust.NewMaterial(ca.Cert, cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	secure := trust.HTTPServerTLS(sign(trust.KindServer).Source(), trust.NewClock(time.Now))
	go func() {
		served <- Serve(ctx, l, secure, newRegion(t).api(Access{Token: "secret"}), slog.New(slog.DiscardHandler))
	}()
	for _, c := range []struct {
		name, token string
		kind        trust.Kind
		refused     string
	}{
		{name: "operator", kind: trust.KindOperator},
		{name: "node", kind: trust.KindNode, refused: "is a node's"},
		{name: "token", token: "secret"},
		{name: "nothing", refused: "needs the management token"},
	} {
		config := api.Config{Address: l.Addr().String(), Token: c.token, CAFile: write("ca.pem", trust.EncodeCert(ca.Cert))}
		if c.kind != "" {
			m := sign(c.kind)
			key, err := trust.EncodeKey(m.Key)
			if err != nil {
				t.Fatal(err)
			}
			config.CertFile, config.KeyFile = write("cert.pem", trust.EncodeCert(m.Cert)), write("key.pem", key)
		}
		client, err := api.New(config)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Leader(t.Context())
		client.Close()
		if c.refused == "" && err != nil || c.refused != "" && (!api.IsStatus(err, http.StatusForbidden) || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.refused)
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
