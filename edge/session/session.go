package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/allocfs"
	"github.com/dunlin-edge/dunlin/edge/reach"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Limits of a session.
const (
	AnswerTimeout     = 15 * time.Second // for a welcome, a header, a request
	StatusAckTimeout  = 2 * time.Minute  // a region without leader takes its time, and a new link would not help it
	BeatEveryMin      = 10 * time.Millisecond
	BeatEveryMax      = 10 * time.Minute
	PieceTimeout      = 2 * time.Minute // for a server to take a piece of a log
	DesiredStreamsMax = 4
	StatusIdle        = 30 * time.Second // without news, until the stream of statuses ends: it costs the server a tenth of an idle link
	LogStreamsMax     = 16
	FileStreamsMax    = 16
	ExecStreamsMax    = 8 // commands beside tasks, of all operators together
	TrafficStreamsMax = 4
	WrittenStreamsMax = 2
	EndedPoll         = time.Second // how often a followed task is asked about
)

// Device is what the session serves; *runner.Runner is one.
type Device interface {
	Register(ctx context.Context) (wire.Register, error)
	LinkUp(ctx context.Context, w *wire.Welcome) (<-chan *wire.StatusBatch, error)
	LinkDown(ctx context.Context)
	Desired(ctx context.Context, m *wire.Desired) (wire.Generation, error)
	StatusAcked(ctx context.Context, seq uint64)
	Logs(ctx context.Context, alloc fleet.UUID, task string) (dir, name string, err error)
	Ended(ctx context.Context, alloc fleet.UUID, task string) bool
	// Files opens the folder of an allocation, or what is kept of one that is gone.
	Files(ctx context.Context, alloc fleet.UUID) (*allocfs.FS, error)
	// Exec starts a command beside a task, which ends with ctx at the latest.
	Exec(ctx context.Context, alloc fleet.UUID, task string, req driver.ExecRequest) (driver.Command, error)
}

// Options configure a Session.
type Options struct {
	Dialer  link.Dialer   // by QUIC
	TLS     link.Dialer   // over TLS on TCP; nil: this device does not try it
	Servers []link.Server // configured
	Learnt  []string      // the addresses that Learn was given in earlier life
	Node    fleet.UUID    // whom the streams speak for
	// Spec is fleet.Node as JSON; called per link, with how the link travels.
	Spec   func(t link.Transport, udpFiltered bool) ([]byte, error)
	Learn  func(addresses []string) error // keeps what a server says about servers; nil: nothing is kept
	Device Device
	// Facts are the node's attributes as they are now, not to be changed, and a channel that closes when they do. nil: they stay as
	// in Spec. What Spec says is as new or newer.
	Facts func() (map[string]string, <-chan struct{})
	// Certificates takes renewed certificates; nil: they are not renewed here.
	Certificates *trust.Keeper
	Place        fleet.UUID                            // where this agent runs; see wire.Register
	Meter        *Meter                                // nil: one without a budget, for this process
	Written      func(context.Context) ([]byte, error) // fleet.DiskWrites as JSON; nil: it is not told
	DisableExec  bool                                  // no operator runs commands here, whatever the region says
	Log          *slog.Logger
}

// State is what is known of the link.
type State struct {
	Up      bool
	Since   time.Time // of Up or of its end
	Address string    // of the server, while up
	Server  string    // its name
	Reason  string    // why it is down

	Transport   link.Transport // while up
	UDPFiltered bool           // the link goes over TCP because nobody answers over UDP
}

// Session is a device's side of its link.
type Session struct {
	opts Options

	mu    sync.Mutex
	state State
	link  link.Link // nil while down
	route *reach.Route
}

// New returns a session that Run brings to life.
func New(opts Options) *Session {
	if opts.Meter == nil {
		opts.Meter = NewMeter(0, nil, opts.Log)
	}
	s := &Session{opts: opts, state: State{Since: time.Now(), Reason: "no server was reached yet"}}
	learnt, err := link.ParseServers(opts.Learnt)
	if err != nil { // written by another version
		opts.Log.Warn("the servers learnt earlier are not used", "error", err)
	}
	s.route = reach.New(s.usable(opts.Servers), s.usable(learnt), rand.Float64())
	return s
}

// State tells about the link.
func (s *Session) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Run keeps a link until ctx ends.
func (s *Session) Run(ctx context.Context) {
	if len(s.route.Servers()) == 0 {
		s.down(nil, errors.New("no server is configured; what is on this device runs, and nothing new comes"))
		s.opts.Log.Warn("no server is configured")
		<-ctx.Done()
		return
	}
	said := ""
	for ctx.Err() == nil {
		at, wait := s.next()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		err := s.try(ctx, at)
		if ctx.Err() != nil {
			return
		}
		level := slog.LevelDebug
		if err.Error() != said {
			said, level = err.Error(), slog.LevelWarn
		}
		s.opts.Log.Log(ctx, level, "no link to the region; tasks run on", "server", at.Address, "transport", at.Transport, "cause", err)
	}
}

// Stats tells about the traffic of the link that is up; false without one.
func (s *Session) Stats() (link.Stats, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil {
		return link.Stats{}, false
	}
	return s.link.Stats(), true
}

// next asks the route, which always knows more once it knows a server.
func (s *Session) next() (reach.Attempt, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, wait, _ := s.route.Next(time.Now(), rand.Float64())
	return at, wait
}

