package cli

import (
	"context"
	"errors"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/tlsnet"
)

// udpPatience is how long nobody may answer over UDP before TCP is tried, where the server has both.
const udpPatience = 6 * time.Second

// ways are both transports with the same credentials.
type ways struct {
	quic *quicnet.Endpoint
	tls  *tlsnet.Endpoint
}

func newWays(c quicnet.Credentials) (*ways, error) {
	quic, err := quicnet.Open("", quicnet.Options{Credentials: c})
	if err != nil {
		return nil, err
	}
	tls, err := tlsnet.Open("", tlsnet.Options{Credentials: c})
	if err != nil {
		return nil, errors.Join(err, quic.Close())
	}
	return &ways{quic, tls}, nil
}

// Close ends both.
func (w *ways) Close() { _ = errors.Join(w.quic.Close(), w.tls.Close()) } // nothing of them is needed any more

// dial tries QUIC, and where nobody answers TLS over TCP. A server that refuses over one would refuse over the other.
func (w *ways) dial(ctx context.Context, s link.Server, protocol string) (link.Link, error) {
	if s.QUIC == "" {
		return w.tls.Dial(ctx, s.TLS, protocol)
	}
	patience, cancel := ctx, context.CancelFunc(func() {})
	if s.TLS != "" {
		patience, cancel = context.WithTimeout(ctx, udpPatience)
	}
	defer cancel()
	l, err := w.quic.Dial(patience, s.QUIC, protocol)
	if err == nil || s.TLS == "" || !errors.Is(err, link.ErrNoAnswer) {
		return l, err
	}
	l, tlsErr := w.tls.Dial(ctx, s.TLS, protocol)
	if tlsErr != nil {
		return nil, errors.Join(err, tlsErr)
	}
	return l, nil
}
