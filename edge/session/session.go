package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Limits of a session.
const (
	ReconnectMin      = time.Second      // first pause after a link; half of it to all of it is waited
	ReconnectMax      = time.Minute      // longest, and the pause after a refusal
	StableAfter       = time.Minute      // a link that lasted so long earns a short pause
	DialTimeout       = 15 * time.Second // of one try
	AnswerTimeout     = 15 * time.Second // for a welcome, a header, a request
	StatusAckTimeout  = 2 * time.Minute  // a region without leader takes its time, and a new link would not help it
	BeatEveryMin      = 10 * time.Millisecond
	BeatEveryMax      = 10 * time.Minute
	ReturnMax         = 10 * time.Minute // the longest spread of a return that a server may ask for
	DesiredStreamsMax = 4
	LogStreamsMax     = 16
	TrafficStreamsMax = 4
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
}

// Options configure a Session.
type Options struct {
	Dialer  link.Dialer
	Servers []string               // host:port
	Node    fleet.UUID             // whom the streams speak for
	Spec    func() ([]byte, error) // fleet.Node as JSON; called per link
	Device  Device
	// Facts are the node's attributes as they are now, not to be changed, and a channel that closes when they do. nil: they stay as
	// in Spec. What Spec says is as new or newer.
	Facts func() (map[string]string, <-chan struct{})
	// Certificates takes renewed certificates; nil: they are not renewed here.
	Certificates *trust.Keeper
	Place        fleet.UUID // where this agent runs; see wire.Register
	Meter        *Meter     // nil: one without a budget, for this process
	Log          *slog.Logger
}

// State is what is known of the link.
type State struct {
	Up      bool
	Since   time.Time // of Up or of its end
	Address string    // of the server, while up
	Server  string    // its name
	Reason  string    // why it is down
}

// Session is a device's side of its link.
type Session struct {
	opts Options

	mu    sync.Mutex
	state State
	link  link.Link     // nil while down
	next  string        // where a server sent us
	back  time.Duration // within which devices come back that lost their links together; as the last server said
}

// New returns a session that Run brings to life.
func New(opts Options) *Session {
	if opts.Meter == nil {
		opts.Meter = NewMeter(0, nil, opts.Log)
	}
	return &Session{opts: opts, state: State{Since: time.Now(), Reason: "no server was reached yet"}}
}

// State tells about the link.
func (s *Session) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Run keeps a link until ctx ends.
func (s *Session) Run(ctx context.Context) {
	if len(s.opts.Servers) == 0 {
		s.down(errors.New("no server is configured; what is on this device runs, and nothing new comes"))
		s.opts.Log.Warn("no server is configured")
		<-ctx.Done()
		return
	}
	// Devices that boot together must not all begin with the same server.
	at := rand.IntN(len(s.opts.Servers))
	pause := ReconnectMin
	said := ""
	for ctx.Err() == nil {
		addr := s.redirected()
		if addr == "" {
			addr = s.opts.Servers[at%len(s.opts.Servers)]
			at++
		}
		began := time.Now()
		err := s.serve(ctx, addr)
		if ctx.Err() != nil {
			return
		}
		s.down(err)
		if time.Since(began) > StableAfter {
			pause, said = ReconnectMin, ""
		}
		if final(err) {
			pause = ReconnectMax
		}
		level := slog.LevelDebug
		if err.Error() != said {
			said, level = err.Error(), slog.LevelWarn
		}
		s.opts.Log.Log(ctx, level, "no link to the region; tasks run on", "server", addr, "cause", err, "again_within", pause)
		select {
		case <-time.After(pause/2 + rand.N(pause/2) + s.spread(err)):
		case <-ctx.Done():
		}
		pause = min(2*pause, ReconnectMax)
	}
}

// final says that trying again soon will not help.
func final(err error) bool {
	if c, ok := link.Closed(err); ok {
		return !c.Code.Retry()
	}
	_, refused := errors.AsType[*trust.Refusal](err)
	return refused
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

// spread is this device's part of the time over which all that lost their links together come back. A server that is busy, or that
// forgot its links because it was restarted, has lost more than this one; where only this device fails to reach it, there is nothing
// to spread.
func (s *Session) spread(err error) time.Duration {
	c, closed := link.Closed(err)
	many := errors.Is(err, link.ErrForgotten) || errors.Is(err, link.ErrSilent) || closed && (c.Code == link.CodeShutdown || c.Code == link.CodeBusy)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !many || s.back <= 0 {
		return 0
	}
	return rand.N(s.back)
}

func (s *Session) redirected() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	addr := s.next
	s.next = ""
	return addr
}

func (s *Session) down(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Up {
		s.state = State{Since: time.Now()}
	}
	s.link = nil
	s.state.Reason = err.Error()
	if c, ok := link.Closed(err); ok && c.Code == link.CodeRedirect && c.Remote {
		s.next = c.Reason
	}
}

func (s *Session) up(l link.Link, addr string, w *wire.Welcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = l
	s.back = min(time.Duration(w.Return), ReturnMax)
	s.state = State{Up: true, Since: time.Now(), Address: addr, Server: w.ServerName}
}

// serve is the life of one link. Its error says why the link ended, or never was.
func (s *Session) serve(ctx context.Context, addr string) error {
	dialCtx, cancel := context.WithTimeout(ctx, DialTimeout)
	l, err := s.opts.Dialer.Dial(dialCtx, addr, trust.ProtocolEdge)
	if expired(err) && s.opts.Certificates != nil {
		l, err = s.returnExpired(dialCtx, addr, err)
	}
	cancel()
	if err != nil {
		return fmt.Errorf("dial %s: %w", addr, err)
	}
	s.opts.Meter.begin(l)
	err = s.converse(ctx, l, addr)
	s.close(ctx, l, err)
	s.opts.Meter.end()
	return err
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
func (s *Session) converse(ctx context.Context, l link.Link, addr string) error {
	var told map[string]string
	if s.opts.Facts != nil {
		told, _ = s.opts.Facts() // before the description, which must not be older
	}
	w, err := s.register(ctx, l)
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
	s.up(l, addr, w)
	s.opts.Log.Info("linked to the region", "server", w.ServerName, "address", addr, "region", w.RegionID, "epoch", w.Epoch)

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
	for _, part := range []func() error{
		func() error { return s.beat(ctx, l, every) },
		func() error { return s.tell(ctx, l, statuses) },
		func() error { return s.tellFacts(ctx, l, begun.facts) },
		func() error { return s.accept(ctx, l, &wg) },
		func() error { return s.keepCertificate(ctx, l, begun.at) },
	} {
		wg.Go(func() { cancel(part()) })
	}
	<-ctx.Done()
	cause := context.Cause(ctx)
	// What waits on a stream is woken by the end of the link, not of the context.
	s.close(outer, l, cause)
	wg.Wait()
	return cause
}

// protocolError says that the server sent what makes no sense.
type protocolError struct{ text string }

func (e *protocolError) Error() string { return e.text }

func protocolErrorf(format string, args ...any) error {
	return &protocolError{fmt.Sprintf(format, args...)}
}
