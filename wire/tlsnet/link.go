package tlsnet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// tcpHeader is what IPv4 and TCP with timestamps add to each packet.
const tcpHeader = 52

// tlsLink is a link.Link over one TLS connection.
type tlsLink struct {
	conn     *tls.Conn
	under    *counted
	peer     trust.Identity
	protocol string
	chain    []*x509.Certificate
	resumed  bool
	accepted bool
	began    time.Time
	ours     settings
	theirs   settings
	silence  // when the peer was heard of

	ctx context.Context // ends with the reason in words
	end context.CancelCauseFunc

	wake      chan struct{} // one token: the writer has something to do
	wrote     chan struct{} // closed when the writer has ended
	accepts   chan *stream  // opened by the peer, not taken yet
	slots     chan struct{} // one token per stream of ours
	datagrams chan []byte   // received, not taken yet
	outgoing  chan []byte   // datagrams to send

	mu       sync.Mutex
	ended    bool
	farewell *link.CloseError // to be sent as the last frame; nil when there is nobody to tell
	greeted  bool             // our settings are sent
	pong     bool             // the peer asked
	ping     bool
	streams  map[uint32]*stream
	ready    []*stream // have something to send, each once
	blocked  []*stream // wait for the link's credit, each once
	nextOwn  uint32
	nextPeer uint32
	peerOpen int // streams of the peer that have not ended
	credit   int // bytes that the peer lets us send
	window   int // bytes that the peer may send
	owed     int // bytes taken by readers, not yet given back to the peer
}

var _ link.Link = (*tlsLink)(nil)

func newLink(conn *tls.Conn, under *counted, state tls.ConnectionState, p link.Profile) *tlsLink {
	l := &tlsLink{
		conn: conn, under: under, protocol: state.NegotiatedProtocol, chain: state.PeerCertificates, resumed: state.DidResume,
		began: time.Now(), ours: settingsOf(p), wake: make(chan struct{}, 1), wrote: make(chan struct{}),
		accepts: make(chan *stream, StreamsMax), datagrams: make(chan []byte, DatagramsMax), outgoing: make(chan []byte, DatagramsMax),
		streams: make(map[uint32]*stream), nextOwn: 1, nextPeer: 2,
	}
	l.silence.keepAlive = p.KeepAlive
	l.window = int(l.ours.linkWindow)
	l.ctx, l.end = context.WithCancelCause(context.Background())
	return l
}

// agree takes the peer's settings, before the link has goroutines.
func (l *tlsLink) agree(theirs settings) {
	l.theirs = theirs
	l.ours.idle = min(l.ours.idle, theirs.idle)
	l.credit = int(theirs.linkWindow)
	l.slots = make(chan struct{}, theirs.streams)
	if l.accepted {
		l.nextOwn, l.nextPeer = 2, 1
	}
	tune(l.under.Conn, l.ours.idle)
}

// after is the number of a side's next stream. Numbers wrap; those of streams that are open are far apart.
func after(id uint32) uint32 {
	if id += 2; id == 0 { // the link's own
		id = 2
	}
	return id
}

func (l *tlsLink) Peer() trust.Identity                  { return l.peer }
func (l *tlsLink) Protocol() string                      { return l.protocol }
func (l *tlsLink) Transport() link.Transport             { return link.TransportTLS }
func (l *tlsLink) PeerCertificates() []*x509.Certificate { return l.chain }
func (l *tlsLink) LocalAddr() net.Addr                   { return l.under.LocalAddr() }
func (l *tlsLink) RemoteAddr() net.Addr                  { return l.under.RemoteAddr() }
func (l *tlsLink) Context() context.Context              { return l.ctx }

// OpenStream takes one of the places that the peer allows. The stream's number comes with its first frame.
func (l *tlsLink) OpenStream(ctx context.Context) (link.Stream, error) {
	select {
	case <-l.ctx.Done():
		return nil, context.Cause(l.ctx)
	default:
	}
	select {
	case l.slots <- struct{}{}:
		return newStream(l, true), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.ctx.Done():
		return nil, context.Cause(l.ctx)
	}
}

func (l *tlsLink) AcceptStream(ctx context.Context) (link.Stream, error) {
	select {
	case s := <-l.accepts:
		return s, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.ctx.Done():
		return nil, context.Cause(l.ctx)
	}
}

func (l *tlsLink) SendDatagram(p []byte) error {
	if len(p) > DatagramBytesMax {
		return &link.DatagramSizeError{Size: len(p), Max: DatagramBytesMax}
	}
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	select {
	case l.outgoing <- append([]byte(nil), p...):
		l.poke()
		return nil
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	}
}

func (l *tlsLink) ReceiveDatagram(ctx context.Context) ([]byte, error) {
	select {
	case p := <-l.datagrams: // also when ctx has ended
		return p, nil
	default:
	}
	select {
	case p := <-l.datagrams:
		return p, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.ctx.Done():
		return nil, context.Cause(l.ctx)
	}
}

// Close returns when the peer was told, as far as the kernel takes it within CloseTimeout.
func (l *tlsLink) Close(code link.Code, reason string) error {
	l.beginClose(code, reason)
	<-l.wrote
	return nil
}

// beginClose ends the link at once and lets the writer tell the peer.
func (l *tlsLink) beginClose(code link.Code, reason string) {
	closed := &link.CloseError{Code: code, Reason: reason}
	l.finish(closed, closed)
}

// finish ends the link for the reason given. Only the first reason counts.
func (l *tlsLink) finish(reason error, tell *link.CloseError) {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.ended, l.farewell = true, tell
	l.mu.Unlock()
	l.silence.stop()
	l.end(reason)
	if tell == nil {
		_ = l.under.Close() // wakes both loops
	} else {
		// Whoever does not read or answer must not hold up the end.
		_ = l.conn.SetDeadline(time.Now().Add(CloseTimeout))
	}
	l.poke()
}

// poke wakes the writer.
func (l *tlsLink) poke() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake
	}
}

func (l *tlsLink) Stats() link.Stats {
	s := link.Stats{
		SentBytes: l.under.sent.Load(), ReceivedBytes: l.under.received.Load(), SentPackets: l.under.writes.Load(),
		ReceivedPackets: l.under.reads.Load(), PacketHeader: tcpHeader, Resumed: l.resumed, RoundTrip: l.silence.roundTrip(),
	}
	if i, ok := info(l.under.Conn); ok {
		s.SentPackets, s.ReceivedPackets, s.LostPackets, s.RoundTrip = i.sent, i.received, i.lost, i.roundTrip
	}
	return s
}
