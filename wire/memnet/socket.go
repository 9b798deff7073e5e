package memnet

import (
	"container/heap"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Socket is a net.PacketConn on a Network.
type Socket struct {
	net  *Network
	addr atomic.Pointer[netip.AddrPort]

	wake   chan struct{} // one token: the queue or the deadline changed
	once   sync.Once
	closed chan struct{}

	mu       sync.Mutex
	queue    packets
	sent     uint64 // sequence numbers for packets that are due together
	deadline time.Time
}

type packet struct {
	due  time.Time
	seq  uint64
	from netip.AddrPort
	data []byte
}

// packets is a heap by time of arrival, then by order of sending.
type packets []packet

func (q packets) Len() int      { return len(q) }
func (q packets) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *packets) Push(x any)   { *q = append(*q, x.(packet)) }
func (q packets) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].seq < q[j].seq
}
func (q *packets) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = packet{}
	*q = (*q)[:len(*q)-1]
	return last
}

func (s *Socket) at() netip.AddrPort { return *s.addr.Load() }

func (s *Socket) push(p packet) {
	s.mu.Lock()
	if len(s.queue) < QueuePacketsMax {
		s.sent++
		p.seq = s.sent
		heap.Push(&s.queue, p)
	}
	s.mu.Unlock()
	s.notify()
}

func (s *Socket) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// ReadFrom waits for the next packet that is due.
func (s *Socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		select {
		case <-s.closed:
			return 0, nil, s.opError("read", net.ErrClosed)
		default:
		}
		p, wait, err := s.take()
		if err != nil {
			return 0, nil, err
		}
		if p != nil {
			if !s.net.arrives(p.from, s.at()) {
				continue
			}
			return copy(b, p.data), udpAddr(p.from), nil
		}
		if err := s.sleep(wait); err != nil {
			return 0, nil, err
		}
	}
}

// take returns the packet that is due, or how long to wait for something to happen; a negative wait is for ever.
func (s *Socket) take() (*packet, time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.deadline.IsZero() && !now.Before(s.deadline) {
		return nil, 0, s.opError("read", os.ErrDeadlineExceeded)
	}
	wait := time.Duration(-1)
	if !s.deadline.IsZero() {
		wait = s.deadline.Sub(now)
	}
	if len(s.queue) > 0 {
		first := s.queue[0].due.Sub(now)
		if first <= 0 {
			p := heap.Pop(&s.queue).(packet)
			if len(s.queue) > 0 {
				s.notify() // another reader may sleep
			}
			return &p, 0, nil
		}
		if wait < 0 || first < wait {
			wait = first
		}
	}
	return nil, wait, nil
}

func (s *Socket) sleep(wait time.Duration) error {
	var due <-chan time.Time
	if wait >= 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-s.closed:
		return s.opError("read", net.ErrClosed)
	case <-s.wake:
	case <-due:
	}
	return nil
}

// WriteTo sends a packet. It never blocks and, like UDP, does not tell whether the packet arrives.
func (s *Socket) WriteTo(b []byte, addr net.Addr) (int, error) {
	select {
	case <-s.closed:
		return 0, s.opError("write", net.ErrClosed)
	default:
	}
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("memnet: cannot send to a %T", addr)
	}
	to := udp.AddrPort()
	s.net.send(s.at(), netip.AddrPortFrom(to.Addr().Unmap(), to.Port()), b)
	return len(b), nil
}

// Close ends pending reads and frees the address. Packets under way are lost.
func (s *Socket) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.net.remove(s)
	})
	return nil
}

// LocalAddr is the socket's address, a *net.UDPAddr.
func (s *Socket) LocalAddr() net.Addr { return udpAddr(s.at()) }

// SetDeadline is SetReadDeadline: writes do not block.
func (s *Socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetReadDeadline bounds pending and later reads.
func (s *Socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	s.deadline = t
	s.mu.Unlock()
	s.notify()
	return nil
}

// SetWriteDeadline does nothing: writes do not block.
func (s *Socket) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer and SetWriteBuffer exist because QUIC asks for them and warns on standard error without.
func (s *Socket) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing; see SetReadBuffer.
func (s *Socket) SetWriteBuffer(int) error { return nil }

func (s *Socket) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: s.LocalAddr(), Err: err}
}
