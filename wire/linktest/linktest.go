// Package linktest is the one conformance suite of package link: what a session may rely on, whatever network carries the
// link. quicnet passes it over UDP on the loopback interface, and over memnet in a testing/synctest bubble.
//
// Each case is a plain function, so that a caller can put it into a subtest or into a bubble (where subtests are not
// allowed). Cases use no sleep; a hang is ended by the test binary's own timeout.
package linktest

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// RegionName is the region of NewRegion.
const RegionName = "testland"

// CertTTL is the life of the suite's certificates.
const CertTTL = 24 * time.Hour

// Endpoint is one socket of the network under test.
type Endpoint interface {
	link.Dialer
	Listener(protocol string) (link.Listener, error)
	Addr() net.Addr
	Close() error
}

// Credentials are what a dialling endpoint needs; trust.Client and trust.JoinClient are the two.
type Credentials interface {
	TLS(protocol string) (*tls.Config, error)
	Explain(protocol string, err error) error
}

// Open makes an endpoint that the case closes. With serverTLS it listens, with credentials it dials; loss is the share of
// packets that get lost (0 except in LossyCases).
type Open func(t *testing.T, serverTLS *tls.Config, credentials Credentials, loss float64) Endpoint

// Case is one promise of the port.
type Case struct {
	Name string
	Run  func(t *testing.T, open Open)
}

// Cases are the promises that hold on any network.
func Cases() []Case {
	return []Case{
		{"streams from both sides", streamsBothWays},
		{"half close", halfClose},
		{"reset carries its code", resetCode},
		{"many streams at once", manyStreams},
		{"datagrams both ways", datagrams},
		{"close tells code and reason", closeReason},
		{"closing an endpoint tells its peers", endpointClose},
		{"identities are seen", identities},
		{"a stream serves as net.Conn", netConn},
		{"each protocol admits its kinds only", kinds},
		{"no certificate", noCertificate},
		{"a certificate of another CA", otherCA},
		{"an expired certificate", expired},
		{"a device whose clock stands in 1970", wrongClock},
		{"a server of another kind or region is refused by the client", falseServer},
		{"join proves the new key", join},
		{"join pins the CA", joinPins},
		{"a protocol that is not spoken", notSpoken},
	}
}

// LossyCases are the promises on a bad network; they take long unless time is virtual.
func LossyCases() []Case {
	return []Case{{"30 % loss delivers everything", lossy}}
}

// Region is a CA with the servers and devices of a case.
type Region struct {
	CA     *trust.CA
	Server *trust.Material
	Clock  *trust.Clock
}

// NewRegion makes a region with one server.
func NewRegion(t *testing.T, name string) *Region {
	t.Helper()
	now := time.Now()
	ca, err := trust.NewCA(name, now, 10*CertTTL)
	if err != nil {
		t.Fatal(err)
	}
	r := &Region{CA: ca, Clock: trust.NewClock(time.Now)}
	r.Server = r.Issue(t, trust.KindServer, "s1", now)
	return r
}

// Issue makes the material of a peer whose certificate is made at the time given.
func (r *Region) Issue(t *testing.T, kind trust.Kind, id string, at time.Time) *trust.Material {
	t.Helper()
	m, err := r.CA.Issue(trust.Identity{Region: r.CA.Region, Kind: kind, ID: id}, at, CertTTL, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ServerTLS is the configuration of the region's server for some protocols.
func (r *Region) ServerTLS(t *testing.T, m *trust.Material, protocols ...string) *tls.Config {
	t.Helper()
	conf, err := trust.ServerTLS(trust.ServerOptions{Source: m.Source(), Clock: r.Clock, Protocols: protocols})
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// Client is the credentials of a peer.
func (r *Region) Client(m *trust.Material) trust.Client {
	return trust.Client{Source: m.Source(), Clock: r.Clock}
}

// pair is a link seen from both ends.
type pair struct {
	t                *testing.T
	ctx              context.Context
	server, client   Endpoint
	accepted, dialed link.Link
}

// newPair connects a node to a server by the edge protocol.
func newPair(t *testing.T, open Open, loss float64) *pair {
	t.Helper()
	r := NewRegion(t, RegionName)
	p := &pair{t: t, ctx: t.Context()}
	p.server = open(t, r.ServerTLS(t, r.Server, trust.ProtocolEdge), nil, loss)
	t.Cleanup(func() { check(t, p.server.Close()) })
	p.client = open(t, nil, r.Client(r.Issue(t, trust.KindNode, "n1", time.Now())), loss)
	t.Cleanup(func() { check(t, p.client.Close()) })
	p.dialed, p.accepted = connect(t, p.server, p.client, trust.ProtocolEdge)
	return p
}

// connect dials and accepts one link.
func connect(t *testing.T, server, client Endpoint, protocol string) (dialed, accepted link.Link) {
	t.Helper()
	dialed, err := client.Dial(t.Context(), server.Addr().String(), protocol)
	if err != nil {
		t.Fatal(err)
	}
	l, err := server.Listener(protocol)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err = l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dialed, accepted
}

// refused dials and wants a refusal for the reason given; it returns the words.
func refused(t *testing.T, server, client Endpoint, protocol string, want trust.Reason) string {
	t.Helper()
	l, err := client.Dial(t.Context(), server.Addr().String(), protocol)
	if err == nil {
		t.Fatalf("dial %s succeeded as %s; want it refused (%s)", protocol, l.Peer(), want)
	}
	r, ok := errors.AsType[*trust.Refusal](err)
	if !ok {
		t.Fatalf("dial %s: %v (%T); want a refusal (%s)", protocol, err, err, want)
	}
	if r.Reason != want {
		t.Fatalf("dial %s refused for %q (%v); want %q", protocol, r.Reason, err, want)
	}
	return err.Error()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
