package trust

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func newCA(t testing.TB, region string) *CA {
	t.Helper()
	ca, err := NewCA(region, now, 10*365*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t testing.TB, ca *CA, kind Kind, id string, at time.Time) *Material {
	t.Helper()
	m, err := ca.Issue(Identity{ca.Region, kind, id}, at, 24*time.Hour, []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestIdentityForms(t *testing.T) {
	for _, s := range []string{"spiffe://global/server/s1", "spiffe://eu-west/node/Pi_4.kitchen-2", "spiffe://a/operator/0", "spiffe://a/gateway/g"} {
		id, err := ParseIdentity(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
		} else if got, err := id.Format(); got != s || err != nil {
			t.Errorf("%s reads back as %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "spiffe://", "spiffe://a/node", "spiffe://a/node/", "spiffe://a/node/n/", "spiffe://a/node/n?q",
		"spiffe://a/node/n#f", "spiffe://a/node/%41", "spiffe://a/robot/n", "spiffe://A/node/n", "spiffe://-a/node/n", "spiffe://a:1/node/n",
		"spiffe://u@a/node/n", "https://a/node/n", "spiffe://a/node/..", "spiffe:///node/n", "spiffe://a/node/" + strings.Repeat("n", IDBytesMax+1),
		"spiffe://" + strings.Repeat("a", RegionBytesMax+1) + "/node/n", "SPIFFE://a/node/n", "spiffe://a/node/n "} {
		if id, err := ParseIdentity(s); err == nil {
			t.Errorf("accepted %q as %v", s, id)
		}
	}
	if _, err := (Identity{}).Format(); err == nil || (Identity{}).String() != "nobody" {
		t.Error("the zero identity has a form")
	}
}

func FuzzParseIdentity(f *testing.F) {
	for _, s := range []string{"spiffe://global/server/s1", "spiffe://a/node/", "spiffe://a//b", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseIdentity(s)
		if err != nil {
			return
		}
		if id.String() != s {
			t.Fatalf("%q reads back as %q", s, id)
		}
		if u, err := url.Parse(s); err != nil || u.String() != s || u.Host != id.Region {
			t.Fatalf("%q is no plain URL: %v", s, err)
		}
	})
}

func TestAdmitTable(t *testing.T) {
	want := map[string]string{ProtocolEdge: "node gateway", ProtocolRPC: "server node operator", ProtocolRaft: "server", ProtocolJoin: "server node operator gateway", ProtocolRenew: "node gateway"}
	for _, p := range Protocols() {
		for _, k := range []Kind{KindServer, KindNode, KindOperator, KindGateway} {
			err := Admit(p, "r", Identity{"r", k, "x"})
			if ok := strings.Contains(want[p], string(k)); ok != (err == nil) {
				t.Errorf("%s as %s: %v", p, k, err)
			}
			if p != ProtocolJoin && Admit(p, "other", Identity{"r", k, "x"}) == nil {
				t.Errorf("%s admits a %s of another region", p, k)
			}
		}
	}
	if Admit("h3", "r", Identity{"r", KindServer, "x"}) == nil {
		t.Error("an unknown protocol admits somebody")
	}
}

func TestSign(t *testing.T) {
	ca := newCA(t, "global")
	m := issue(t, ca, KindServer, "s1", now)
	if m.Identity != (Identity{"global", KindServer, "s1"}) || m.Cert.NotBefore.After(now) || m.Cert.NotAfter != now.Add(24*time.Hour) {
		t.Errorf("%s valid %s to %s", m.Identity, m.Cert.NotBefore, m.Cert.NotAfter)
	}
	pub := m.Key.Public()
	for name, try := range map[string]func() error{
		"another region": func() error {
			_, err := ca.Sign(pub, Identity{"r2", KindNode, "n"}, now, time.Hour, nil, nil)
			return err
		},
		"no life": func() error { _, err := ca.Sign(pub, m.Identity, now, 0, nil, nil); return err },
		"bad id": func() error {
			_, err := ca.Sign(pub, Identity{"global", KindNode, "a/b"}, now, time.Hour, nil, nil)
			return err
		},
		"after CA's end":  func() error { _, err := ca.Sign(pub, m.Identity, ca.Cert.NotAfter, time.Hour, nil, nil); return err },
		"bad region name": func() error { _, err := NewCA("Bad Region", now, time.Hour); return err },
		"two URIs": func() error {
			_, err := CertificateIdentity(&x509.Certificate{URIs: []*url.URL{m.Identity.url(), m.Identity.url()}})
			return err
		},
		"no URI":        func() error { _, err := CertificateIdentity(&x509.Certificate{}); return err },
		"foreign key":   func() error { _, err := NewMaterial(ca.Cert, m.Cert, ca.Key); return err },
		"foreign CA":    func() error { _, err := NewMaterial(newCA(t, "global").Cert, m.Cert, m.Key); return err },
		"a leaf as CA":  func() error { _, err := LoadCA(m.Cert, m.Key); return err },
		"wrong CA key":  func() error { _, err := LoadCA(ca.Cert, m.Key); return err },
		"key as cert":   func() error { text, _ := EncodeKey(m.Key); _, err := DecodeCert(text); return err },
		"cert as key":   func() error { _, err := DecodeKey(EncodeCert(m.Cert)); return err },
		"no PEM (cert)": func() error { _, err := DecodeCert([]byte("hello")); return err },
		"no PEM (key)":  func() error { _, err := DecodeKey([]byte("hello")); return err },
	} {
		if err := try(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	near, err := ca.Sign(pub, m.Identity, ca.Cert.NotAfter.Add(-time.Hour), 24*time.Hour, nil, nil)
	if err != nil || near.NotAfter.After(ca.Cert.NotAfter) {
		t.Errorf("a certificate outlives its CA: %v", err)
	}
}

func TestFolders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	if _, err := LoadFolder(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := LoadCAFolder(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no CA: %v", err)
	}
	ca := newCA(t, "global")
	m := issue(t, ca, KindNode, "n1", now)
	files, err := m.Files()
	if err := errors.Join(err, files.Save(dir), SaveCA(dir, ca)); err != nil {
		t.Fatal(err)
	}
	got, err := LoadFolder(dir)
	if err != nil || got.Identity != m.Identity || !sameKey(got.Key.Public(), m.Key.Public()) {
		t.Errorf("loaded %v, %v", got, err)
	}
	gotCA, err := LoadCAFolder(dir)
	if err != nil || gotCA.Region != "global" || gotCA.Fingerprint() != ca.Fingerprint() || len(ca.Fingerprint()) != 64 {
		t.Errorf("loaded CA %v, %v", gotCA, err)
	}
	items, err := os.ReadDir(dir)
	if err != nil || len(items) != 4 {
		t.Fatalf("%v, %v; want four files and nothing left over", items, err)
	}
	for _, item := range items {
		if info, err := item.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", item.Name(), info.Mode(), err)
		}
	}
	if err := WriteFile(filepath.Join(dir, CertFile), []byte("damaged")); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadFolder(dir); err == nil || !strings.Contains(err.Error(), CertFile) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a damaged file: %v; want its name and folder", err)
	}
}

func TestSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "secret")
	a, err1 := LoadSecret(path)
	b, err2 := LoadSecret(path)
	if err := errors.Join(err1, err2); err != nil || a != b || a == [SecretBytes]byte{} {
		t.Fatalf("made and loaded secrets differ, or %v", err)
	}
	if DeriveKey(a, "x") == DeriveKey(a, "y") || DeriveKey(a, "x") != DeriveKey(b, "x") || DeriveKey(a, "x") == a {
		t.Error("derived keys are not independent, or not stable")
	}
	if err := WriteFile(path, []byte("short")); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadSecret(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a short secret: %v", err)
	}
}

func TestClock(t *testing.T) {
	wall := time.Unix(0, 0)
	c := NewClock(func() time.Time { return wall })
	if !c.Floor().IsZero() || !c.Now().Equal(wall) || !c.Now(now).Equal(now) {
		t.Error("a fresh clock knows more than the wall clock and what it is told")
	}
	c.Raise(now)
	c.Raise(now.Add(-time.Hour))
	if !c.Now().Equal(now) || !c.Floor().Equal(now) {
		t.Errorf("floor %s; want %s", c.Floor(), now)
	}
	wall = now.Add(time.Hour)
	if !c.Now().Equal(wall) {
		t.Error("a good wall clock is not used")
	}
}

// serverAt checks a server's certificate made at the time given, on a device whose own was made at now.
func serverAt(t *testing.T, made time.Time, wall time.Time) error {
	ca := newCA(t, "global")
	device := issue(t, ca, KindNode, "n1", now)
	server := issue(t, ca, KindServer, "s1", made)
	clock := NewClock(func() time.Time { return wall })
	return ClientTLS(device, clock, ProtocolEdge).VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{server.Cert}})
}