func (s *Session) dialer(t link.Transport) link.Dialer {
	if t == link.TransportTLS {
		return s.opts.TLS
	}
	return s.opts.Dialer
}

func (s *Session) dial(ctx context.Context, at reach.Attempt) (link.Link, error) {
	ctx, cancel := context.WithTimeout(ctx, at.Timeout)
	defer cancel()
	l, err := s.dialer(at.Transport).Dial(ctx, at.Address, trust.ProtocolEdge)
	if expired(err) && s.opts.Certificates != nil {
		return s.returnExpired(ctx, at, err)
	}
	return l, err
}

// try is an attempt, and the life of the link that it comes to. Its error says why there is no link.
func (s *Session) try(ctx context.Context, at reach.Attempt) error {
	l, err := s.dial(ctx, at)
	if err != nil {
		s.down(&at, err)
		return err
	}
	for {
		s.opts.Meter.begin(l)
		err = s.converse(ctx, l, at)
		s.close(ctx, l, err)
		s.opts.Meter.end()
		s.down(&at, err)
		better, ok := errors.AsType[*moved](err)
		if !ok {
			return err
		}
		l, at = better.link, better.at
	}
}

// down tells route and state how an attempt or a link ended.
func (s *Session) down(at *reach.Attempt, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Up {
		s.route.Down(reach.OutcomeOf(err), time.Now())
		s.state = State{Since: time.Now()}
	} else if at != nil {
		s.route.Failed(*at, reach.OutcomeOf(err), time.Now())
	}
	s.link = nil
	s.state.Reason = err.Error()
}

func (s *Session) up(l link.Link, at reach.Attempt, w *wire.Welcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = l
	s.route.Up(at, link.Spread{Max: time.Duration(w.Return)}, time.Now())
	s.state = State{Up: true, Since: time.Now(), Address: at.Address, Server: w.ServerName, Transport: at.Transport, UDPFiltered: s.filtered(at)}
}

// filtered reports whether a link goes over TCP because UDP is filtered. The caller holds the lock.
func (s *Session) filtered(at reach.Attempt) bool {
	return at.Transport == link.TransportTLS && s.route.Blocked(at)
}

// close ends a link and tells the server why. Only the first close of a link counts.
func (s *Session) close(ctx context.Context, l link.Link, cause error) {
	code, reason := link.CodeDone, cause.Error()
	if ctx.Err() != nil {
		code, reason = link.CodeShutdown, "the agent stops"
	} else if _, broken := errors.AsType[*protocolError](cause); broken {
		code = link.CodeProtocol
	}
	if err := l.Close(code, reason); err != nil {
		s.opts.Log.Debug("close a link", "error", err)
	}
}

// converse registers and serves the link until something on it ends.
func (s *Session) converse(ctx context.Context, l link.Link, at reach.Attempt) error {
	var told map[string]string
	if s.opts.Facts != nil {
		told, _ = s.opts.Facts() // before the description, which must not be older
	}
	w, err := s.register(ctx, l, at)
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	every := time.Duration(w.BeatEvery)
	if every < BeatEveryMin || every > BeatEveryMax {
		return protocolErrorf("the server wants a beat every %s; %s to %s makes sense", every, BeatEveryMin, BeatEveryMax)
	}
	s.opts.Meter.told(w.ServerTime)
	statuses, err := s.opts.Device.LinkUp(ctx, w)
	if err != nil {
		return err
	}
	defer s.opts.Device.LinkDown(ctx)
	s.up(l, at, w)
	s.opts.Log.Info("linked to the region", "server", w.ServerName, "address", at.Address, "transport", at.Transport, "region", w.RegionID, "epoch", w.Epoch)

	return s.work(ctx, l, every, statuses, begun{facts: told, at: time.Unix(0, w.ServerTime)})
}

// begun is what is known when a link has begun.
type begun struct {
	facts map[string]string // that the registration told
	at    time.Time         // by the server's clock
}

// work runs the parts of a link until one of them ends, then ends the link and waits for the rest.
func (s *Session) work(outer context.Context, l link.Link, every time.Duration, statuses <-chan *wire.StatusBatch, begun begun) error {
	ctx, cancel := context.WithCancelCause(outer)
	defer context.AfterFunc(l.Context(), func() { cancel(context.Cause(l.Context())) })()
	var wg sync.WaitGroup
	var better *moved
	for _, part := range []func() error{
		func() error { return s.beat(ctx, l, every) },
		func() error { return s.tell(ctx, l, statuses) },
		func() error { return s.tellFacts(ctx, l, begun.facts) },
		func() error { return s.accept(ctx, l, &wg) },
		func() error { return s.keepCertificate(ctx, l, begun.at) },
		func() error {
			var err error
			better, err = s.probe(ctx)
			return err
		},
	} {
		wg.Go(func() { cancel(part()) })
	}
	<-ctx.Done()
	cause := context.Cause(ctx)
	// What waits on a stream is woken by the end of the link, not of the context.
	s.close(outer, l, cause)
	wg.Wait()
	if better != nil && cause != error(better) { // the old link ended by itself a moment before
		s.close(outer, better.link, cause)
	}
	return cause
}

// protocolError says that the server sent what makes no sense.
type protocolError struct{ text string }

func (e *protocolError) Error() string { return e.text }

func protocolErrorf(format string, args ...any) error {
	return &protocolError{fmt.Sprintf(format, args...)}
}
