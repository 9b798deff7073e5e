package consensus

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// AcceptQueueMax bounds streams that wait for Accept; more are reset.
const AcceptQueueMax = 64

// Links carries the log over links of the protocol [trust.ProtocolRaft], one to
// each peer, made when first needed and again when lost. The handshake has proved
// that the peer is a server of this region.
type Links struct {
	dialer   link.Dialer
	listener link.Listener
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	accepted chan net.Conn
	workers  sync.WaitGroup

	mu    sync.Mutex
	dials map[string]*dial // by address
}

// dial is a link that was asked for: those who come meanwhile wait for the same.
type dial struct {
	done chan struct{}
	link link.Link
	err  error
}

// NewLinks starts accepting. Close ends it, the listener, and all links.
func NewLinks(dialer link.Dialer, listener link.Listener) *Links {
	l := &Links{dialer: dialer, listener: listener, accepted: make(chan net.Conn, AcceptQueueMax), dials: map[string]*dial{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.workers.Go(l.acceptLinks)
	return l
}

// Addr implements [StreamLayer].
func (l *Links) Addr() net.Addr { return l.listener.Addr() }

// Accept implements [StreamLayer].
func (l *Links) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Dial implements [StreamLayer]: a new stream on the peer's link.
func (l *Links) Dial(ctx context.Context, addr string) (net.Conn, error) {
	k, err := l.linkTo(ctx, addr)
	if err != nil {
		return nil, err
	}
	s, err := k.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	return link.Conn(k, s), nil
}

func (l *Links) linkTo(ctx context.Context, addr string) (link.Link, error) {
	l.mu.Lock()
	d := l.dials[addr]
	if d == nil || d.over() {
		if l.ctx.Err() != nil {
			l.mu.Unlock()
			return nil, net.ErrClosed
		}
		d = &dial{done: make(chan struct{})}
		l.dials[addr] = d
		l.workers.Go(func() { l.dial(d, addr) })
	}
	l.mu.Unlock()
	select {
	case <-d.done:
		return d.link, d.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// over reports whether the dial failed or its link has ended.
func (d *dial) over() bool {
	select {
	case <-d.done:
		return d.err != nil || d.link.Context().Err() != nil
	default:
		return false
	}
}

func (l *Links) dial(d *dial, addr string) {
	ctx, cancel := context.WithTimeout(l.ctx, StreamTimeout)
	defer cancel()
	d.link, d.err = l.dialer.Dial(ctx, addr, trust.ProtocolRaft)
	close(d.done)
}

func (l *Links) acceptLinks() {
	for {
		k, err := l.listener.Accept(l.ctx)
		if err != nil {
			if errors.Is(err, net.ErrClosed) || l.ctx.Err() != nil {
				return
			}
			continue // one peer's handshake; the next may fare better
		}
		l.workers.Go(func() { l.acceptStreams(k) })
	}
}

func (l *Links) acceptStreams(k link.Link) {
	defer func() { _ = k.Close(link.CodeShutdown, "the server stops") }()
	for {
		s, err := k.AcceptStream(l.ctx)
		if err != nil {
			return // the link has ended, or this layer is closed
		}
		select {
		case l.accepted <- link.Conn(k, s):
		case <-l.ctx.Done():
			s.Reset(link.CodeShutdown)
			return
		default:
			s.Reset(link.CodeBusy)
		}
	}
}

// Close implements [StreamLayer].
func (l *Links) Close() error {
	l.mu.Lock()
	l.cancel()
	l.mu.Unlock()
	err := l.listener.Close()
	l.workers.Wait()
	for _, d := range l.dials {
		if d.link != nil {
			_ = d.link.Close(link.CodeShutdown, "the server stops") // best effort: the peer notices by itself
		}
	}
	for {
		select {
		case c := <-l.accepted:
			_ = c.Close()
		default:
			return err
		}
	}
}
