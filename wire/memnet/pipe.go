package memnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipe is one direction.
type pipe struct {
	net      *Network
	from, to netip.AddrPort

	mu              sync.Mutex
	changed         chan struct{} // closed and replaced with each change
	segments        []packet
	bytes           int
	last            time.Time // when the newest segment is due
	fin, gone       bool      // the writer, the reader has left
	broken          bool
	readBy, writeBy time.Time
}

func newPipe(n *Network, from, to netip.AddrPort) *pipe {
	return &pipe{net: n, from: from, to: to, changed: make(chan struct{})}
}

func (p *pipe) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pipe) write(b []byte) (written int, err error) {
	for {
		p.mu.Lock()
		switch {
		case p.fin:
			err = net.ErrClosed
		case p.gone || p.broken:
			err = syscall.EPIPE
		case !p.writeBy.IsZero() && !time.Now().Before(p.writeBy):
			err = os.ErrDeadlineExceeded
		}
		for err == nil && len(b) > 0 && p.bytes < StreamBytesMax {
			n := min(len(b), SegmentBytesMax)
			p.put(b[:n])
			b, written = b[n:], written+n
		}
		changed, by := p.changed, p.writeBy
		p.mu.Unlock()
		if err != nil || len(b) == 0 {
			return written, err
		}
		await(changed, nil, by)
	}
}

// put sends a segment: its fate is drawn like that of a packet, and a lost one comes later.
func (p *pipe) put(b []byte) {
	p.last = later(p.last, p.net.late(p.from, p.to))
	p.segments = append(p.segments, packet{due: p.last, data: append([]byte(nil), b...)})
	p.bytes += len(b)
	p.change()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// late draws when a segment sent now arrives.
func (n *Network) late(from, to netip.AddrPort) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	draw := n.path(from, to)
	due := time.Now().Add(n.cond.Delay + time.Duration(draw.Float64()*float64(n.cond.Jitter)))
	for draw.Float64() < min(n.cond.Loss, 0.9) {
		due = due.Add(Retransmit)
	}
	return due
}

func (p *pipe) read(b []byte) (int, error) {
	for {
		p.net.mu.Lock()
		isCut, healed := p.net.isCut(p.from, p.to), p.net.healed
		p.net.mu.Unlock()
		n, changed, wake, err := p.take(b, isCut)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		await(changed, healed, wake)
	}
}

// take takes what has arrived, or says when to look again: at a time (zero: never), or when something changes.
func (p *pipe) take(b []byte, isCut bool) (n int, changed <-chan struct{}, wake time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case p.gone:
		return 0, nil, wake, net.ErrClosed
	case p.broken:
		return 0, nil, wake, syscall.ECONNRESET
	case !p.readBy.IsZero() && !now.Before(p.readBy):
		return 0, nil, wake, os.ErrDeadlineExceeded
	}
	if !isCut {
		if len(p.segments) == 0 && p.fin {
			return 0, nil, wake, io.EOF
		}
		if len(p.segments) > 0 && !p.segments[0].due.After(now) {
			first := &p.segments[0]
			n = copy(b, first.data)
			if first.data = first.data[n:]; len(first.data) == 0 {
				p.segments = p.segments[1:]
			}
			p.bytes -= n
			p.change()
			return n, nil, wake, nil
		}
		if len(p.segments) > 0 {
			wake = p.segments[0].due
		}
	}
	if !p.readBy.IsZero() && (wake.IsZero() || p.readBy.Before(wake)) {
		wake = p.readBy
	}
	return 0, p.changed, wake, nil
}

func await(changed, healed <-chan struct{}, by time.Time) {
	var due <-chan time.Time
	if !by.IsZero() {
		timer := time.NewTimer(time.Until(by))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-changed:
	case <-healed:
	case <-due:
	}
}

func (p *pipe) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fin = true
	p.change()
}

func (p *pipe) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.change()
}

func (p *pipe) breakOff() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = true
	p.change()
}

func (p *pipe) setDeadline(which *time.Time, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*which = t
	p.change()
}
