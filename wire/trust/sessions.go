package trust

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
)

// ScopedSessions gives a dialling configuration a session cache in which the sessions of one protocol and certificate are
// apart from all others: a session stands for the identity with which it was made, so one must not be taken up again
// after the certificate has changed. A join is never resumed.
func ScopedSessions(conf *tls.Config, cache tls.ClientSessionCache, protocol string) error {
	if protocol == ProtocolJoin {
		return nil
	}
	scope, err := sessionScope(conf, protocol)
	if err != nil {
		return err
	}
	conf.ClientSessionCache = &sessions{cache: cache, scope: scope}
	return nil
}

type sessions struct {
	cache tls.ClientSessionCache
	scope string
}

func (s *sessions) Get(key string) (*tls.ClientSessionState, bool) { return s.cache.Get(s.scope + key) }

func (s *sessions) Put(key string, state *tls.ClientSessionState) { s.cache.Put(s.scope+key, state) }

func sessionScope(conf *tls.Config, protocol string) (string, error) {
	scope := protocol + " "
	if conf.GetClientCertificate == nil {
		return scope, nil
	}
	cert, err := conf.GetClientCertificate(&tls.CertificateRequestInfo{Version: tls.VersionTLS13})
	if err != nil {
		return "", fmt.Errorf("own certificate: %w", err)
	}
	if len(cert.Certificate) > 0 {
		sum := sha256.Sum256(cert.Certificate[0])
		scope += hex.EncodeToString(sum[:8]) + " "
	}
	return scope, nil
}
