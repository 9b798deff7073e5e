package trust

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// JoinCertTTL is the life of the self-signed certificate that carries a joining device's key through one handshake.
const JoinCertTTL = 24 * time.Hour

// ServerOptions say how a server answers handshakes.
type ServerOptions struct {
	Source    Source
	Clock     *Clock
	Protocols []string // those of Protocols() that this server speaks

	// TicketKey encrypts session tickets. A server that keeps it over a restart lets its devices resume at a third
	// of the cost of a full handshake; the zero value draws a fresh one.
	TicketKey [SecretBytes]byte
}

// ServerTLS returns the configuration of a listener for Dunlin's own links: TLS 1.3; per protocol, which clients may
// speak it. A client that may not is refused inside the handshake.
func ServerTLS(o ServerOptions) (*tls.Config, error) {
	for _, p := range o.Protocols {
		if _, ok := admitted[p]; !ok {
			return nil, fmt.Errorf("unknown protocol %q", p)
		}
	}
	if o.TicketKey == [SecretBytes]byte{} {
		if _, err := rand.Read(o.TicketKey[:]); err != nil {
			return nil, fmt.Errorf("draw a ticket key: %w", err)
		}
	}
	s := &serverConfigs{options: o, built: make(map[string]builtConfig)}
	base := &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: o.Protocols,
		ClientAuth: tls.RequireAndVerifyClientCert,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			for _, p := range hello.SupportedProtos {
				if slices.Contains(o.Protocols, p) {
					return s.get(p), nil
				}
			}
			return nil, nil // the base has no protocol in common either: the handshake ends with the proper alert
		},
	}
	return base, nil
}

// serverConfigs keeps one configuration per protocol until the material changes.
type serverConfigs struct {
	options ServerOptions

	mu    sync.Mutex
	built map[string]builtConfig
}

type builtConfig struct {
	from *Material
	conf *tls.Config
}

func (s *serverConfigs) get(protocol string) *tls.Config {
	m := s.options.Source()
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.built[protocol]; ok && b.from == m {
		return b.conf
	}
	conf := &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{protocol},
		Time:       func() time.Time { return s.options.Clock.Now(m.Cert.NotBefore) },
		ClientCAs:  m.pool,
	}
	switch protocol {
	case ProtocolJoin:
		// The device pins the CA by fingerprint, so the CA must be in the chain; elsewhere it would be dead weight.
		conf.Certificates = []tls.Certificate{m.certificate(true)}
		conf.ClientAuth = tls.RequireAnyClientCert
		conf.SessionTicketsDisabled = true
	case ProtocolRenew:
		conf.Certificates = []tls.Certificate{m.certificate(false)}
		conf.ClientAuth = tls.RequireAnyClientCert // replaced by VerifyConnection, which takes expired ones too
		conf.SessionTicketsDisabled = true
		conf.VerifyConnection = func(cs tls.ConnectionState) error { return verifyOnce(cs, m) }
	default:
		conf.Certificates = []tls.Certificate{m.certificate(false)}
		conf.ClientAuth = tls.RequireAndVerifyClientCert
		conf.SetSessionTicketKeys([][SecretBytes]byte{s.options.TicketKey})
		conf.VerifyConnection = func(cs tls.ConnectionState) error {
			id, err := CertificateIdentity(cs.PeerCertificates[0])
			if err != nil {
				return err
			}
			return Admit(protocol, m.Identity.Region, id)
		}
	}
	s.built[protocol] = builtConfig{from: m, conf: conf}
	return conf
}

// HTTPServerTLS returns the configuration of an HTTPS listener. A client certificate is optional there (browsers and
// token holders have none) but must be of this region when given.
func HTTPServerTLS(source Source, clock *Clock) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			m := source()
			return &tls.Config{
				MinVersion:   tls.VersionTLS13,
				NextProtos:   []string{"h2", "http/1.1"},
				Certificates: []tls.Certificate{m.certificate(false)},
				ClientAuth:   tls.VerifyClientCertIfGiven,
				ClientCAs:    m.pool,
				Time:         func() time.Time { return clock.Now(m.Cert.NotBefore) },
				// One configuration per handshake: a ticket key per configuration would never be met again.
				SessionTicketsDisabled: true,
				VerifyConnection: func(cs tls.ConnectionState) error {
					if len(cs.PeerCertificates) == 0 {
						return nil
					}
					id, err := CertificateIdentity(cs.PeerCertificates[0])
					if err == nil && id.Region != m.Identity.Region {
						err = fmt.Errorf("%s belongs to region %q; this is region %q", id, id.Region, m.Identity.Region)
					}
					return err
				},
			}, nil
		},
	}
}

