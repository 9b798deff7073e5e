package quicnet

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/linktest"
	"github.com/dunlin-edge/dunlin/wire/trust"
	"github.com/quic-go/quic-go"
)

// fixture is a server whose ticket key is kept over restarts, and a client.
type fixture struct {
	t      *testing.T
	region *linktest.Region
	node   *trust.Material // of the moment
	client *Endpoint
	server *Endpoint
	later  bool // serve leaves handshakes unanswered
	key    byte // of the server's tickets
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, region: linktest.NewRegion(t, linktest.RegionName)}
	f.node = f.region.Issue(t, trust.KindNode, "n1", time.Now())
	f.server = f.serve("127.0.0.1:0")
	source := func() *trust.Material { return f.node }
	client, err := Open("", Options{Credentials: trust.Client{Source: source, Clock: f.region.Clock}})
	if err != nil {
		t.Fatal(err)
	}
	f.client = client
	t.Cleanup(func() { f.client.Close() })
	return f
}

func (f *fixture) serve(address string) *Endpoint {
	f.t.Helper()
	conf, err := trust.ServerTLS(trust.ServerOptions{Source: f.region.Server.Source(), Clock: f.region.Clock,
		Protocols: []string{trust.ProtocolEdge}, TicketKey: [32]byte{1, f.key}})
	if err != nil {
		f.t.Fatal(err)
	}
	e, err := Open(address, Options{ServerTLS: conf, Later: f.later})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { e.Close() })
	return e
}

// dial is meet for those who ask only whether the link was resumed.
func (f *fixture) dial(address string) (resumed bool) {
	f.t.Helper()
	return f.meet(address).DidResume
}

