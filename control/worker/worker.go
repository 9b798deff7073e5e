// Package worker runs the scheduler: each worker takes an evaluation, schedules
// it, submits the plan, and tries again while parts of it are refused.
//
// The one idea: a worker decides nothing. Which evaluation, on which view, how
// often, and what becomes of one that gets nowhere is control/term's; what the
// plan says is control/scheduler's. The worker brings the clock and the seed.
//
// # Invariants
//
//   - Every evaluation taken is acknowledged or given back, also when the
//     scheduler panics: a poisoned evaluation fails after a few deliveries instead
//     of ending the server at each start.
//   - Each attempt has a seed of its own.
//   - An evaluation ends with its plan, in one entry; there is no second road.
//
// Threading: Run owns its goroutines and returns after the last of them.
package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/control/broker"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/leader"
	"github.com/dunlin-edge/dunlin/control/scheduler"
	"github.com/dunlin-edge/dunlin/control/term"
)

// Leader is where evaluations come from and plans go: *leader.Leader on the same
// server.
type Leader interface {
	Dequeue(ctx context.Context) (leader.Assignment, error)
	SubmitPlan(ctx context.Context, t broker.Token, p *command.Plan) (term.Result, error)
	Ack(t broker.Token) error
	Nack(t broker.Token) error
}

// Config is what workers need.
type Config struct {
	Leader  Leader
	Workers int // how many; at least one runs
	Logger  *slog.Logger
	// Schedule is scheduler.Schedule unless a test says otherwise.
	Schedule func(scheduler.Input) scheduler.Output
}

// Run works until ctx ends.
func Run(ctx context.Context, cfg Config) {
	cfg.Workers = max(cfg.Workers, 1)
	if cfg.Schedule == nil {
		cfg.Schedule = scheduler.Schedule
	}
	var all sync.WaitGroup
	for i := range cfg.Workers {
		all.Go(func() { cfg.work(ctx, scheduler.Stripe{Worker: i, Of: cfg.Workers}) })
	}
	all.Wait()
}

func (c *Config) work(ctx context.Context, stripe scheduler.Stripe) {
	for {
		a, err := c.Leader.Dequeue(ctx)
		if err != nil {
			return // only because ctx ended
		}
		if err := c.evaluate(ctx, a, stripe); err != nil {
			if ctx.Err() == nil && !errors.Is(err, leader.ErrNoTerm) {
				c.Logger.Warn("evaluation given back", "eval", a.Eval.ID, "job", a.Eval.Job, "reason", err)
			}
			c.tell(c.Leader.Nack(a.Token))
			continue
		}
		c.tell(c.Leader.Ack(a.Token))
	}
}

// tell drops an answer that has no taker: the next term starts from the state.
func (c *Config) tell(err error) {
	if err != nil {
		c.Logger.Debug("the term ended before its worker", "reason", err)
	}
}

// evaluate returns nil when the evaluation has its outcome.
func (c *Config) evaluate(ctx context.Context, a leader.Assignment, stripe scheduler.Stripe) error {
	in := scheduler.Input{View: a.View, InFlight: a.InFlight, Eval: a.Eval, Stripe: stripe}
	for {
		in.Now = time.Now()
		rand.Read(in.Seed[:]) // never fails: it ends the program instead
		out, err := c.schedule(in)
		if err != nil {
			return err
		}
		res, err := c.Leader.SubmitPlan(ctx, a.Token, &out.Plan)
		if err != nil {
			return err
		}
		if res.Done {
			return nil
		}
		in.View, in.InFlight = res.View, res.InFlight
	}
}

func (c *Config) schedule(in scheduler.Input) (out scheduler.Output, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the scheduler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Schedule(in), nil
}
