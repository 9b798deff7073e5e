package tlsnet

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// acceptLoop takes connections while there is room for handshakes; further ones wait in the kernel's queue.
func (e *Endpoint) acceptLoop() {
	for {
		conn, err := e.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !sleep(e.ctx, AcceptPause) {
				return
			}
			continue
		}
		select {
		case e.inProgress <- struct{}{}:
		case <-e.ctx.Done():
			_ = conn.Close()
			return
		}
		e.work.Add(1) // beside this goroutine's own count, so never from zero
		go func() {
			defer e.work.Done()
			defer func() { <-e.inProgress }()
			if err := e.handshake(conn); err != nil {
				e.counts.Failed()
				part(conn)
			}
		}()
	}
}

// part closes the connection of a handshake that failed. What failed has said so to the client, and a connection that is
// closed with unread bytes in it is reset, which may overtake the words: so the client gets a moment to close first.
func part(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil && conn.SetDeadline(time.Now().Add(CloseTimeout)) == nil {
		_, _ = io.CopyN(io.Discard, conn, FrameBytesMax)
	}
	_ = conn.Close()
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// handshake makes a link of an accepted connection and offers it to its protocol's queue.
func (e *Endpoint) handshake(raw net.Conn) error {
	ctx, cancel := context.WithTimeout(e.ctx, HandshakeTimeout)
	defer cancel()
	under := &counted{Conn: raw}
	conn := tls.Server(under, e.options.ServerTLS)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	state := conn.ConnectionState()
	q := e.queues[state.NegotiatedProtocol]
	if q == nil {
		return errors.New("a client without one of the protocols")
	}
	l := newLink(conn, under, state, e.options.Profile(state.NegotiatedProtocol))
	l.accepted = true
	if state.NegotiatedProtocol != trust.ProtocolJoin {
		id, err := trust.CertificateIdentity(state.PeerCertificates[0])
		if err != nil { // the handshake has checked it already
			return err
		}
		l.peer = id
	}
	// The client's settings are in its last packet of the handshake or right behind.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	if err := l.readSettings(); err != nil || !stop() {
		stop()
		return errors.Join(err, ctx.Err())
	}
	if !e.track(l) {
		return refuse(conn, link.CodeBusy, link.BusySpread.Reason("too many links"))
	}
	if code, reason := q.Offer(l); code != link.CodeDone {
		e.work.Add(-2)
		e.forget(l)
		return refuse(conn, code, reason)
	}
	e.counts.Finished(time.Now(), state.DidResume, len(e.inProgress))
	e.start(l)
	return nil
}

// refuse tells a client why it is not served. Its error is for the caller to end the connection with.
func refuse(conn *tls.Conn, code link.Code, reason string) error {
	closed := &link.CloseError{Code: code, Reason: reason}
	if err := conn.SetWriteDeadline(time.Now().Add(CloseTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write(appendClose(nil, closed)); err != nil {
		return err
	}
	return closed
}