// ClientTLS returns the configuration with which a peer dials a server of its own region, by link (one of Protocols) or
// by HTTPS. The server is known by its identity (kind server, same region), not by its host name: addresses of servers
// change and devices often know only an IP.
func ClientTLS(m *Material, clock *Clock, protocols ...string) *tls.Config {
	own := m.certificate(false)
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: protocols,
		// Resumption, too, judges time by what is known and not by the wall.
		Time: func() time.Time { return clock.Now(m.Cert.NotBefore) },
		// Always present the certificate. Left to itself the TLS stack sends none when the server names another CA,
		// and the refusal then misleads: "certificate required" instead of "unknown CA".
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },
		InsecureSkipVerify:   true, // replaced by VerifyConnection, which checks the chain but not the host name
		VerifyConnection: func(cs tls.ConnectionState) error {
			return verifyServerOf(m, cs.PeerCertificates, clock)
		},
	}
}

// JoinTLS returns the configuration of a device's first contact: the server's chain must hold the CA with this
// fingerprint, and the device shows a self-signed certificate of its new key, whose possession the handshake proves.
func JoinTLS(fingerprint string, key crypto.Signer, clock *Clock) (*tls.Config, error) {
	template, err := template("dunlin join", clock.Now(), JoinCertTTL)
	if err != nil {
		return nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	cert, err := create(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	own := tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		NextProtos:           []string{ProtocolJoin},
		Time:                 func() time.Time { return clock.Now() },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },
		InsecureSkipVerify:   true, // replaced by VerifyConnection, which pins the CA
		VerifyConnection: func(cs tls.ConnectionState) error {
			ca, err := PinnedCA(cs.PeerCertificates, fingerprint)
			if err != nil {
				return err
			}
			pool := x509.NewCertPool()
			pool.AddCert(ca)
			return verifyServer(cs.PeerCertificates, ca, pool, "", clock)
		},
	}, nil
}

// PinnedCA finds the CA with this fingerprint in a chain that a server presented.
func PinnedCA(chain []*x509.Certificate, fingerprint string) (*x509.Certificate, error) {
	shown := "none"
	for _, cert := range chain {
		if !cert.IsCA {
			continue
		}
		if shown = Fingerprint(cert); shown == fingerprint {
			return cert, nil
		}
	}
	return nil, &Refusal{Reason: WrongFingerprint,
		Detail: fmt.Sprintf("the server's CA has fingerprint %s, the invite says %s", shown, fingerprint),
		Advice: "this is not the region that made the invite, or its CA was replaced: ask for a new invite (dunlin node invite)"}
}

// verifyServerOf is verifyServer with the CA and the region of m. What was checked of a certificate stays true but for its time, so
// a device that comes back to its server, which resumes its session, does not reckon the signature again.
func verifyServerOf(m *Material, chain []*x509.Certificate, clock *Clock) error {
	if known := m.server.Load(); known != nil && len(chain) > 0 && known.Equal(chain[0]) {
		now := clock.Now(m.Cert.NotBefore, known.NotBefore, m.CA.NotBefore)
		if !now.After(known.NotAfter) && !now.After(m.CA.NotAfter) {
			return nil
		}
	}
	if err := verifyServer(chain, m.CA, m.pool, m.Identity.Region, clock, m.Cert.NotBefore); err != nil {
		return err
	}
	m.server.Store(chain[0])
	return nil
}

// verifyServer checks a server's chain against one CA. An empty region accepts any, for the join, where the pinned CA
// decides alone. The moments in passed are known to have passed (see Clock).
func verifyServer(chain []*x509.Certificate, ca *x509.Certificate, pool *x509.CertPool, region string, clock *Clock, passed ...time.Time) error {
	if len(chain) == 0 {
		return &Refusal{Reason: BadCertificate, Detail: "the server showed no certificate"}
	}
	leaf := chain[0]
	now := clock.Now(append(passed, leaf.NotBefore, ca.NotBefore)...)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return explainServer(err, leaf, now)
	}
	id, err := CertificateIdentity(leaf)
	if err != nil {
		return &Refusal{Reason: BadCertificate, Detail: "the server's certificate is not one of Dunlin's", cause: err}
	}
	if id.Kind != KindServer {
		return &Refusal{Reason: WrongKind, Detail: fmt.Sprintf("the peer is %s, not a server", id), Advice: "check the address"}
	}
	if region != "" && id.Region != region {
		return &Refusal{Reason: WrongRegion, Detail: fmt.Sprintf("the peer is %s; this client belongs to region %q", id, region), Advice: "check the address"}
	}
	return nil
}

func explainServer(err error, leaf *x509.Certificate, now time.Time) error {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return &Refusal{Reason: Expired, cause: err,
			Detail: fmt.Sprintf("the server's certificate expired on %s and it is %s here", day(leaf.NotAfter), day(now)),
			Advice: "if this machine's clock is wrong, set it; else renew the server's certificate (dunlin tls cert create)"}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return &Refusal{Reason: UnknownCA, cause: err,
			Detail: "the server's certificate is not signed by this client's CA",
			Advice: "check the address; if the region's CA was replaced, run: dunlin join INVITE"}
	}
	return &Refusal{Reason: BadCertificate, Detail: "the server's certificate is not valid", cause: err}
}
