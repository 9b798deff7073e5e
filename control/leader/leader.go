// Package leader runs control/term: it is the goroutine, the clock and the inbox
// around it, and holds no decision.
//
// The one idea: a term is a loop that owns one [term.Term]. Whatever happens is
// put into its inbox with a channel for the answer; whatever the term asks for is
// done beside the loop, and its end comes back through the inbox.
//
// # Invariants
//
//   - One loop at a time: the children of a term have ended before its RunTerm
//     returns, and so before the next term starts.
//   - A proposal whose outcome is unknown ends the loop, and a new one starts from
//     the state: guessing would let work be placed twice or not at all.
//   - Callers outlive terms: Dequeue waits for the next term, everything else says
//     [ErrNoTerm] or, for signs of life, is dropped; a new term counts on beats.
//
// Threading: a Leader is safe for concurrent use. RunTerm is called by one
// goroutine at a time.
package leader

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/control/broker"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/control/term"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Limits of a leader.
const (
	InboxMax     = 1024        // events that wait for the loop; callers wait beyond
	RestartDelay = time.Second // before a term goes on after a proposal of unknown outcome
)

// ErrNoTerm says that this server does not lead now, or stopped to.
var ErrNoTerm = errors.New("this server does not lead the region now")

// Log is where proposals go. It returns once the command is applied to the
// store. An error with an index, or one that wraps command.ErrMalformed, says that
// the command changed nothing; after any other its outcome is unknown.
type Log interface {
	Propose(ctx context.Context, cmd any) (index uint64, result any, err error)
}

// Config is what a leader needs.
type Config struct {
	Store  *state.Store
	Log    Log
	Rate   func() float64 // handshakes per second that this server does or is thought to do; nil: as liveness has it
	Term   term.Config
	Logger *slog.Logger
}

// Leader leads while RunTerm runs.
type Leader struct {
	cfg Config

	mu      sync.Mutex
	current *loop         // nil: no term
	changed chan struct{} // closed when current changes
	terms   uint64
}

// New returns a leader without a term.
func New(cfg Config) *Leader { return &Leader{cfg: cfg, changed: make(chan struct{})} }

// RunTerm leads until ctx ends and returns its cause. The store must hold
// everything that earlier terms committed.
func (l *Leader) RunTerm(ctx context.Context) error {
	for {
		err := l.run(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.cfg.Logger.Warn("the term starts over", "reason", err)
		select {
		case <-time.After(RestartDelay):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *Leader) run(ctx context.Context) error {
	var seed [32]byte
	rand.Read(seed[:]) // never fails: it ends the program instead
	ctx, cancel := context.WithCancelCause(ctx)
	r := &loop{
		cfg: &l.cfg, ctx: ctx, cancel: cancel, inbox: make(chan message, InboxMax), done: make(chan struct{}),
		dequeues: map[uint64]chan Assignment{}, plans: map[uint64]chan term.Result{},
	}
	l.mu.Lock()
	l.terms++
	cfg := l.cfg.Term
	cfg.Broker.FirstToken = broker.Token(l.terms << 32) // a token of an earlier term must not fit
	l.mu.Unlock()
	r.term = term.New(cfg, l.cfg.Store.View(), seed, time.Now())
	l.set(r)
	r.serve()
	l.set(nil)
	close(r.done)
	cancel(ErrNoTerm)
	r.children.Wait()
	return context.Cause(ctx)
}

func (l *Leader) set(r *loop) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = r
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *Leader) get() (*loop, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current, l.changed
}

// post puts an event into the inbox of the term, if there is one.
func (l *Leader) post(m message) error {
	r, _ := l.get()
	if r == nil {
		return ErrNoTerm
	}
	return r.post(m)
}

// LinkUp notes that a device linked.
func (l *Leader) LinkUp(node fleet.UUID) { l.sign(term.LinkUp{Node: node}) }

// Beat notes a beat.
func (l *Leader) Beat(node fleet.UUID) { l.sign(term.Beat{Node: node}) }

// LinkDown notes the end of a link.
func (l *Leader) LinkDown(node fleet.UUID, reason string) {
	l.sign(term.LinkDown{Node: node, Reason: reason})
}

func (l *Leader) sign(ev term.Event) {
	if err := l.post(message{event: ev}); err != nil {
		l.cfg.Logger.Debug("a sign of life has no taker", "reason", err)
	}
}

// Assignment is an evaluation to be worked on, and what to work on it with.
type Assignment struct {
	Eval     *state.Eval
	Token    broker.Token
	View     *state.View
	InFlight func(state.NodeKey) state.Usage // nil: nothing
}

// Dequeue waits for an evaluation, over terms if need be.
func (l *Leader) Dequeue(ctx context.Context) (Assignment, error) {
	for {
		r, changed := l.get()
		if r != nil {
			a, err := r.dequeue(ctx)
			if !errors.Is(err, ErrNoTerm) {
				return a, err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Assignment{}, context.Cause(ctx)
		}
	}
}

// SubmitPlan proposes a plan and waits for what becomes of it. The plan must not
// be changed afterwards. After an error its outcome may be unknown: give the
// evaluation back.
func (l *Leader) SubmitPlan(ctx context.Context, t broker.Token, p *command.Plan) (term.Result, error) {
	r, _ := l.get()
	if r == nil {
		return term.Result{}, ErrNoTerm
	}
	return r.submit(ctx, t, p)
}

// Verified is what the term has verified of plans; zero if there is no term.
func (l *Leader) Verified() term.Verified {
	if r, _ := l.get(); r != nil {
		if v := r.verified.Load(); v != nil {
			return *v
		}
	}
	return term.Verified{}
}

// Ack ends a delivery whose evaluation has its outcome.
func (l *Leader) Ack(t broker.Token) error { return l.post(message{event: term.EvalAcked{Token: t}}) }

// Nack gives an evaluation back.
func (l *Leader) Nack(t broker.Token) error { return l.post(message{event: term.EvalNacked{Token: t}}) }
