package leader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-edge/dunlin/control/broker"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/control/term"
)

// message is an event and where its answer goes.
type message struct {
	event   term.Event
	dequeue chan Assignment  // of term.WorkerIdle
	plan    chan term.Result // of term.PlanSubmitted
}

// loop is one term's goroutine and its children.
type loop struct {
	cfg      *Config
	ctx      context.Context
	cancel   context.CancelCauseFunc
	inbox    chan message
	done     chan struct{} // closed when the loop takes nothing any more
	children sync.WaitGroup
	requests atomic.Uint64
	verified atomic.Pointer[term.Verified]

	// Owned by the loop's goroutine.
	term *term.Term
	wake time.Time
	rate float64 // that the term was told
	// plansSeen is how many plans the term had verified when verified was last stored.
	plansSeen uint64
	dequeues  map[uint64]chan Assignment
	plans     map[uint64]chan term.Result
}

func (r *loop) post(m message) error {
	select {
	case r.inbox <- m:
		return nil
	case <-r.done:
		return ErrNoTerm
	}
}

// serve runs the loop until its context ends.
func (r *loop) serve() {
	// Which tables a term looks at: evaluations, and where room comes from.
	evals, nodes, allocs := r.watch(state.TableEvals), r.watch(state.TableNodes), r.watch(state.TableAllocs)
	region, scheduler := r.watch(state.TableRegion), r.watch(state.TableScheduler)
	timer := time.NewTimer(0) // the first tick also sees what was committed before the watches
	defer timer.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case m := <-r.inbox:
			r.take(m)
		case <-evals:
			evals = r.watch(state.TableEvals)
			r.step(term.Applied{})
		case <-nodes:
			nodes = r.watch(state.TableNodes)
			r.step(term.Applied{})
		case <-allocs:
			allocs = r.watch(state.TableAllocs)
			r.step(term.Applied{})
		case <-region:
			region = r.watch(state.TableRegion)
			r.step(term.Applied{})
		case <-scheduler:
			scheduler = r.watch(state.TableScheduler)
			r.step(term.Applied{})
		case <-timer.C:
			r.pace()
			r.step(term.Tick{})
		}
		timer.Stop()
		if !r.wake.IsZero() {
			timer.Reset(time.Until(r.wake))
		}
	}
}

// pace tells the term what was measured of handshakes. With each tick is often enough: what it decides by the rate is due by
// time alone.
func (r *loop) pace() {
	if r.cfg.Rate == nil {
		return
	}
	if rate := r.cfg.Rate(); rate != r.rate {
		r.rate = rate
		r.step(term.Handshakes{PerSecond: rate})
	}
}

func (r *loop) watch(t state.Table) <-chan struct{} { return r.cfg.Store.Watch(state.Topic{Table: t}) }

func (r *loop) take(m message) {
	switch ev := m.event.(type) {
	case term.WorkerIdle:
		r.dequeues[ev.Request] = m.dequeue
	case term.WorkerGone:
		if ch := r.dequeues[ev.Request]; ch != nil {
			delete(r.dequeues, ev.Request)
			close(ch)
		}
	case term.PlanSubmitted:
		r.plans[ev.Request] = m.plan
	}
	r.step(m.event)
}

// step tells the term and does what it says. Answers have room in their channels.
func (r *loop) step(ev term.Event) {
	r.wake = time.Time{}
	for _, a := range r.term.Step(ev, r.cfg.Store.View(), time.Now()) {
		switch a := a.(type) {
		case term.GiveEval:
			r.dequeues[a.Request] <- Assignment{Eval: a.Delivery.Eval, Token: a.Delivery.Token, View: a.View, InFlight: a.InFlight}
			delete(r.dequeues, a.Request)
		case term.AnswerPlan:
			r.plans[a.Request] <- a.Result
			delete(r.plans, a.Request)
		case term.Propose:
			r.children.Go(func() { r.propose(a) })
		case term.WakeAt:
			r.wake = a.At
		case term.Note:
			r.cfg.Logger.Warn(a.Text)
		}
	}
	if v := r.term.Verified(); v.Plans != r.plansSeen {
		r.plansSeen = v.Plans
		r.verified.Store(&v)
	}
}

func (r *loop) propose(a term.Propose) {
	index, _, err := r.cfg.Log.Propose(r.ctx, a.Command)
	if err != nil && index == 0 && !errors.Is(err, command.ErrMalformed) {
		r.cancel(fmt.Errorf("a proposal has no known outcome: %w", err))
		return
	}
	done := term.Proposed{ID: a.ID, Index: index}
	if err != nil {
		done.Refused = err
		r.cfg.Logger.Warn("a proposal was refused", "command", fmt.Sprintf("%T", a.Command), "reason", err)
	}
	// A loop that has ended needs no outcome: the next reads it from the state.
	_ = r.post(message{event: done})
}

func (r *loop) dequeue(ctx context.Context) (Assignment, error) {
	id, ch := r.requests.Add(1), make(chan Assignment, 1)
	if err := r.post(message{event: term.WorkerIdle{Request: id}, dequeue: ch}); err != nil {
		return Assignment{}, err
	}
	select {
	case a := <-ch:
		return a, nil
	case <-r.done:
		return Assignment{}, ErrNoTerm
	case <-ctx.Done():
	}
	// The answer may be on its way: take it and give it back.
	if err := r.post(message{event: term.WorkerGone{Request: id}}); err != nil {
		return Assignment{}, context.Cause(ctx)
	}
	select {
	case a, given := <-ch:
		if given {
			_ = r.post(message{event: term.EvalNacked{Token: a.Token}}) // a loop that has ended forgot it already
		}
	case <-r.done:
	}
	return Assignment{}, context.Cause(ctx)
}

func (r *loop) submit(ctx context.Context, t broker.Token, p *command.Plan) (term.Result, error) {
	id, ch := r.requests.Add(1), make(chan term.Result, 1)
	if err := r.post(message{event: term.PlanSubmitted{Request: id, Token: t, Plan: p}, plan: ch}); err != nil {
		return term.Result{}, err
	}
	select {
	case res := <-ch:
		return res, res.Err
	case <-r.done:
		return term.Result{}, ErrNoTerm
	case <-ctx.Done():
		return term.Result{}, context.Cause(ctx)
	}
}
