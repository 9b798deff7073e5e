package trust

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
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

// ErrNotResumed says that a server did not take up the session that the client held.
var ErrNotResumed = errors.New("the server does not take up the session")

// Resuming is the configuration with which to take up the session that is kept of a server (by the name that its handshake goes by),
// or nil if none is. Such a handshake goes without the key exchange that also withstands quantum computers, which costs both sides
// a fifth of it and a metered link 2 KB: the session's secret was agreed upon under it and goes into all keys of the new link. A
// server that does not take the session up would leave the link with less, so the handshake then ends with ErrNotResumed; the session
// is forgotten, and the next attempt is one from the beginning. The TLS library forgets it after any failure; keep brings it back,
// for a failure that says nothing about it.
func Resuming(conf *tls.Config, server string) (light *tls.Config, keep func()) {
	if conf.ClientSessionCache == nil {
		return nil, nil
	}
	session, held := conf.ClientSessionCache.Get(server)
	if !held || session == nil {
		return nil, nil
	}
	light = conf.Clone()
	light.ServerName, light.CurvePreferences = server, []tls.CurveID{tls.X25519, tls.CurveP256}
	light.VerifyConnection = func(cs tls.ConnectionState) error {
		if !cs.DidResume {
			conf.ClientSessionCache.Put(server, nil)
			return ErrNotResumed
		}
		return conf.VerifyConnection(cs)
	}
	return light, func() { conf.ClientSessionCache.Put(server, session) }
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
