package enroll

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Renew makes the successor of a certificate whose key the link's handshake has
// proved. The certificate itself may have expired: a device that was off for a
// year comes back by itself.
func (s *Service) Renew(ctx context.Context, id trust.Identity, leaf *x509.Certificate) *wire.RenewAnswer {
	refuse := func(format string, args ...any) *wire.RenewAnswer {
		why := fmt.Sprintf(format, args...)
		s.Logger.Warn("renewal refused", "peer", id, "reason", why)
		return &wire.RenewAnswer{Error: why}
	}
	now := s.Now()
	if early := trust.RenewEarliest(leaf); now.Before(early) {
		return refuse("this certificate is not renewed before %s", early.UTC().Format(time.RFC3339))
	}
	if known := s.Store.View().Identity(id.Peer()); known != nil && known.KeyHash == trust.KeyHash(leaf) && !known.Revoked() {
		// An answer may have been lost, so more than one successor is allowed, but each
		// is an entry of the log.
		ttl := s.CertTTL
		if ttl == 0 {
			ttl = NodeCertTTL
		}
		made := time.Unix(0, known.CertExpiresAt).Add(-ttl)
		if known.CertExpiresAt > leaf.NotAfter.UnixNano() && now.Sub(made) < min(renewPause, ttl/2) {
			return refuse("a successor was made %s ago; ask again after %s", now.Sub(made).Round(time.Second), renewPause)
		}
	}
	cert, err := s.sign(ctx, id, leaf, true)
	if err != nil {
		return refuse("not renewed: %v", err)
	}
	s.Logger.Info("certificate renewed", "peer", id, "until", cert.NotAfter)
	return &wire.RenewAnswer{CertPEM: trust.EncodeCert(cert)}
}

// ServeRenewals answers devices whose certificates have expired, until ctx ends.
func (s *Service) ServeRenewals(ctx context.Context, listeners ...link.Listener) error {
	return s.serveLinks(ctx, listeners, s.serveRenewal)
}

func (s *Service) serveRenewal(ctx context.Context, k link.Link) {
	st, err := k.AcceptStream(ctx)
	if err != nil {
		return
	}
	defer st.Close()
	var h wire.Header
	if err := wire.Read(st, &h); err != nil || h.Kind != wire.KindRenew {
		_ = k.Close(link.CodeProtocol, "an expired certificate may do one thing: renew")
		return
	}
	if err := wire.Read(st, &wire.RenewRequest{}); err != nil {
		_ = k.Close(link.CodeProtocol, "the request does not decode")
		return
	}
	answer := s.Renew(ctx, k.Peer(), k.PeerCertificates()[0])
	if wire.Write(st, answer) == nil && st.CloseWrite() == nil {
		awaitEnd(ctx, k)
	}
}

// awaitEnd waits until the device has its answer on disk and ends the link.
func awaitEnd(ctx context.Context, k link.Link) {
	select {
	case <-k.Context().Done():
	case <-ctx.Done():
	}
}
