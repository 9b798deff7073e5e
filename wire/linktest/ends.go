package linktest

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// wantClosed wants an error that says how the link was closed.
func wantClosed(t *testing.T, what string, err error, want link.CloseError) {
	t.Helper()
	got, ok := link.Closed(err)
	if !ok {
		t.Errorf("%s: %v (%T); want %v", what, err, err, &want)
		return
	}
	if *got != want {
		t.Errorf("%s: %v; want %v", what, got, &want)
	}
}

func closeReason(t *testing.T, open Open) {
	p := newPair(t, open, 0)
	pending := make(chan error, 2)
	go func() {
		_, err := p.dialed.AcceptStream(p.ctx)
		pending <- err
	}()
	go func() {
		_, err := p.dialed.ReceiveDatagram(p.ctx)
		pending <- err
	}()
	check(t, p.accepted.Close(link.CodeReplaced, "a newer link of n1"))
	check(t, p.accepted.Close(link.CodeInternal, "only the first counts"))

	want := link.CloseError{Code: link.CodeReplaced, Reason: "a newer link of n1", Remote: true}
	wantClosed(t, "pending call", <-pending, want)
	wantClosed(t, "pending call", <-pending, want)
	<-p.dialed.Context().Done()
	wantClosed(t, "the peer's context", context.Cause(p.dialed.Context()), want)
	want.Remote = false
	<-p.accepted.Context().Done()
	wantClosed(t, "own context", context.Cause(p.accepted.Context()), want)
	_, err := p.accepted.OpenStream(p.ctx)
	wantClosed(t, "own OpenStream", err, want)
}

func endpointClose(t *testing.T, open Open) {
	p := newPair(t, open, 0)
	l, err := p.server.Listener(trust.ProtocolEdge)
	check(t, err)
	waiting := make(chan error, 1)
	go func() {
		_, err := l.Accept(p.ctx)
		waiting <- err
	}()
	check(t, p.server.Close())
	if err := <-waiting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept on a closed endpoint: %v; want net.ErrClosed", err)
	}
	<-p.dialed.Context().Done()
	got, ok := link.Closed(context.Cause(p.dialed.Context()))
	if !ok || got.Code != link.CodeShutdown || !got.Remote {
		t.Errorf("the peer of a closed endpoint sees %v; want shutdown", context.Cause(p.dialed.Context()))
	}
	if err := p.accepted.Context().Err(); err == nil {
		t.Error("a link of a closed endpoint lives")
	}
}

func identities(t *testing.T, open Open) {
	p := newPair(t, open, 0)
	for _, side := range []struct {
		l    link.Link
		want trust.Identity
	}{
		{p.dialed, trust.Identity{Region: RegionName, Kind: trust.KindServer, ID: "s1"}},
		{p.accepted, trust.Identity{Region: RegionName, Kind: trust.KindNode, ID: "n1"}},
	} {
		if got := side.l.Peer(); got != side.want {
			t.Errorf("peer %s; want %s", got, side.want)
		}
		if got := side.l.Protocol(); got != trust.ProtocolEdge {
			t.Errorf("protocol %q", got)
		}
		if id, err := trust.CertificateIdentity(side.l.PeerCertificates()[0]); err != nil || id != side.want {
			t.Errorf("certificate of %s, %v; want %s", id, err, side.want)
		}
	}
	wantEcho(t, p.dialed, p.accepted, []byte("some traffic"))
	for _, l := range []link.Link{p.dialed, p.accepted} {
		if s := l.Stats(); s.SentBytes == 0 || s.ReceivedBytes == 0 || s.SentPackets == 0 || s.ReceivedPackets == 0 {
			t.Errorf("stats of a used link: %+v", s)
		}
	}
}

func kinds(t *testing.T, open Open) {
	r := NewRegion(t, RegionName)
	protocols := []string{trust.ProtocolEdge, trust.ProtocolRPC, trust.ProtocolRaft}
	server := open(t, r.ServerTLS(t, r.Server, protocols...), nil, 0)
	defer func() { check(t, server.Close()) }()
	for _, kind := range []trust.Kind{trust.KindServer, trust.KindNode, trust.KindOperator, trust.KindGateway} {
		m := r.Issue(t, kind, "x1", time.Now())
		client := open(t, nil, r.Client(m), 0)
		for _, protocol := range protocols {
			if trust.Admit(protocol, RegionName, m.Identity) == nil {
				_, accepted := connect(t, server, client, protocol)
				if accepted.Peer() != m.Identity {
					t.Errorf("accepted %s; want %s", accepted.Peer(), m.Identity)
				}
				continue
			}
			if got := refused(t, server, client, protocol, trust.WrongKind); !contains(got, string(kind), protocol) {
				t.Errorf("%s as %s: %q names not both", protocol, kind, got)
			}
		}
		check(t, client.Close())
	}
}

func notSpoken(t *testing.T, open Open) {
	r := NewRegion(t, RegionName)
	server := open(t, r.ServerTLS(t, r.Server, trust.ProtocolEdge), nil, 0)
	defer func() { check(t, server.Close()) }()
	client := open(t, nil, r.Client(r.Issue(t, trust.KindServer, "s2", time.Now())), 0)
	defer func() { check(t, client.Close()) }()
	refused(t, server, client, trust.ProtocolRaft, trust.WrongProtocol)
	if _, err := server.Listener(trust.ProtocolRaft); err == nil {
		t.Error("a listener for a protocol that is not spoken")
	}
}
