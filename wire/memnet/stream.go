package memnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Limits of streams.
const (
	BacklogMax      = 4096                   // connections that nobody has accepted
	StreamBytesMax  = 64 << 10               // on their way in one direction; further writes wait
	SegmentBytesMax = 1400                   // lost or late as a whole
	Retransmit      = 200 * time.Millisecond // what a lost segment costs, and all behind it
)

// Filter drops all packets from and to a host, and lets streams pass, as a firewall does that knows no UDP.
func (n *Network) Filter(host netip.Addr, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if on {
		n.filtered[host] = true
	} else {
		delete(n.filtered, host)
	}
}

// StreamListener is a net.Listener on a Network.
type StreamListener struct {
	net     *Network
	addr    netip.AddrPort
	backlog chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

// ListenStream listens for reliable connections at a host's port, which is apart from the ports of packets.
func (n *Network) ListenStream(addr netip.AddrPort) (*StreamListener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[addr] != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, syscall.EADDRINUSE)
	}
	l := &StreamListener{net: n, addr: addr, backlog: make(chan net.Conn, BacklogMax), closed: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

// Accept implements net.Listener.
func (l *StreamListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Source: l.Addr(), Err: net.ErrClosed}
	}
}

// Addr implements net.Listener.
func (l *StreamListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// Close implements net.Listener. Connections that nobody accepted are reset.
func (l *StreamListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.net.mu.Lock()
		delete(l.net.listeners, l.addr)
		l.net.mu.Unlock()
		for len(l.backlog) > 0 {
			(<-l.backlog).(*Stream).out.breakOff()
		}
	})
	return nil
}

// DialStream connects from a host to a listener. Where nobody listens it is refused; into a cut it waits for ctx.
func (n *Network) DialStream(ctx context.Context, from netip.Addr, to string) (net.Conn, error) {
	target, err := netip.ParseAddrPort(to)
	if err != nil {
		return nil, err
	}
	for {
		n.mu.Lock()
		l, isCut, delay, healed := n.listeners[target], n.cuts[newCut(from, target.Addr())], n.cond.Delay, n.healed
		source := netip.AddrPortFrom(from, n.next)
		n.next++
		n.mu.Unlock()
		wait := time.After(2 * delay)
		if isCut {
			wait = nil
		}
		select {
		case <-ctx.Done():
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
		case <-healed:
			continue
		case <-wait:
		}
		if l == nil {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(target), Err: syscall.ECONNREFUSED}
		}
		there, back := newPipe(n, source, target), newPipe(n, target, source)
		select {
		case l.backlog <- &Stream{in: there, out: back, local: target, remote: source}:
			return &Stream{in: back, out: there, local: source, remote: target}, nil
		case <-l.closed:
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(target), Err: syscall.ECONNREFUSED}
		}
	}
}

// Stream is a net.Conn on a Network: ordered and reliable, so that loss shows as delay.
type Stream struct {
	in, out       *pipe
	local, remote netip.AddrPort
}

// Read implements net.Conn.
func (s *Stream) Read(b []byte) (int, error) { return s.in.read(b) }

// Write implements net.Conn.
func (s *Stream) Write(b []byte) (int, error) { return s.out.write(b) }

// CloseWrite ends one direction; the peer reads io.EOF.
func (s *Stream) CloseWrite() error {
	s.out.finish()
	return nil
}

// Close ends both directions. Bytes that were written still arrive.
func (s *Stream) Close() error {
	s.out.finish()
	s.in.abandon()
	return nil
}

// LocalAddr implements net.Conn.
func (s *Stream) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(s.local) }

// RemoteAddr implements net.Conn.
func (s *Stream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.remote) }

// SetDeadline implements net.Conn.
func (s *Stream) SetDeadline(t time.Time) error {
	s.in.setDeadline(&s.in.readBy, t)
	s.out.setDeadline(&s.out.writeBy, t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.in.setDeadline(&s.in.readBy, t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.out.setDeadline(&s.out.writeBy, t)
	return nil
}
