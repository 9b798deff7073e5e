package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/api"
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
	for len(a.blocking) == 0 { // until the query waits
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-asked; err == nil {
		t.Error("a query that was cut off reported success")
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
