package tlsnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Dial implements link.Dialer. Several addresses of one host are tried, IPv6 and IPv4 side by side.
func (e *Endpoint) Dial(ctx context.Context, addr, protocol string) (link.Link, error) {
	if e.options.Credentials == nil {
		return nil, errors.New("dial: this endpoint has no credentials to dial with")
	}
	l, err := e.dial(ctx, addr, protocol)
	if err != nil {
		return nil, fmt.Errorf("dial %s over TLS (%s): %w", addr, protocol, err)
	}
	return l, nil
}

func (e *Endpoint) dial(ctx context.Context, addr, protocol string) (*tlsLink, error) {
	conf, err := e.options.Credentials.TLS(protocol)
	if err != nil {
		return nil, err
	}
	if err := trust.ScopedSessions(conf, e.sessions, protocol); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, HandshakeTimeout)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	raw, err := e.options.DialTCP(ctx, addr)
	if err != nil {
		return nil, e.explain(ctx, protocol, err)
	}
	l, err := e.greet(ctx, raw, conf, protocol)
	if err != nil {
		_ = raw.Close() // the reason to give up is the error to report
		return nil, e.explain(ctx, protocol, err)
	}
	return l, nil
}

// greet is the handshake and the exchange of settings, by which the server says that it has accepted the client.
func (e *Endpoint) greet(ctx context.Context, raw net.Conn, conf *tls.Config, protocol string) (*tlsLink, error) {
	under := &counted{Conn: raw}
	conn := tls.Client(under, conf)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	// From here on the context ends waiting by deadlines.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != protocol {
		return nil, trust.RemoteAlert(noProtocolAlert)
	}
	l := newLink(conn, under, state, e.options.Profile(protocol))
	if _, err := conn.Write(l.ours.append(nil)); err != nil {
		if said := l.readSettings(); said != nil {
			return nil, said // the server's alert says more than a broken pipe
		}
		return nil, err
	}
	l.greeted = true
	if err := l.readSettings(); err != nil {
		return nil, err
	}
	id, err := trust.CertificateIdentity(state.PeerCertificates[0])
	if err != nil {
		return nil, err
	}
	l.peer = id
	if !stop() {
		return nil, ctx.Err()
	}
	if !e.track(l) {
		return nil, net.ErrClosed
	}
	e.start(l)
	return l, nil
}

// noProtocolAlert is TLS's no_application_protocol: what a server says that knows ALPN. One that does not know it says
// nothing, and is as wrong.
const noProtocolAlert = 120

// readSettings reads the peer's first frame.
func (l *tlsLink) readSettings() error {
	var b [frameHead]byte
	if _, err := io.ReadFull(l.conn, b[:]); err != nil {
		return err
	}
	h, err := parseHead(b)
	if err != nil {
		return err
	}
	if h.kind != frameSettings && h.kind != frameClose {
		return fmt.Errorf("the peer's first frame is of type %d; want its settings", h.kind)
	}
	body := make([]byte, h.length)
	if _, err := io.ReadFull(l.conn, body); err != nil {
		return err
	}
	if h.kind == frameClose {
		return parseClose(body)
	}
	theirs, err := parseSettings(body)
	if err != nil {
		return err
	}
	l.agree(theirs)
	return nil
}

// explain puts a failure of dialling into words. The caller's own deadline or cancellation comes first.
func (e *Endpoint) explain(ctx context.Context, protocol string, err error) error {
	if _, closed := link.Closed(err); closed {
		return err
	}
	err = e.options.Credentials.Explain(protocol, err)
	if _, refused := errors.AsType[*trust.Refusal](err); refused {
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.DeadlineExceeded) {
			return fmt.Errorf("%w (%w)", errNoAnswer, cause)
		}
		return cause
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || timedOut(err) {
		return errNoAnswer
	}
	if broken(err) {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	return err
}