func TestServersAreVerifiedOnWrongClocks(t *testing.T) {
	if err := serverAt(t, now, time.Unix(0, 0)); err != nil {
		t.Errorf("1970: %v", err)
	}
	if err := serverAt(t, now.Add(100*24*time.Hour), time.Unix(0, 0)); err != nil {
		t.Errorf("1970, a server renewed long after the device joined: %v", err)
	}
	// The device knows from its own certificate that this one is over.
	err := serverAt(t, now.Add(-48*time.Hour), time.Unix(0, 0))
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Reason != Expired {
		t.Errorf("1970, a server that expired before the device joined: %v", err)
	}
	err = serverAt(t, now, now.Add(48*time.Hour))
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Reason != Expired || !strings.Contains(r.Error(), "2026-05-03") {
		t.Errorf("a clock that is right: %v", err)
	}
}

func TestExplain(t *testing.T) {
	for alert, want := range map[uint8]Reason{116: NoCertificate, 42: BadCertificate, 44: BadCertificate, 45: Expired, 48: UnknownCA, 120: WrongProtocol} {
		for _, err := range []error{
			fmt.Errorf("dial: %w", RemoteAlert(alert)),
			&net.OpError{Op: "remote error", Err: tls.AlertError(alert)},
		} {
			r, ok := errors.AsType[*Refusal](ExplainHandshake(err))
			if !ok || r.Reason != want || !r.Remote || !errors.Is(r, err) {
				t.Errorf("alert %d (%v) is %v; want %s", alert, err, r, want)
			}
			if want == NoCertificate && !strings.Contains(r.Error(), "run: dunlin join") {
				t.Errorf("%q names no command", r)
			}
		}
	}
	other := errors.New("no route to host")
	if got := ExplainHandshake(other); got != other {
		t.Errorf("%v became %v", other, got)
	}
	if got := ExplainHandshake(RemoteAlert(80)); got != RemoteAlert(80) {
		t.Errorf("an internal error of the server became %v", got)
	}
	if ExplainHandshake(nil) != nil {
		t.Error("no error became one")
	}
	_, err := Client{Source: func() *Material { return nil }, Clock: NewClock(time.Now)}.TLS(ProtocolEdge)
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Reason != NoCertificate {
		t.Errorf("a client that has not joined: %v", err)
	}
}

