package tlsnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/dunlin-edge/dunlin/wire/link"
)

// Endpoint dials links, accepts them on one TCP port, or both.
type Endpoint struct {
	options  Options
	listener net.Listener // nil if it only dials
	sessions tls.ClientSessionCache

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	work sync.WaitGroup // the accept loop, handshakes, and the goroutines of links

	inProgress chan struct{} // handshakes
	counts     link.HandshakeCounts

	mu       sync.Mutex
	closed   bool
	links    map[*tlsLink]struct{}
	accepted int
	queues   map[string]*link.Queue // fixed keys
}

var _ link.Dialer = (*Endpoint)(nil)

// Open listens on a TCP port ("host:port"); "" makes an endpoint that only dials.
func Open(address string, o Options) (*Endpoint, error) {
	if address == "" {
		return Over(nil, o), nil
	}
	var config net.ListenConfig
	config.KeepAlive = -1 // links notice silence themselves
	l, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on TCP %s: %w", address, err)
	}
	return Over(l, o), nil
}

// Over makes an endpoint over any listener of reliable connections; nil for one that only dials. The endpoint owns the
// listener from here on.
func Over(l net.Listener, o Options) *Endpoint {
	o.fill()
	e := &Endpoint{options: o, listener: l, sessions: tls.NewLRUClientSessionCache(SessionsMax),
		inProgress: make(chan struct{}, HandshakesMax), links: make(map[*tlsLink]struct{}), queues: make(map[string]*link.Queue)}
	e.ctx, e.stop = context.WithCancel(context.Background())
	if l == nil {
		return e
	}
	for _, protocol := range o.ServerTLS.NextProtos {
		e.queues[protocol] = link.NewQueue()
	}
	e.work.Go(e.acceptLoop)
	return e
}

// Addr is the address of the listener; nil if there is none.
func (e *Endpoint) Addr() net.Addr {
	if e.listener == nil {
		return nil
	}
	return e.listener.Addr()
}

// Handshakes counts the handshakes of clients.
func (e *Endpoint) Handshakes() link.Handshakes { return e.counts.Get(len(e.inProgress)) }

// Links is the number of links, dialled and accepted.
func (e *Endpoint) Links() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.links)
}

// Listener returns the listener of one protocol. All its callers share one queue.
func (e *Endpoint) Listener(protocol string) (link.Listener, error) {
	q := e.queues[protocol]
	if q == nil {
		return nil, fmt.Errorf("this endpoint does not listen for %q", protocol)
	}
	return q.Listener(e.Addr()), nil
}

// Close ends all links with CodeShutdown, so that the peers know at once, and closes the listener.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	open := make([]*tlsLink, 0, len(e.links))
	for l := range e.links {
		open = append(open, l)
	}
	e.mu.Unlock()

	var err error
	if e.listener != nil {
		err = e.listener.Close()
	}
	// All are told before any is waited for: one that does not listen must not delay the rest.
	for _, l := range open {
		l.beginClose(link.CodeShutdown, "the process stops")
	}
	for _, q := range e.queues {
		q.Close()
	}
	e.stop() // ends handshakes
	e.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// track registers a link and starts its goroutines. It reports false if the endpoint is closed or has too many links.
func (e *Endpoint) track(l *tlsLink) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || l.accepted && e.accepted >= LinksMax {
		return false
	}
	e.links[l] = struct{}{}
	if l.accepted {
		e.accepted++
	}
	e.work.Add(2) // under the lock: Close waits only after it has seen the link
	return true
}

// start starts the goroutines of a tracked link.
func (e *Endpoint) start(l *tlsLink) {
	l.watch()
	go func() {
		defer e.work.Done()
		l.writeLoop()
	}()
	go func() {
		defer e.work.Done()
		defer e.forget(l)
		l.readLoop()
	}()
}

func (e *Endpoint) forget(l *tlsLink) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.links, l)
	if l.accepted {
		e.accepted--
	}
}

// counted counts the bytes of a connection, TLS records included.
type counted struct {
	net.Conn
	sent, received, writes, reads atomic.Uint64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received.Add(uint64(n))
	c.reads.Add(1)
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	// Counted before they go: who has received them must find them counted. A write that fails ends the link.
	c.sent.Add(uint64(len(p)))
	c.writes.Add(1)
	return c.Conn.Write(p)
}
