package quicnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"

	"github.com/dunlin-edge/dunlin/wire/link"
)

// Endpoint is one socket and its links.
type Endpoint struct {
	options   Options
	socket    net.PacketConn
	transport *quic.Transport
	listener  *quic.Listener // nil if it only dials, and before Serve
	sessions  tls.ClientSessionCache

	handshakes atomic.Int64 // accepted by QUIC, not finished
	counts     link.HandshakeCounts
	turns      chan struct{} // handshakes that are reckoned now, TurnsMax of them
	closing    chan struct{} // closed by Close

	work sync.WaitGroup // the accept loop and the watchers of links

	mu       sync.Mutex
	closed   bool
	links    map[*quicLink]struct{}
	sealed   map[linkID]*quicLink // those of links whose datagrams travel beside their connection
	accepted int
	queues   map[string]*link.Queue // fixed keys
}

var _ link.Dialer = (*Endpoint)(nil)

// Open binds a UDP socket ("host:port"; ":0" or "" for a socket that only dials) and makes an endpoint of it.
func Open(address string, o Options) (*Endpoint, error) {
	if address == "" {
		address = ":0"
	}
	socket, err := listenUDP(address)
	if err != nil {
		return nil, err
	}
	return Over(socket, o)
}

func listenUDP(address string) (*net.UDPConn, error) {
	addr, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, fmt.Errorf("UDP address %q: %w", address, err)
	}
	conn, err := net.ListenUDP("udp", addr)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, errnoInUse):
		return nil, fmt.Errorf("UDP port %d on %q is in use by another process: stop it or choose another port: %w", addr.Port, address, err)
	default:
		return nil, fmt.Errorf("listen on UDP %s: %w", address, err)
	}
}

// Over makes an endpoint over any packet socket. The endpoint owns the socket from here on, also when it returns an
// error.
func Over(conn net.PacketConn, o Options) (*Endpoint, error) {
	if err := o.fill(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	e := &Endpoint{options: o, sessions: tls.NewLRUClientSessionCache(SessionsMax),
		links: make(map[*quicLink]struct{}), sealed: make(map[linkID]*quicLink), queues: make(map[string]*link.Queue),
		turns: make(chan struct{}, TurnsMax), closing: make(chan struct{})}
	if udp, ok := conn.(*net.UDPConn); ok {
		e.socket = &socket{UDPConn: udp, batch: ipv4.NewPacketConn(udp), ear: e.hear}
	} else {
		e.socket = &packets{PacketConn: conn, ear: e.hear}
	}
	if idle := o.silence(); idle > 0 {
		e.work.Go(func() { e.watch(idle) })
	}
	reset, token := quic.StatelessResetKey(o.ResetKey), quic.TokenGeneratorKey(o.TokenKey)
	e.transport = &quic.Transport{
		Conn:              e.socket,
		StatelessResetKey: &reset,
		TokenGeneratorKey: &token,
		// Where there is no room, the answer is no at once: a refusal is smaller than what it answers, as a retry is.
		VerifySourceAddress: func(net.Addr) bool { n := e.handshakes.Load(); return n >= HandshakesRetry && n < e.room() },
		ConnContext:         e.admit,
	}
	if o.ServerTLS == nil {
		return e, nil
	}
	for _, protocol := range o.ServerTLS.NextProtos {
		e.queues[protocol] = link.NewQueue()
	}
	if o.Later {
		return e, nil
	}
	if err := e.Serve(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Serve begins to answer handshakes; see Options.Later.
func (e *Endpoint) Serve() error {
	tls := inTurn(e.options.ServerTLS, e.waitTurn)
	listener, err := e.transport.Listen(tls, e.serverConfig(tls.NextProtos))
	if err != nil {
		return fmt.Errorf("listen on %s: %w", e.socket.LocalAddr(), err)
	}
	e.listener = listener
	for range Acceptors {
		e.work.Go(e.acceptLoop)
	}
	return nil
}

// inTurn lets each handshake wait for its turn before its configuration is chosen: nothing is reckoned before that.
func inTurn(base *tls.Config, wait func(context.Context) error) *tls.Config {
	conf := base.Clone()
	conf.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if err := wait(hello.Context()); err != nil {
			return nil, err
		}
		if base.GetConfigForClient == nil {
			return nil, nil
		}
		return base.GetConfigForClient(hello)
	}
	return conf
}

// run runs something that Close waits for, unless the endpoint is closed.
func (e *Endpoint) run(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.work.Go(f)
	}
}

// Addr is the local address of the socket.
func (e *Endpoint) Addr() net.Addr { return e.socket.LocalAddr() }

// Handshakes counts the handshakes of clients.
func (e *Endpoint) Handshakes() link.Handshakes { return e.counts.Get(int(e.handshakes.Load())) }

// Links is the number of links, dialled and accepted.
func (e *Endpoint) Links() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.links)
}

// Close ends all links with CodeShutdown, so that the peers know at once, and closes the socket.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	close(e.closing)
	open := make([]*quicLink, 0, len(e.links))
	for l := range e.links {
		open = append(open, l)
	}
	e.mu.Unlock()

	for _, l := range open {
		l.closeWith(link.CodeShutdown, "the process stops")
	}
	for _, q := range e.queues {
		q.Close()
	}
	err := e.transport.Close()
	e.work.Wait()
	return errors.Join(err, e.socket.Close())
}

// track registers a link and watches for its end. It reports false if the endpoint is closed or has too many links.
func (e *Endpoint) track(l *quicLink, accepted bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || accepted && e.accepted >= LinksMax {
		return false
	}
	e.links[l] = struct{}{}
	if !l.side.none {
		e.sealed[l.side.key.id] = l
	}
	if accepted {
		e.accepted++
	}
	e.work.Add(1)
	context.AfterFunc(l.conn.Context(), func() {
		defer e.work.Done()
		l.end(words(context.Cause(l.conn.Context())))
		l.side.end()
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.links, l)
		if e.sealed[l.side.key.id] == l {
			delete(e.sealed, l.side.key.id)
		}
		if accepted {
			e.accepted--
		}
	})
	return true
}