func TestHTTPS(t *testing.T) {
	ca := newCA(t, "global")
	clock := NewClock(func() time.Time { return now })
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			id, _ := CertificateIdentity(r.TLS.PeerCertificates[0])
			who = id.String()
		}
		fmt.Fprint(w, who)
	}))
	s.TLS = HTTPServerTLS(issue(t, ca, KindServer, "s1", now).Source(), clock)
	s.Config.ErrorLog = nil
	s.StartTLS()
	defer s.Close()
	get := func(conf *tls.Config) (string, error) {
		tr := &http.Transport{TLSClientConfig: conf}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get(s.URL)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		var b [100]byte
		n, _ := resp.Body.Read(b[:])
		return string(b[:n]), nil
	}
	if got, err := get(ClientTLS(issue(t, ca, KindOperator, "ann", now), clock, "http/1.1")); err != nil || got != "spiffe://global/operator/ann" {
		t.Errorf("with a certificate: %q, %v", got, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	plain := &tls.Config{RootCAs: pool, Time: func() time.Time { return now }} // checks the host name, as any client does
	if got, err := get(plain); err != nil || got != "nobody" {
		t.Errorf("without a certificate: %q, %v", got, err)
	}
	stranger := ClientTLS(issue(t, newCA(t, "global"), KindOperator, "eve", now), clock, "http/1.1")
	stranger.VerifyConnection = nil
	_, err := get(stranger)
	if r, ok := errors.AsType[*Refusal](ExplainHandshake(err)); !ok || r.Reason != UnknownCA || !r.Remote {
		t.Errorf("with a certificate of another CA: %v", err)
	}
}

func goodInvite(t testing.TB) Invite {
	t.Helper()
	token, _, err := NewToken()
	if err != nil {
		t.Fatal(err)
	}
	return Invite{Addresses: []string{"10.0.0.1:4647", "[2001:db8::1]:4647", "dunlin.example:4647"},
		Fingerprint: strings.Repeat("0a", 32), Region: "global", Token: token, Expires: time.Unix(1_800_000_000, 0)}
}

func TestInviteRefusals(t *testing.T) {
	good, err := EncodeInvite(goodInvite(t))
	if err != nil {
		t.Fatal(err)
	}
	wrapped := " " + good[:20] + "\r\n  " + good[20:] + "\n"
	if in, err := ParseInvite(wrapped); err != nil || in.Region != "global" {
		t.Errorf("an invite broken over lines: %v", err)
	}
	raw := func(json string) string { return invitePrefix + base64.RawURLEncoding.EncodeToString([]byte(json)) }
	for name, s := range map[string]string{
		"empty": "", "other": "hello", "version": "dunlin2." + good[8:], "cut short": good[:len(good)-9], "changed": good[:30] + "!" + good[31:],
		"long": good + strings.Repeat("A", InviteBytesMax), "very long": strings.Repeat(" ", 3*InviteBytesMax), "no JSON": raw("x"), "empty JSON": raw("{}"), "wrong type": raw(`{"a":1}`),
	} {
		if _, err := ParseInvite(s); err == nil || !strings.Contains(err.Error(), "dunlin node invite") || len(err.Error()) > 600 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, spoil := range map[string]func(*Invite){
		"no address":        func(in *Invite) { in.Addresses = nil },
		"many addresses":    func(in *Invite) { in.Addresses = make([]string, InviteAddressesMax+1) },
		"no port":           func(in *Invite) { in.Addresses[0] = "10.0.0.1" },
		"port 0":            func(in *Invite) { in.Addresses[0] = "10.0.0.1:0" },
		"port 70000":        func(in *Invite) { in.Addresses[0] = "10.0.0.1:70000" },
		"no host":           func(in *Invite) { in.Addresses[0] = ":4647" },
		"long host":         func(in *Invite) { in.Addresses[0] = strings.Repeat("a", 300) + ":1" },
		"short fingerprint": func(in *Invite) { in.Fingerprint = "0a" },
		"upper fingerprint": func(in *Invite) { in.Fingerprint = strings.Repeat("0A", 32) },
		"region":            func(in *Invite) { in.Region = "no region" },
		"token":             func(in *Invite) { in.Token = in.Token[1:] },
		"token characters":  func(in *Invite) { in.Token = "!" + in.Token[1:] },
		"expiry":            func(in *Invite) { in.Expires = time.Time{} },
	} {
		in := goodInvite(t)
		spoil(&in)
		if s, err := EncodeInvite(in); err == nil {
			t.Errorf("%s: encoded as %s", name, s)
		} else if strings.Contains(err.Error(), in.Token) {
			t.Errorf("%s: the error shows the token: %v", name, err)
		}
	}
}

func TestInviteRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := Invite{
			Addresses:   rapid.SliceOfN(rapid.StringMatching(`[a-z0-9.]{1,40}:[1-9][0-9]{0,3}`), 1, InviteAddressesMax).Draw(t, "addresses"),
			Fingerprint: rapid.StringMatching(`[0-9a-f]{64}`).Draw(t, "fingerprint"),
			Region:      rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?`).Draw(t, "region"),
			Token:       base64.RawURLEncoding.EncodeToString(rapid.SliceOfN(rapid.Byte(), TokenBytes, TokenBytes).Draw(t, "token")),
			Expires:     time.Unix(rapid.Int64Range(1, 1<<40).Draw(t, "expires"), 0),
		}
		s, err := EncodeInvite(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseInvite(s)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(in) {
			t.Fatalf("read back as %v, %v; want %v", got, err, in)
		}
	})
}

func FuzzParseInvite(f *testing.F) {
	good, err := EncodeInvite(goodInvite(f))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{good, good[:40], "dunlin1.", "dunlin1.e30", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		in, err := ParseInvite(s)
		if err != nil {
			return
		}
		again, err := EncodeInvite(in)
		if err != nil {
			t.Fatalf("accepted %q but cannot encode it: %v", s, err)
		}
		if back, err := ParseInvite(again); err != nil || fmt.Sprint(back) != fmt.Sprint(in) {
			t.Fatalf("%q changes: %v", s, err)
		}
	})
}

func TestTokens(t *testing.T) {
	a, hashA, err1 := NewToken()
	b, hashB, err2 := NewToken()
	if err := errors.Join(err1, err2); err != nil || a == b || hashA == hashB || len(hashA) != 64 || strings.Contains(string(hashA), a) {
		t.Errorf("tokens %q (%s) and %q (%s), %v", a, hashA, b, hashB, err)
	}
	if h, err := HashToken(a); err != nil || h != hashA {
		t.Errorf("hash %s, %v; want %s", h, err, hashA)
	}
}