// meet makes a link, waits until its tickets have come, and tells about its handshake.
func (f *fixture) meet(address string) tls.ConnectionState {
	f.t.Helper()
	l, err := f.client.Dial(f.t.Context(), address, trust.ProtocolEdge)
	if err != nil {
		f.t.Fatal(err)
	}
	listener, err := f.server.Listener(trust.ProtocolEdge)
	if err != nil {
		f.t.Fatal(err)
	}
	accepted, err := listener.Accept(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	if accepted.Peer() != f.node.Identity {
		f.t.Errorf("the server sees %s; want %s", accepted.Peer(), f.node.Identity)
	}
	// The tickets travel before the server's first datagram.
	if err := accepted.SendDatagram([]byte("x")); err != nil {
		f.t.Fatal(err)
	}
	if _, err := l.ReceiveDatagram(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	return l.(*quicLink).conn.ConnectionState().TLS
}

func TestResumption(t *testing.T) {
	f := newFixture(t)
	address := f.server.Addr().String()
	if f.dial(address) {
		t.Error("the first link is resumed")
	}
	if !f.dial(address) {
		t.Error("the second link is a full handshake")
	}
	f.server.Close()
	f.server = f.serve(address)
	if !f.dial(address) {
		t.Error("a full handshake after the server's restart, though its ticket key was kept")
	}
	if h := f.server.Handshakes(); h.Full != 0 || h.Resumed != 1 {
		t.Errorf("the server that came back counts %+v; want one resumed", h)
	}
	// A new certificate must not be hidden by a session of the old one.
	f.node = f.region.Issue(t, trust.KindNode, "n2", time.Now())
	if f.dial(address) {
		t.Error("a session of the old identity was resumed with the new one")
	}
}

// A link is agreed upon with the key exchange that withstands quantum computers, or takes up a session that was: nothing else.
func TestOnlyAResumedLinkGoesWithoutTheHeavyKeyExchange(t *testing.T) {
	f := newFixture(t)
	address := f.server.Addr().String()
	if s := f.meet(address); s.CurveID != tls.X25519MLKEM768 || s.DidResume {
		t.Errorf("the first link: %s, resumed: %t", s.CurveID, s.DidResume)
	}
	for range 2 { // the second takes up the session of the first, and it that of the link before
		if s := f.meet(address); s.CurveID != tls.X25519 || !s.DidResume {
			t.Errorf("a link that takes up a session: %s, resumed: %t", s.CurveID, s.DidResume)
		}
	}
	// Nobody answers: the session is there when somebody does.
	f.server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := f.client.Dial(ctx, address, trust.ProtocolEdge); !errors.Is(err, link.ErrNoAnswer) {
		t.Errorf("a server that is away: %v; want no answer", err)
	}
	f.server = f.serve(address)
	if s := f.meet(address); s.CurveID != tls.X25519 || !s.DidResume {
		t.Errorf("a server that is back: %s, resumed: %t", s.CurveID, s.DidResume)
	}
	// Nor does a server that has no room cost the session.
	f.server.handshakes.Add(HandshakesMax)
	_, err := f.client.Dial(t.Context(), address, trust.ProtocolEdge)
	if c, ok := link.Closed(err); !ok || c.Code != link.CodeBusy {
		t.Errorf("a full server: %v; want busy", err)
	}
	f.server.handshakes.Add(-HandshakesMax)
	if s := f.meet(address); s.CurveID != tls.X25519 || !s.DidResume {
		t.Errorf("a server that has room again: %s, resumed: %t", s.CurveID, s.DidResume)
	}
	// A server that cannot read the ticket gets a handshake from the beginning.
	f.server.Close()
	f.key = 2
	f.server = f.serve(address)
	if s := f.meet(address); s.CurveID != tls.X25519MLKEM768 || s.DidResume {
		t.Errorf("a server with another ticket key: %s, resumed: %t", s.CurveID, s.DidResume)
	}
	if s := f.meet(address); s.CurveID != tls.X25519 || !s.DidResume {
		t.Errorf("the same server again: %s, resumed: %t", s.CurveID, s.DidResume)
	}
}

// TestEarlyDataIsNotTaken: a peer that has a session may resume it, and nothing that it sends before the handshake has ended is heard.
// Such packets can be recorded and sent again by anybody on the way.
func TestEarlyDataIsNotTaken(t *testing.T) {
	f := newFixture(t)
	address := f.server.Addr().String()
	f.dial(address)
	conf, err := f.client.options.Credentials.TLS(trust.ProtocolEdge)
	if err == nil {
		err = trust.ScopedSessions(conf, f.client.sessions, trust.ProtocolEdge)
	}
	if err != nil {
		t.Fatal(err)
	}
	conn, err := quic.DialAddrEarly(t.Context(), address, conf, dialConfig(link.DefaultProfile(trust.ProtocolEdge)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseWithError(0, "") //nolint:errcheck // nothing is awaited of it
	select {
	case <-conn.HandshakeComplete():
	case <-conn.Context().Done():
		t.Fatal(context.Cause(conn.Context()))
	}
	if s := conn.ConnectionState(); s.Used0RTT || !s.TLS.DidResume {
		t.Errorf("early data was used: %t; the session was resumed: %t", s.Used0RTT, s.TLS.DidResume)
	}
}

// An endpoint that serves later is silent until then, and a client that dialled before gets in.
func TestServeLater(t *testing.T) {
	f := newFixture(t)
	address := f.server.Addr().String()
	f.server.Close()
	f.later = true
	f.server = f.serve(address)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := f.client.Dial(ctx, address, trust.ProtocolEdge); !errors.Is(err, link.ErrNoAnswer) {
		t.Errorf("before it serves: %v; want no answer", err)
	}
	dialled := make(chan error, 1)
	go func() {
		_, err := f.client.Dial(t.Context(), address, trust.ProtocolEdge)
		dialled <- err
	}()
	if err := f.server.Serve(); err != nil {
		t.Fatal(err)
	}
	if err := <-dialled; err != nil {
		t.Errorf("a client that dialled while it began to serve: %v", err)
	}
}

func TestDialByHostName(t *testing.T) {
	f := newFixture(t)
	_, port, err := net.SplitHostPort(f.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	f.dial("localhost:" + port) // also where localhost is ::1 first
	for _, bad := range []string{"localhost", "localhost:nosuchservice", "::1"} {
		if _, err := f.client.Dial(t.Context(), bad, trust.ProtocolEdge); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("dial %q: %v; want an error that names it", bad, err)
		}
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	f := newFixture(t)
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = f.client.Dial(ctx, silent.LocalAddr().String(), trust.ProtocolEdge)
	if !errors.Is(err, link.ErrNoAnswer) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dial to a silent port: %v; want no answer within the deadline", err)
	}
}

func TestLinksAreForgotten(t *testing.T) {
	f := newFixture(t)
	f.dial(f.server.Addr().String())
	if f.client.Links() != 1 || f.server.Links() != 1 {
		t.Fatalf("%d and %d links; want one each", f.client.Links(), f.server.Links())
	}
	f.client.Close()
	for f.server.Links() != 0 {
		select {
		case <-t.Context().Done():
			t.Fatal("the server keeps a link whose peer has closed")
		case <-time.After(time.Millisecond):
		}
	}
	if h := f.server.Handshakes(); h.InProgress != 0 || h.Full != 1 || h.Resumed != 0 || h.PeakRate <= 0 {
		t.Errorf("after one link, the server counts %+v", h)
	}
}

func TestHandshakesUnderLoad(t *testing.T) {
	f := newFixture(t)
	address := f.server.Addr().String()
	f.server.handshakes.Store(HandshakesRetry) // as if so many were in progress
	f.dial(address)                            // costs a round trip more, and works
	f.server.handshakes.Store(HandshakesMax)
	_, err := f.client.Dial(t.Context(), address, trust.ProtocolEdge)
	if closed, ok := link.Closed(err); !ok || closed.Code != link.CodeBusy || !closed.Remote {
		t.Errorf("dial to a server with too many handshakes: %v; want busy", err)
	}
	if n := f.server.Handshakes().InProgress; n != HandshakesMax {
		t.Errorf("a refused handshake counts: %d; want %d", n, HandshakesMax)
	}
	f.server.handshakes.Store(0)
	f.dial(address)
}

// A machine that is slow lets fewer begin: what waits too long for the others is given up by its peer.
func TestRoomFollowsTheRate(t *testing.T) {
	for rate, want := range map[int]int64{0: HandshakesMax, 10: HandshakesRetry, 200: 400, 400: 800, 4000: HandshakesMax} {
		e := &Endpoint{}
		now := time.Unix(1000, 0)
		for i := range 3*rate + 1 {
			e.counts.Finished(now.Add(time.Duration(i)*time.Second/time.Duration(max(rate, 1))), false, link.CrowdMin)
		}
		if got := e.room(); got != want {
			t.Errorf("at %d a second there is room for %d; want %d", rate, got, want)
		}
	}
}

func TestPassingFaults(t *testing.T) {
	for _, errno := range passingErrnos {
		if !passing(&net.OpError{Op: "write", Err: os.NewSyscallError("sendmsg", errno)}) {
			t.Errorf("%v ends a link", errno)
		}
	}
	for _, err := range []error{nil, net.ErrClosed, syscall.EMSGSIZE, os.NewSyscallError("sendmsg", syscall.EIO)} {
		if passing(err) {
			t.Errorf("%v is swallowed", err)
		}
	}
}

func TestSocketSwallows(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a socket bound to IPv4 that refuses IPv6 with an errno of its own: Unix only")
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &socket{UDPConn: conn}
	defer s.Close()
	// From the loopback address, other hosts cannot be reached: EINVAL or ENETUNREACH, whichever the system says.
	far := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}
	if n, err := s.WriteTo([]byte("hello"), far); n != 5 || err != nil {
		t.Errorf("WriteTo: %d, %v", n, err)
	}
	if n, _, err := s.WriteMsgUDP([]byte("hello"), nil, far); n != 5 || err != nil {
		t.Errorf("WriteMsgUDP: %d, %v", n, err)
	}
	if s.swallowed.Load() != 2 {
		t.Errorf("%d faults swallowed; want 2", s.swallowed.Load())
	}
}

func TestWindowBudget(t *testing.T) {
	var b budget
	b.limit.Store(link.SmallLinkWindow + 100)
	if !b.grant(60) || b.grant(41) || !b.grant(40) || b.grant(1) {
		t.Error("a budget of 100 does not grant 60 and 40, or more")
	}
}
