package quicnet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// quicLink is a link.Link over one QUIC connection.
type quicLink struct {
	conn     *quic.Conn
	peer     trust.Identity
	protocol string
	chain    []*x509.Certificate
	resumed  bool
	endpoint *Endpoint
	side     *beside

	accepting chan struct{} // held by the one who waits for a stream
	receiving chan struct{} // held by the one who waits for a datagram

	ctx context.Context // ends with the reason in words
	end context.CancelCauseFunc
}

var _ link.Link = (*quicLink)(nil)

func (e *Endpoint) newLink(conn *quic.Conn, state tls.ConnectionState, dialed bool) (*quicLink, error) {
	l := &quicLink{conn: conn, protocol: state.NegotiatedProtocol, chain: state.PeerCertificates, resumed: state.DidResume, endpoint: e,
		accepting: make(chan struct{}, 1), receiving: make(chan struct{}, 1)}
	var err error
	if l.side, err = newBeside(state, e.options.Profile(l.protocol), dialed); err != nil {
		return nil, err
	}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	return l, nil
}

func (l *quicLink) Peer() trust.Identity                  { return l.peer }
func (l *quicLink) Protocol() string                      { return l.protocol }
func (l *quicLink) PeerCertificates() []*x509.Certificate { return l.chain }
func (l *quicLink) Transport() link.Transport             { return link.TransportQUIC }
func (l *quicLink) LocalAddr() net.Addr                   { return l.conn.LocalAddr() }
func (l *quicLink) RemoteAddr() net.Addr                  { return l.conn.RemoteAddr() }
func (l *quicLink) Context() context.Context              { return l.ctx }

func (l *quicLink) OpenStream(ctx context.Context) (link.Stream, error) {
	s, err := l.conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, words(err)
	}
	return &stream{quic: s}, nil
}

// AcceptStream lets one caller wait at a time. The library wakes one of several for all streams that come at once, and one that
// begins to wait takes the wake-up of another: streams stay that nobody takes, until the link ends for want of news (seen in two
// of some two thousand runs of the conformance suite, which waits with 300).
func (l *quicLink) AcceptStream(ctx context.Context) (link.Stream, error) {
	select {
	case l.accepting <- struct{}{}:
		defer func() { <-l.accepting }()
	case <-l.conn.Context().Done(): // the words for that are below
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s, err := l.conn.AcceptStream(ctx)
	if err != nil {
		return nil, words(err)
	}
	return &stream{quic: s}, nil
}

func (l *quicLink) SendDatagram(p []byte) error {
	if l.sendBeside(p) {
		return nil
	}
	err := words(l.conn.SendDatagram(p))
	if tooLong, ok := err.(*link.DatagramSizeError); ok {
		tooLong.Size = len(p)
	}
	return err
}

func (l *quicLink) ReceiveDatagram(ctx context.Context) ([]byte, error) {
	if ctx.Err() != nil {
		return l.receiveAtOnce(ctx)
	}
	select {
	case l.receiving <- struct{}{}:
		defer func() { <-l.receiving }()
	case <-l.conn.Context().Done():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		waiting, wake := context.WithCancel(ctx)
		if p := l.side.take(wake); p != nil {
			wake()
			return p, nil
		}
		p, err := l.conn.ReceiveDatagram(waiting)
		woken := waiting.Err() != nil && ctx.Err() == nil
		wake()
		if p != nil || !woken || l.conn.Context().Err() != nil {
			return p, words(err)
		}
	}
}

// receiveAtOnce takes what is there, for a context that has ended.
func (l *quicLink) receiveAtOnce(ctx context.Context) ([]byte, error) {
	p, look := l.side.takeAtOnce()
	if p != nil || !look {
		return p, causeUnless(p, ctx)
	}
	p, err := l.conn.ReceiveDatagram(atOnce{ctx})
	if p != nil {
		l.side.mu.Lock()
		l.side.steady = false
		l.side.mu.Unlock()
	}
	if err == nil {
		err = causeUnless(p, ctx)
	}
	return p, words(err)
}

// causeUnless is the reason why nothing was taken; what mostly is: a server looks through all its links.
func causeUnless(p []byte, ctx context.Context) error {
	if p != nil {
		return nil
	}
	return context.Cause(ctx)
}

// atOnce is a context that has ended and denies it: the library asks for the end before it looks for a datagram, and here a
// datagram comes first.
type atOnce struct{ context.Context }

// Err implements context.Context, for context.Cause.
func (atOnce) Err() error { return nil }

// Value implements context.Context; context.Cause would find the true end by it.
func (atOnce) Value(any) any { return nil }

func (l *quicLink) Close(code link.Code, reason string) error {
	l.closeWith(code, reason)
	return nil
}

// closeWith returns when the connection has ended and the peer was told.
func (l *quicLink) closeWith(code link.Code, reason string) {
	refuse(l.conn, code, reason)
	l.end(words(context.Cause(l.conn.Context())))
}

func refuse(conn *quic.Conn, code link.Code, reason string) {
	if len(reason) > link.ReasonBytesMax {
		reason = reason[:link.ReasonBytesMax]
	}
	// Its error is always nil.
	_ = conn.CloseWithError(quic.ApplicationErrorCode(code), reason)
}

func (l *quicLink) Stats() link.Stats {
	c := l.conn.ConnectionStats()
	s := l.side
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := link.Stats{SentBytes: c.BytesSent + s.sent.bytes, ReceivedBytes: c.BytesReceived + s.received.bytes,
		SentPackets: c.PacketsSent + s.sent.packets, ReceivedPackets: c.PacketsReceived + s.received.packets,
		LostPackets: c.PacketsLost + s.lost, RoundTrip: c.SmoothedRTT, Resumed: l.resumed}
	if s.rtt != 0 { // of each beat; the connection's is of when it was last used
		stats.RoundTrip = s.rtt
	}
	return stats
}

// stream is a link.Stream over one QUIC stream.
type stream struct {
	quic  *quic.Stream
	write sync.Mutex // QUIC forbids Close beside Write
	reset atomic.Bool
}

var _ link.Stream = (*stream)(nil)

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.quic.Read(p)
	return n, words(err)
}

func (s *stream) Write(p []byte) (int, error) {
	s.write.Lock()
	defer s.write.Unlock()
	n, err := s.quic.Write(p)
	return n, words(err)
}

func (s *stream) CloseWrite() error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.reset.Load() {
		return nil
	}
	if err := s.quic.Close(); err != nil { // writing ended before; the context knows why
		return words(context.Cause(s.quic.Context()))
	}
	return nil
}

// Close is graceful unless a Write is under way, which it then cuts short: callers of net.Conn expect that.
func (s *stream) Close() error {
	if !s.write.TryLock() {
		s.Reset(link.CodeCanceled)
		return nil
	}
	defer s.write.Unlock()
	if !s.reset.Load() {
		_ = s.quic.Close() // fails only if writing has ended already
	}
	s.quic.CancelRead(quic.StreamErrorCode(link.CodeDone))
	return nil
}

func (s *stream) Reset(code link.Code) {
	s.reset.Store(true)
	s.quic.CancelRead(quic.StreamErrorCode(code))
	s.quic.CancelWrite(quic.StreamErrorCode(code))
}
func (s *stream) SetDeadline(t time.Time) error      { return s.quic.SetDeadline(t) }
func (s *stream) SetReadDeadline(t time.Time) error  { return s.quic.SetReadDeadline(t) }
func (s *stream) SetWriteDeadline(t time.Time) error { return s.quic.SetWriteDeadline(t) }
func (s *stream) Context() context.Context           { return s.quic.Context() }
