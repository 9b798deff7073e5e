package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dunlin-edge/dunlin/edge/reach"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Limits of renewing the device's certificate.
const (
	RenewRetry   = 2 * time.Hour  // after a refusal or a failure; half of it to all of it is waited
	RenewLookMax = 12 * time.Hour // longest wait between two looks: a machine that sleeps stops the clock
)

// expired says that a server refused the device's certificate as expired. The
// server's word decides and not the device's clock, which may be anything.
func expired(err error) bool {
	r, ok := errors.AsType[*trust.Refusal](err)
	return ok && r.Remote && r.Reason == trust.Expired
}

// returnExpired renews an expired certificate, which is all that it is good for,
// and dials again.
func (s *Session) returnExpired(ctx context.Context, at reach.Attempt, refused error) (link.Link, error) {
	l, err := s.dialer(at.Transport).Dial(ctx, at.Address, trust.ProtocolRenew)
	if err == nil {
		err = s.renew(ctx, l)
		if cerr := l.Close(link.CodeDone, "renewed"); cerr != nil {
			s.opts.Log.Debug("close a link", "error", cerr)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w; renewing it failed: %w", refused, err)
	}
	return s.dialer(at.Transport).Dial(ctx, at.Address, trust.ProtocolEdge)
}

// keepCertificate renews the device's certificate in time, over the link that it
// has. told is the server's time at the link's begin; the device's own clock only
// says how long ago that was.
func (s *Session) keepCertificate(ctx context.Context, l link.Link, told time.Time) error {
	if s.opts.Certificates == nil {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	began, pause := time.Now(), time.Duration(0)
	for {
		now := told.Add(time.Since(began))
		wait := min(max(trust.RenewAt(s.opts.Certificates.Material().Cert).Sub(now), pause), RenewLookMax)
		if wait > 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(wait):
			}
			pause = 0
			continue
		}
		if err := s.renew(ctx, l); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			// Nothing is lost yet: the link stays, and a third of the life is left.
			pause = RenewRetry/2 + rand.N(RenewRetry/2)
			s.opts.Log.Warn("the certificate was not renewed", "until", s.opts.Certificates.Material().Cert.NotAfter, "cause", err, "again_in", pause)
		}
	}
}

// renew asks for a new certificate and takes it into use.
func (s *Session) renew(ctx context.Context, l link.Link) error {
	st, err := s.open(ctx, l, wire.KindRenew, &wire.RenewRequest{})
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // the answer is what counts
	var answer wire.RenewAnswer
	if err := readSoon(st, &answer); err != nil {
		return fmt.Errorf("read the new certificate: %w", err)
	}
	if answer.Error != "" {
		return fmt.Errorf("the region: %s", answer.Error)
	}
	cert, err := trust.DecodeCert(answer.CertPEM)
	if err != nil {
		return fmt.Errorf("the new certificate: %w", err)
	}
	if err := s.opts.Certificates.Renewed(cert); err != nil {
		return err
	}
	s.opts.Log.Info("certificate renewed", "until", cert.NotAfter)
	return nil
}

// serveProbe tells the server that this device is still at the end of its link.
func (s *Session) serveProbe(_ context.Context, st link.Stream) error {
	if err := wire.Write(st, &wire.ProbeAnswer{Place: s.opts.Place}); err != nil {
		s.opts.Log.Debug("a probe was not answered", "error", err)
	}
	if err := st.Close(); err != nil {
		s.opts.Log.Debug("close a probe", "error", err)
	}
	return nil
}
