package session

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Limits of the sessions of one server.
const (
	RegisterTimeout  = 10 * time.Second // from the link to the registration
	AckTimeout       = 30 * time.Second // for a device to store what it is told
	StatusQueueMax   = 1024             // batches waiting to be committed, over all links
	StatusCommitMax  = 256              // batches collected for one commit
	StatusEntryBytes = 1 << 20          // about so much goes into one log entry
	StreamsPerLink   = 64               // handled at once
	ModulesPerServer = 64               // sent at once
	FactsEvery       = 5 * time.Second  // between two commits of one device's facts: faster ones wait on their stream
	FromTimeout      = time.Minute      // for a device to read back what it has of a form
)

// Log commits commands.
type Log interface {
	Propose(ctx context.Context, cmd any) (result any, err error)
}

// Liveness is told of every sign of life.
type Liveness interface {
	LinkUp(node fleet.UUID)
	Beat(node fleet.UUID)
	LinkDown(node fleet.UUID, reason string)
}

// Modules gives the bytes of what the region holds, in the form that suits the device.
type Modules interface {
	Form(ctx context.Context, req *wire.ModuleRequest) (wire.ModuleAnswer, io.ReadSeekCloser, error)
}

// Renewer makes the successor of a device's certificate.
type Renewer interface {
	Renew(ctx context.Context, id trust.Identity, leaf *x509.Certificate) *wire.RenewAnswer
}

// Config is what sessions need of their server.
type Config struct {
	Store      *state.Store
	Log        Log
	Liveness   Liveness
	Modules    Modules
	Renewer    Renewer // nil: this server cannot sign
	ServerName string
	Servers    func() []string // where the region is reached, as devices are told; nil: they are not
	Rate       func() float64  // full handshakes per second that this server was measured to do; nil or 0: unknown
	BeatEvery  time.Duration   // told to devices
	Now        func() time.Time
	Logger     *slog.Logger
}

// Sessions are all links of one server to devices.
type Sessions struct {
	Config
	statuses chan statusJob
	modules  chan struct{} // counts modules being sent
	refusals refusals
	parting  func() link.Spread // what all are told when this server stops; drawn up once, before the first leaves

	mu       sync.Mutex
	links    map[fleet.UUID]*session
	pushers  map[state.NodeKey]*pusher
	ears     map[*session]struct{} // whose beats are fetched; see hear.go
	accounts map[fleet.UUID]*account
}

// New prepares the sessions of a server.
func New(c Config) *Sessions {
	s := &Sessions{
		Config:   c,
		statuses: make(chan statusJob, StatusQueueMax),
		modules:  make(chan struct{}, ModulesPerServer),
		links:    map[fleet.UUID]*session{},
		pushers:  map[state.NodeKey]*pusher{},
		ears:     map[*session]struct{}{},
		accounts: map[fleet.UUID]*account{},
	}
	s.parting = sync.OnceValue(s.Spread)
	return s
}

// Serve accepts links by all listeners (one per transport) until ctx ends, and returns when all their goroutines have.
func (s *Sessions) Serve(ctx context.Context, listeners ...link.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	outer := ctx
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	wg.Go(func() { s.commitStatuses(ctx) })
	wg.Go(func() { s.cutRevoked(ctx) })
	wg.Go(func() { s.fetchBeats(ctx) })
	feed := s.Store.Feed(state.TableNodeAllocs, state.TableNodes, state.TableRegion) // before there is a link
	defer feed.Close()
	wg.Go(func() { s.pokePushers(ctx, feed) })
	for _, l := range listeners {
		wg.Go(func() { cancel(s.accept(ctx, l, &wg)) })
	}
	<-ctx.Done()
	if outer.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

func (s *Sessions) accept(ctx context.Context, l link.Listener, wg *sync.WaitGroup) error {
	for {
		k, err := l.Accept(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept device links: %w", err)
		}
		wg.Go(func() { s.serveLink(ctx, k) })
	}
}

// Spread is the window in which this server's devices should come back if their links end now.
func (s *Sessions) Spread() link.Spread { return s.comeBack(s.Links()) }

// comeBack is the window in which so many devices can come back that lose their links together.
func (s *Sessions) comeBack(devices int) link.Spread {
	rate := 0.0
	if s.Rate != nil {
		rate = s.Rate()
	}
	return link.SpreadOver(devices, rate)
}

// Connected reports whether a device has a live link to this server.
func (s *Sessions) Connected(node fleet.UUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links[node] != nil
}

// Links is the number of live links.
func (s *Sessions) Links() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.links)
}

// ErrNotConnected says that the device has no link to this server now.
var ErrNotConnected = errors.New("the device is not connected")

// Logs opens a task's output on its device. The reader ends when the device has
// sent it all, or, when following, when the task is gone or ctx ends.
func (s *Sessions) Logs(ctx context.Context, node fleet.UUID, req wire.LogRequest) (io.ReadCloser, error) {
	s.mu.Lock()
	k := s.links[node]
	s.mu.Unlock()
	if k == nil {
		return nil, ErrNotConnected
	}
	stream, err := k.open(ctx, node, wire.KindLogs)
	if err != nil {
		return nil, fmt.Errorf("open a log stream: %w", err)
	}
	if err := askLogs(stream, node, &req); err != nil {
		stream.Reset(link.CodeCanceled)
		return nil, err
	}
	// A reader that is blocked on a silent task must end with its request.
	stop := context.AfterFunc(ctx, func() { stream.Reset(link.CodeCanceled) })
	return &logReader{Stream: stream, stop: stop}, nil
}

func askLogs(stream link.Stream, node fleet.UUID, req *wire.LogRequest) error {
	if err := say(stream, &wire.Header{Kind: wire.KindLogs, Node: node}); err != nil {
		return err
	}
	if err := say(stream, req); err != nil {
		return err
	}
	var answer wire.LogAnswer
	if err := stream.SetReadDeadline(time.Now().Add(RegisterTimeout)); err != nil {
		return err
	}
	if err := wire.Read(stream, &answer); err != nil {
		return fmt.Errorf("the device did not answer: %w", err)
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return stream.SetReadDeadline(time.Time{})
}

type logReader struct {
	link.Stream
	stop func() bool
}

func (r *logReader) Close() error {
	r.stop()
	return r.Stream.Close()
}

// enter makes k the session of its node; an older one is closed.
func (s *Sessions) enter(node fleet.UUID, k *session) {
	s.mu.Lock()
	old := s.links[node]
	s.links[node] = k
	s.mu.Unlock()
	if old != nil && old != k {
		_ = old.link.Close(link.CodeReplaced, "a newer link of this device took over")
	}
}

// leave removes k, unless a newer session took its place; it reports whether k
// was the node's session.
func (s *Sessions) leave(node fleet.UUID, k *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.links[node] != k {
		return false
	}
	delete(s.links, node)
	return true
}
