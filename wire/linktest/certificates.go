package linktest

import (
	"crypto/ecdsa"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/wire/trust"
)

func contains(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// bare is a client that verifies nothing and has no certificate.
type bare struct{}

func (bare) TLS(protocol string) (*tls.Config, error) {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}, InsecureSkipVerify: true}, nil
}

func (bare) Explain(_ string, err error) error { return trust.ExplainHandshake(err) }

// knock opens a server for all protocols and a client, and wants the client refused.
func knock(t *testing.T, open Open, r *Region, server *trust.Material, client Credentials, protocol string, want trust.Reason) string {
	t.Helper()
	s := open(t, r.ServerTLS(t, server, trust.Protocols()...), nil, 0)
	defer func() { check(t, s.Close()) }()
	c := open(t, nil, client, 0)
	defer func() { check(t, c.Close()) }()
	return refused(t, s, c, protocol, want)
}

func noCertificate(t *testing.T, open Open) {
	r := NewRegion(t, RegionName)
	for _, protocol := range trust.Protocols() {
		if got := knock(t, open, r, r.Server, bare{}, protocol, trust.NoCertificate); !contains(got, "dunlin join") {
			t.Errorf("%s: %q does not name the command to run", protocol, got)
		}
	}
}

func otherCA(t *testing.T, open Open) {
	r, other := NewRegion(t, RegionName), NewRegion(t, RegionName)
	// As the client sees it: the server's CA is unknown.
	client := other.Client(other.Issue(t, trust.KindNode, "n1", time.Now()))
	knock(t, open, r, r.Server, client, trust.ProtocolEdge, trust.UnknownCA)
	// As the server sees it, with a client that does not care.
	got := knock(t, open, r, r.Server, careless{client}, trust.ProtocolEdge, trust.UnknownCA)
	if !contains(got, "server refused", "dunlin join") {
		t.Errorf("words: %q", got)
	}
}

// careless is a client that takes any server.
type careless struct{ trust.Client }

func (c careless) TLS(protocol string) (*tls.Config, error) {
	conf, err := c.Client.TLS(protocol)
	if err == nil {
		conf.VerifyConnection = nil
	}
	return conf, err
}

func expired(t *testing.T, open Open) {
	r := NewRegion(t, RegionName)
	old := r.Client(r.Issue(t, trust.KindNode, "n1", time.Now().Add(-2*CertTTL)))
	if got := knock(t, open, r, r.Server, old, trust.ProtocolEdge, trust.Expired); !contains(got, "expired", "dunlin join") {
		t.Errorf("words: %q", got)
	}
	// An expired server, as the client sees it. The server's own clock would refuse to say so.
	server := r.Issue(t, trust.KindServer, "s2", time.Now().Add(-2*CertTTL))
	client := r.Client(r.Issue(t, trust.KindNode, "n1", time.Now()))
	if got := knock(t, open, r, server, client, trust.ProtocolEdge, trust.Expired); !contains(got, "clock", "server's certificate") {
		t.Errorf("words: %q", got)
	}
}

func wrongClock(t *testing.T, open Open) {
	r := NewRegion(t, RegionName)
	server := open(t, r.ServerTLS(t, r.Server, trust.ProtocolEdge), nil, 0)
	defer func() { check(t, server.Close()) }()
	client := r.Client(r.Issue(t, trust.KindNode, "n1", time.Now()))
	client.Clock = trust.NewClock(func() time.Time { return time.Unix(100, 0) })
	c := open(t, nil, client, 0)
	defer func() { check(t, c.Close()) }()
	connect(t, server, c, trust.ProtocolEdge)
}

func falseServer(t *testing.T, open Open) {
	r := NewRegion(t, RegionName)
	client := r.Client(r.Issue(t, trust.KindNode, "n1", time.Now()))
	// A node's certificate is not fit to serve with; the CA gave it no such use.
	knock(t, open, r, r.Issue(t, trust.KindNode, "n2", time.Now()), client, trust.ProtocolEdge, trust.BadCertificate)
	other := NewRegion(t, "elsewhere")
	knock(t, open, other, other.Server, client, trust.ProtocolEdge, trust.UnknownCA)
}

func join(t *testing.T, open Open) {
	r := NewRegion(t, RegionName)
	server := open(t, r.ServerTLS(t, r.Server, trust.ProtocolJoin, trust.ProtocolEdge), nil, 0)
	defer func() { check(t, server.Close()) }()
	key, err := trust.NewKey()
	check(t, err)
	device := open(t, nil, trust.JoinClient{Fingerprint: r.CA.Fingerprint(), Key: key, Clock: r.Clock}, 0)
	defer func() { check(t, device.Close()) }()

	dialed, accepted := connect(t, server, device, trust.ProtocolJoin)
	if !accepted.Peer().IsZero() {
		t.Errorf("a joining device is %s; want nobody yet", accepted.Peer())
	}
	pub := accepted.PeerCertificates()[0].PublicKey.(*ecdsa.PublicKey)
	if !pub.Equal(key.Public()) {
		t.Error("the server does not see the device's new key")
	}
	ca, err := trust.PinnedCA(dialed.PeerCertificates(), r.CA.Fingerprint())
	check(t, err)
	// What the server signs for the key that it saw makes the device a node.
	id := trust.Identity{Region: RegionName, Kind: trust.KindNode, ID: "new"}
	cert, err := r.CA.Sign(pub, id, time.Now(), CertTTL, nil, nil)
	check(t, err)
	m, err := trust.NewMaterial(ca, cert, key)
	check(t, err)
	node := open(t, nil, r.Client(m), 0)
	defer func() { check(t, node.Close()) }()
	if _, accepted := connect(t, server, node, trust.ProtocolEdge); accepted.Peer() != id {
		t.Errorf("the joined device is %s; want %s", accepted.Peer(), id)
	}
}

func joinPins(t *testing.T, open Open) {
	r, other := NewRegion(t, RegionName), NewRegion(t, RegionName)
	key, err := trust.NewKey()
	check(t, err)
	client := trust.JoinClient{Fingerprint: other.CA.Fingerprint(), Key: key, Clock: r.Clock}
	got := knock(t, open, r, r.Server, client, trust.ProtocolJoin, trust.WrongFingerprint)
	if !contains(got, r.CA.Fingerprint(), other.CA.Fingerprint()) {
		t.Errorf("%q does not show both fingerprints", got)
	}
}
