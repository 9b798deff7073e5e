package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"
)

// A certificate that was checked before is judged by its time alone; any other from the beginning.
func TestAKnownServerIsStillJudgedByTime(t *testing.T) {
	ca, wall := newCA(t, "global"), now
	m := issue(t, ca, KindNode, "n1", now)
	server, next := issue(t, ca, KindServer, "s1", now), issue(t, ca, KindServer, "s1", now.Add(20*time.Hour))
	stranger := issue(t, newCA(t, "global"), KindServer, "s1", now)
	verify := func(of *Material) error {
		conf := ClientTLS(m, NewClock(func() time.Time { return wall }), ProtocolEdge)
		return conf.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{of.Cert}})
	}
	refused := func(err error, want Reason) bool {
		r, ok := errors.AsType[*Refusal](err)
		return ok && r.Reason == want
	}
	for range 2 {
		if err := verify(server); err != nil {
			t.Fatal(err)
		}
		if err := verify(stranger); !refused(err, UnknownCA) {
			t.Errorf("the server of another CA: %v", err)
		}
	}
	wall = now.Add(25 * time.Hour)
	if err := verify(server); !refused(err, Expired) {
		t.Errorf("a known certificate that has expired: %v", err)
	}
	if err := verify(next); err != nil {
		t.Errorf("its successor: %v", err)
	}
	if err := verify(server); !refused(err, Expired) {
		t.Errorf("the expired one after its successor: %v", err)
	}
}
