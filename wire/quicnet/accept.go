package quicnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// greeting is the byte with which a server says that it has accepted a link: the version of this convention.
const greeting = 1

var errBusy = errors.New("too many handshakes in progress")

// attempt is what the endpoint knows of a connection from its first packet on.
type attempt struct {
	endpoint *Endpoint
	finished sync.Once
	accepted atomic.Bool
	turn     atomic.Bool // it has one of the endpoint's turns
	window   budget
}

type attemptKey struct{}

// room is how many handshakes may be in progress: as many as this machine ends within HandshakeWait. With more, on a slow or
// busy machine, each would wait until its peer has given it up, and all the work on it would be for nothing.
func (e *Endpoint) room() int64 {
	rate := e.counts.Get(0).Rate
	if rate == 0 {
		return HandshakesMax
	}
	return min(max(int64(rate*HandshakeWait.Seconds()), HandshakesRetry), HandshakesMax)
}

// waitTurn holds a handshake back before it costs anything but its place: TurnsMax of them are reckoned at once. A thousand
// goroutines that all reckon keys leave the one that reads the socket its turn once a second; packets and refusals are lost
// then, every peer repeats itself, and the machine is busy with what is for nothing.
func (e *Endpoint) waitTurn(ctx context.Context) error {
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return nil
	}
	select {
	case e.turns <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.closing:
		return net.ErrClosed
	}
	a.turn.Store(true)
	// A peer that is slow or silent must not hold up the others.
	time.AfterFunc(TurnMax, a.endTurn)
	return nil
}

func (a *attempt) endTurn() {
	if a.turn.CompareAndSwap(true, false) {
		<-a.endpoint.turns
	}
}

// admit counts a new connection as a handshake in progress, or refuses it.
func (e *Endpoint) admit(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	if e.handshakes.Add(1) > e.room() {
		e.handshakes.Add(-1)
		e.counts.Failed()
		return nil, errBusy
	}
	a := &attempt{endpoint: e}
	a.window.limit.Store(link.SmallLinkWindow) // until the protocol is known
	context.AfterFunc(ctx, a.finish)
	return context.WithValue(ctx, attemptKey{}, a), nil
}

func (a *attempt) finish() {
	a.finished.Do(func() {
		a.endTurn()
		a.endpoint.handshakes.Add(-1)
		if !a.accepted.Load() {
			a.endpoint.counts.Failed()
		}
	})
}

// budget holds the receive window of one accepted link within its protocol's profile.
type budget struct {
	limit   atomic.Uint64
	granted atomic.Uint64
}

// allowIncrease is called inside QUIC's flow control; it may only look at the connection's context.
func allowIncrease(conn *quic.Conn, delta uint64) bool {
	a, ok := conn.Context().Value(attemptKey{}).(*attempt)
	return !ok || a.window.grant(delta)
}

// grant is called by one connection's flow control, under its lock.
func (b *budget) grant(delta uint64) bool {
	if link.SmallLinkWindow+b.granted.Load()+delta > b.limit.Load() {
		return false
	}
	b.granted.Add(delta)
	return true
}

// acceptLoop hands finished connections to the queues of their protocols. It is run by Acceptors goroutines: QUIC refuses
// what was finished while none of them listens and its own short queue is full, when both ends have paid for it.
func (e *Endpoint) acceptLoop() {
	for {
		conn, err := e.listener.Accept(context.Background())
		if err != nil {
			return // only when the transport is closed
		}
		e.acceptOne(conn)
	}
}

func (e *Endpoint) acceptOne(conn *quic.Conn) {
	state := conn.ConnectionState().TLS
	if a, ok := conn.Context().Value(attemptKey{}).(*attempt); ok {
		a.accepted.Store(true)
		a.finish()
		e.counts.Finished(time.Now(), state.DidResume, int(e.handshakes.Load()))
		a.window.limit.Store(e.options.Profile(state.NegotiatedProtocol).LinkWindow)
	}
	l, err := e.newLink(conn, state, false)
	if err != nil {
		refuse(conn, link.CodeInternal, err.Error())
		return
	}
	if state.NegotiatedProtocol != trust.ProtocolJoin {
		id, err := trust.CertificateIdentity(state.PeerCertificates[0])
		if err != nil { // the handshake has checked it already
			refuse(conn, link.CodeRefused, err.Error())
			return
		}
		l.peer = id
	}
	q := e.queues[state.NegotiatedProtocol]
	if q == nil {
		refuse(conn, link.CodeRefused, "protocol not spoken here")
		return
	}
	if !e.track(l, true) {
		refuse(conn, link.CodeBusy, link.BusySpread.Reason("too many links"))
		return
	}
	if code, reason := q.Offer(l); code != link.CodeDone {
		l.closeWith(code, reason)
		return
	}
	if err := greet(conn); err != nil {
		l.closeWith(link.CodeProtocol, "cannot greet: "+err.Error())
	}
}

// greet needs no wait: the client allows one stream and far more than one byte on it.
func greet(conn *quic.Conn) error {
	s, err := conn.OpenUniStream()
	if err != nil {
		return err
	}
	if err := s.TryWriteAll([]byte{greeting}); err != nil {
		return err
	}
	return s.Close()
}

// Listener returns the listener of one protocol. All its callers share one queue.
func (e *Endpoint) Listener(protocol string) (link.Listener, error) {
	q := e.queues[protocol]
	if q == nil {
		return nil, fmt.Errorf("this endpoint does not listen for %q", protocol)
	}
	return q.Listener(e.Addr()), nil
}
