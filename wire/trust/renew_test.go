package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDeviceClock(t *testing.T) {
	wall := time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
	c := NewDeviceClock(func() time.Time { return wall })
	if got := c.Now(); !got.Equal(ProgramDate) {
		t.Errorf("before any server it is %s; want %s", got, ProgramDate)
	}
	c.Raise(now)
	wall = wall.Add(time.Hour)
	if got := c.Now(); !got.Equal(now.Add(time.Hour)) {
		t.Errorf("an hour after a server's word it is %s", got)
	}
	c.Raise(now.Add(time.Minute)) // less than what has gone by
	wall = time.Unix(0, 0)        // the clock was set: no time went by, and none is lost below the floor
	if got := c.Floor(); got.Before(now) {
		t.Errorf("the floor fell to %s", got)
	}
}

func TestSignedTime(t *testing.T) {
	m := issue(t, newCA(t, "global"), KindServer, "s1", now)
	for told, want := range map[time.Time]time.Time{
		now: now, now.Add(100 * 365 * 24 * time.Hour): m.Cert.NotBefore, time.Unix(0, 0): m.Cert.NotBefore,
	} {
		if got := SignedTime(told, m.Cert); !got.Equal(want) {
			t.Errorf("told %s: %s; want %s", told, got, want)
		}
	}
}

// A device whose clock says 2090 takes a server that is in order.
func TestServersAreVerifiedWithAClockAhead(t *testing.T) {
	ca := newCA(t, "global")
	server := issue(t, ca, KindServer, "s1", now)
	clock := NewDeviceClock(func() time.Time { return time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC) })
	conf := ClientTLS(issue(t, ca, KindNode, "n1", now), clock, ProtocolEdge)
	if err := conf.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{server.Cert}}); err != nil {
		t.Error(err)
	}
	clock.Raise(now.Add(48 * time.Hour)) // a server said so, and this one ended a day before
	if err := conf.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{server.Cert}}); err == nil {
		t.Error("a certificate that ended before the time that is known was taken")
	}
}

func TestRenewAtIsSpreadAroundTwoThirds(t *testing.T) {
	ca := newCA(t, "global")
	seen := map[time.Time]bool{}
	rapid.Check(t, func(t *rapid.T) {
		cert, err := ca.Sign(ca.Key.Public(), Identity{"global", KindNode, "n"}, now, time.Duration(rapid.Int64Range(int64(time.Minute), int64(365*24*time.Hour)).Draw(t, "ttl")), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		life, at := cert.NotAfter.Sub(cert.NotBefore), RenewAt(cert)
		if part := float64(at.Sub(cert.NotBefore)) / float64(life); part < 0.61 || part > 0.72 {
			t.Fatalf("renewed when %.3f of its life are over", part)
		}
		if !RenewEarliest(cert).Before(at) {
			t.Fatal("a server refuses a device that comes in time")
		}
		seen[at] = true
	})
	if len(seen) < 2 {
		t.Error("all are renewed at one moment")
	}
}

func TestKeeper(t *testing.T) {
	ca := newCA(t, "global")
	m := issue(t, ca, KindNode, "n1", now)
	dir := t.TempDir()
	files, err := m.Files()
	if err := errors.Join(err, files.Save(dir)); err != nil {
		t.Fatal(err)
	}
	k := NewKeeper(m, dir)
	sign := func(pub any, id string, at time.Time) *x509.Certificate {
		t.Helper()
		cert, err := ca.Sign(pub, Identity{"global", KindNode, id}, at, 24*time.Hour, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	other := issue(t, ca, KindNode, "n1", now)
	for name, cert := range map[string]*x509.Certificate{
		"another key":      other.Cert,
		"another identity": sign(m.Key.Public(), "n2", now.Add(time.Hour)),
		"no later end":     sign(m.Key.Public(), "n1", now),
		"another CA":       issue(t, newCA(t, "global"), KindNode, "n1", now.Add(time.Hour)).Cert,
	} {
		if err := k.Renewed(cert); err == nil || k.Material() != m {
			t.Errorf("%s: %v", name, err)
		}
	}
	next := sign(m.Key.Public(), "n1", now.Add(time.Hour))
	if err := k.Renewed(next); err != nil || !k.Source()().Cert.Equal(next) {
		t.Fatalf("renewed: %v", err)
	}
	if got, err := LoadFolder(dir); err != nil || !got.Cert.Equal(next) {
		t.Errorf("on disk: %v", err)
	}
	if _, copied, err := loadCopy(dir); err != nil || !copied.Cert.Equal(next) {
		t.Errorf("the copy: %v", err)
	}
	gone := NewKeeper(m, filepath.Join(dir, CertFile, "no folder"))
	if err := gone.Renewed(next); err == nil || gone.Material() != m {
		t.Errorf("used before it was on disk: %v (%v)", err, errors.Is(err, fs.ErrNotExist))
	}
}

func TestWhoMayRenew(t *testing.T) {
	ca := newCA(t, "global")
	server := issue(t, ca, KindServer, "s1", now.Add(1000*24*time.Hour))
	past := now.Add(-500 * 24 * time.Hour)
	for name, tc := range map[string]struct {
		m  *Material
		ok bool
	}{
		"an expired node":    {issue(t, ca, KindNode, "n1", now), true},
		"an expired gateway": {issue(t, ca, KindGateway, "g1", now), true},
		"an operator":        {issue(t, ca, KindOperator, "ann", now), false},
		"a server":           {issue(t, ca, KindServer, "s2", now), false},
		"another CA's node":  {issue(t, newCA(t, "global"), KindNode, "n1", past), false},
	} {
		err := verifyOnce(tls.ConnectionState{PeerCertificates: []*x509.Certificate{tc.m.Cert}}, server)
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if verifyOnce(tls.ConnectionState{}, server) == nil {
		t.Error("nobody may renew")
	}
}
