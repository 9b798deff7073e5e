package quicnet

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// deaf is a socket that sends and never hears.
type deaf struct{ net.PacketConn }

func (d deaf) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		if _, addr, err := d.PacketConn.ReadFrom(p); err != nil {
			return 0, addr, err
		}
	}
}

// Peers that begin a handshake and never go on keep their turns for a moment only; turns come back with the handshakes' ends.
func TestSilentPeersYieldTheirTurns(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, TurnsMax)
	for range TurnsMax {
		raw, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		e, err := Over(deaf{raw}, Options{Credentials: trust.Client{Source: f.node.Source(), Clock: f.region.Clock}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		go func() {
			_, err := e.Dial(ctx, f.server.Addr().String(), trust.ProtocolEdge)
			ended <- err
		}()
	}
	within(t, "silent handshakes in progress", func() bool { return f.server.handshakes.Load() >= TurnsMax })
	begun := time.Now()
	if f.dial(f.server.Addr().String()) {
		t.Error("the first link is resumed")
	}
	t.Logf("a handshake beside %d silent ones took %s", TurnsMax, time.Since(begun).Round(time.Millisecond))
	cancel()
	for range TurnsMax {
		if err := <-ended; err == nil {
			t.Error("a peer that hears nothing has a link")
		}
	}
	within(t, "all turns given back", func() bool { return len(f.server.turns) == 0 })
}

// An endpoint that closes does not wait for those that wait for their turn.
func TestCloseEndsTheWait(t *testing.T) {
	f := newFixture(t)
	for range TurnsMax {
		f.server.turns <- struct{}{} // nobody gives these back
	}
	failed := make(chan error, 1)
	go func() {
		_, err := f.client.Dial(t.Context(), f.server.Addr().String(), trust.ProtocolEdge)
		failed <- err
	}()
	within(t, "a handshake that waits", func() bool { return f.server.handshakes.Load() == 1 })
	if err := f.server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("a link to a closed endpoint")
	}
}

// TestFullSaysNoAtOnce: where there is no room, a client learns so without a retry before it.
func TestFullSaysNoAtOnce(t *testing.T) {
	f := newFixture(t)
	f.server.handshakes.Add(HandshakesMax)
	_, err := f.client.Dial(t.Context(), f.server.Addr().String(), trust.ProtocolEdge)
	if c, ok := link.Closed(err); !ok || c.Code != link.CodeBusy {
		t.Errorf("a full server answered %v; want busy", err)
	}
	if f.server.transport.VerifySourceAddress(f.client.Addr()) {
		t.Error("a full server asks for a proof of the address before it refuses")
	}
	f.server.handshakes.Add(HandshakesRetry - HandshakesMax)
	if !f.server.transport.VerifySourceAddress(f.client.Addr()) {
		t.Errorf("no proof of the address is asked for with %d handshakes in progress", HandshakesRetry)
	}
}

// within polls, for as long as a loaded machine may take.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	late := time.NewTimer(45 * time.Second)
	defer late.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatal("not within 45 s: " + what)
		}
	}
}
