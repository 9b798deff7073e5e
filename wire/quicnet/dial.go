package quicnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// DialStagger is the head start of one address of a host before the next is tried beside it. UDP does not tell that
// nobody listens, so trying them one after the other would cost a full timeout for each dead one.
const DialStagger = 250 * time.Millisecond

// DialAddressesMax bounds the addresses of one host that are tried.
const DialAddressesMax = 4

// Dial implements link.Dialer.
func (e *Endpoint) Dial(ctx context.Context, addr, protocol string) (link.Link, error) {
	if e.options.Credentials == nil {
		return nil, errors.New("dial: this endpoint has no credentials to dial with")
	}
	l, err := e.dial(ctx, addr, protocol)
	if err != nil {
		return nil, fmt.Errorf("dial %s (%s): %w", addr, protocol, err)
	}
	return l, nil
}

func (e *Endpoint) dial(ctx context.Context, addr, protocol string) (*quicLink, error) {
	conf, err := e.options.Credentials.TLS(protocol)
	if err != nil {
		return nil, err
	}
	targets, err := resolve(ctx, addr)
	if err != nil {
		return nil, err
	}
	if err := trust.ScopedSessions(conf, e.sessions, protocol); err != nil {
		return nil, err
	}
	return e.race(ctx, targets, conf, protocol)
}

// resolve turns host:port into addresses, the best first.
func resolve(ctx context.Context, addr string) ([]netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return []netip.AddrPort{ap}, nil
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: want host:port", addr)
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return nil, fmt.Errorf("address %q: port: %w", addr, err)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("look up %q: %w", host, err)
	}
	var targets []netip.AddrPort
	for _, ip := range ips[:min(len(ips), DialAddressesMax)] {
		targets = append(targets, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	return targets, nil
}

// race tries the addresses, each with a head start before the next, and keeps the first that answers. It returns only
// when all tries have ended.
func (e *Endpoint) race(ctx context.Context, targets []netip.AddrPort, conf *tls.Config, protocol string) (*quicLink, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		link *quicLink
		err  error
	}
	results := make(chan result, len(targets))
	for i, target := range targets {
		go func() {
			if !sleep(ctx, time.Duration(i)*DialStagger) {
				results <- result{err: ctx.Err()}
				return
			}
			l, err := e.reach(ctx, net.UDPAddrFromAddrPort(target), conf, protocol)
			results <- result{l, err}
		}()
	}
	var won *quicLink
	var first error
	for range targets {
		r := <-results
		switch {
		case r.err == nil && won == nil:
			won = r.link
			cancel()
		case r.err == nil:
			r.link.closeWith(link.CodeCanceled, "another address answered first")
		case first == nil || more(r.err, first):
			first = r.err
		}
	}
	if won != nil {
		return won, nil
	}
	return nil, first
}

// more reports whether an error says more than another: an answer says more than silence.
func more(a, b error) bool {
	return errors.Is(b, link.ErrNoAnswer) && !errors.Is(a, link.ErrNoAnswer) && !errors.Is(a, context.Canceled)
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// reach dials one address, with the session that is kept of it if there is one.
func (e *Endpoint) reach(ctx context.Context, target *net.UDPAddr, conf *tls.Config, protocol string) (*quicLink, error) {
	if light, keep := trust.Resuming(conf, target.IP.String()); light != nil {
		l, err := e.try(ctx, target, light, protocol)
		if _, closed := link.Closed(err); closed || errors.Is(err, link.ErrNoAnswer) || errors.Is(err, context.Canceled) {
			keep() // a server that is busy or away will know it when there is room, or it is back
		}
		if !errors.Is(err, trust.ErrNotResumed) {
			return l, err
		}
	}
	return e.try(ctx, target, conf, protocol)
}

// try dials one address and waits for the greeting.
func (e *Endpoint) try(ctx context.Context, target net.Addr, conf *tls.Config, protocol string) (*quicLink, error) {
	conn, err := e.transport.Dial(ctx, target, conf, dialConfig(e.options.Profile(protocol)))
	if err != nil {
		return nil, e.explain(ctx, protocol, err)
	}
	if err := awaitGreeting(ctx, conn); err != nil {
		refuse(conn, link.CodeCanceled, "no greeting")
		return nil, e.explain(ctx, protocol, err)
	}
	state := conn.ConnectionState().TLS
	l, err := e.newLink(conn, state, true)
	if err != nil {
		refuse(conn, link.CodeInternal, err.Error())
		return nil, err
	}
	l.peer, err = trust.CertificateIdentity(state.PeerCertificates[0])
	if err != nil {
		refuse(conn, link.CodeRefused, err.Error())
		return nil, err
	}
	if !e.track(l, false) {
		refuse(conn, link.CodeShutdown, "the process stops")
		return nil, net.ErrClosed
	}
	return l, nil
}

func awaitGreeting(ctx context.Context, conn *quic.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, HandshakeTimeout)
	defer cancel()
	s, err := conn.AcceptUniStream(ctx)
	if err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	if err := s.SetReadDeadline(deadline); err != nil {
		return err
	}
	said, err := io.ReadAll(io.LimitReader(s, 2))
	if err != nil {
		return err
	}
	if len(said) != 1 || said[0] != greeting {
		return fmt.Errorf("the server greets with %q; want version %d: upgrade the older side", said, greeting)
	}
	return nil
}

// explain puts a failure of dialling into words. The caller's own deadline or cancellation comes first.
func (e *Endpoint) explain(ctx context.Context, protocol string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.DeadlineExceeded) {
			return fmt.Errorf("%w (%w)", link.ErrNoAnswer, cause)
		}
		return cause
	}
	err = words(err)
	if errors.Is(err, link.ErrSilent) || errors.Is(err, context.DeadlineExceeded) {
		return link.ErrNoAnswer
	}
	return e.options.Credentials.Explain(protocol, err)
}
