package region

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/control/broker"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/liveness"
	"github.com/dunlin-edge/dunlin/control/plan"
	"github.com/dunlin-edge/dunlin/control/reap"
	"github.com/dunlin-edge/dunlin/control/scheduler"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/control/term"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Times of a simulated region, shorter than real ones so that more happens.
const (
	workersMax  = 3
	nackTimeout = 5 * time.Second
	lostMin     = 20 * time.Second
	lostMax     = 30 * time.Second
	never       = 1000 * time.Hour
)

// leadership is the shell of one term: it carries out what the core says, and
// its workers schedule.
type leadership struct {
	v         *server
	s         *sim
	core      *term.Term
	wake      int
	looking   bool // an Applied is on its way
	proposals int
	requests  uint64
	waiting   map[uint64]func(term.Action) // by request
	submitted map[fleet.UUID]*command.Plan // for a planted bug
	working   int
}

func newLeadership(v *server) *leadership {
	l := &leadership{v: v, s: v.s, waiting: map[uint64]func(term.Action){}, submitted: map[fleet.UUID]*command.Plan{}}
	cfg := term.Config{
		Broker: broker.Config{
			NackTimeout: nackTimeout, RetryDelay: 500 * time.Millisecond, FollowupDelay: 10 * time.Second, FirstToken: broker.Token(v.term << 32),
		},
		Liveness: liveness.Config{BeatEvery: beatEvery, LostMin: lostMin, LostMax: lostMax},
		Reap: reap.Config{
			EvalAge: 15 * time.Second, BatchEvalAge: 20 * time.Second, JobAge: 30 * time.Second, NodeAge: 40 * time.Second, Every: 10 * time.Second,
		},
	}
	cfg.Planted = plan.Planted{
		GrantsUnchecked: l.s.opts.Bug == BugGrantsUnchecked, GrantsForgotten: l.s.opts.Bug == BugGrantsForgotten,
		DevicesUnchecked: l.s.opts.Bug == BugDevicesUnchecked,
	}
	if l.s.opts.Bug == BugNeverLost {
		cfg.Liveness.LostMin, cfg.Liveness.LostMax = never, never
	}
	if l.s.opts.Bug == BugBrakeIgnored {
		cfg.Liveness.MaxLost = 100
	}
	view := v.store.View()
	l.core = term.New(cfg, view, l.s.seed32(), l.s.now)
	l.s.after(0, "term begins", func() {
		if l.s.opts.Bug == BugForgetOpenEvals {
			l.forgetOpen()
		}
		for range workersMax {
			l.idle()
		}
	})
	return l
}

func (l *leadership) leads() bool { return l.v.lead == l }

func (l *leadership) step(ev term.Event) {
	if !l.leads() {
		return
	}
	for _, a := range l.core.Step(ev, l.v.store.View(), l.s.now) {
		l.act(a)
	}
}

// applied lets the term look, a moment later and once for many entries.
func (l *leadership) applied() {
	if l.looking {
		return
	}
	l.looking = true
	l.s.after(l.s.between(0, 4*time.Millisecond), "applied", func() {
		l.looking = false
		l.step(term.Applied{})
	})
}

func (l *leadership) act(a term.Action) {
	switch a := a.(type) {
	case term.GiveEval:
		l.answer(a.Request, a)
	case term.AnswerPlan:
		l.answer(a.Request, a)
	case term.Propose:
		l.propose(a)
	case term.Note:
		l.s.note("the term says: %s", a.Text)
	case term.WakeAt:
		l.wake++
		wake := l.wake
		l.s.at(a.At, "term wakes", func() {
			if wake == l.wake {
				l.step(term.Tick{})
			}
		})
	}
}

func (l *leadership) answer(request uint64, a term.Action) {
	f := l.waiting[request]
	if f == nil {
		l.s.object("the term answers request %d twice, or one that nobody made", request)
	}
	delete(l.waiting, request)
	l.s.after(l.s.between(0, 4*time.Millisecond), "answer", func() {
		if l.leads() {
			f(a)
		}
	})
}

// propose logs what the term wants logged. What is lost with the term is not
// reported: the next one reads the state.
func (l *leadership) propose(a term.Propose) {
	cmd, ok := a.Command.(command.Command)
	if !ok {
		l.s.object("the term proposes a %T, which is no command", a.Command)
	}
	cmd = l.tamper(cmd)
	l.proposals++
	l.v.propose(cmd, func(index uint64, _ any, err error) {
		l.proposals--
		if errors.Is(err, errLeadership) || errors.Is(err, errNoLeader) {
			return
		}
		if err != nil {
			index = 0
		}
		l.s.after(l.s.between(0, 4*time.Millisecond), "proposed", func() {
			l.step(term.Proposed{ID: a.ID, Index: index, Refused: err})
		})
	})
}

// tamper is where planted bugs of the leader's shell live.
func (l *leadership) tamper(cmd command.Command) command.Command {
	if c, ok := cmd.(*command.Plan); ok && l.s.opts.Bug == BugSkipPlanCheck {
		if whole := l.submitted[c.Eval]; whole != nil {
			return whole
		}
	}
	if c, ok := cmd.(*command.DrainStep); ok {
		return l.drains(c)
	}
	return cmd
}

// drains spoils the steps of drains.
func (l *leadership) drains(c *command.DrainStep) command.Command {
	v, bad := l.v.store.View(), *c
	switch l.s.opts.Bug {
	case BugDrainForgotten:
		bad.Marks = nil
	case BugDrainAtOnce:
		bad.Marks = slices.Clone(c.Marks)
		for i := range bad.Marks {
			for a := range v.AllocsByNode(v.NodeByID(bad.Marks[i].Node).Key) {
				bad.Marks[i].Allocs = append(bad.Marks[i].Allocs, a.ID)
			}
		}
	}
	return &bad
}

// forgetOpen is a planted bug: a new leader takes what is open for done.
func (l *leadership) forgetOpen() {
	put := command.EvalsPut{At: l.s.now.UnixNano()}
	for e := range l.v.store.View().OpenEvals() {
		c := *e
		c.Status = fleet.EvalComplete
		put.Evals = append(put.Evals, c)
	}
	if len(put.Evals) > 0 {
		l.v.propose(put, func(uint64, any, error) {})
	}
}

func (l *leadership) request(f func(term.Action)) uint64 {
	l.requests++
	l.waiting[l.requests] = f
	return l.requests
}

// idle is a worker that asks for an evaluation.
func (l *leadership) idle() {
	if !l.leads() {
		return
	}
	l.step(term.WorkerIdle{Request: l.request(func(a term.Action) {
		g := a.(term.GiveEval)
		l.working++
		l.schedule(g.Delivery, g.View, g.InFlight)
	})})
}

// schedule works on an evaluation for a while: mostly for moments, sometimes for
// longer than the broker waits, and sometimes the worker dies.
func (l *leadership) schedule(d broker.Delivery, view *state.View, inFlight func(state.NodeKey) state.Usage) {
	lasts := l.s.between(time.Millisecond, 30*time.Millisecond)
	switch {
	case l.s.trouble(30):
		lasts = l.s.between(nackTimeout/2, 3*nackTimeout)
		l.s.fault("a worker is slow with %s of %s: %s", short(d.Eval.ID), d.Eval.Job, lasts)
	case l.s.trouble(15):
		l.s.fault("a worker dies with %s of %s", short(d.Eval.ID), d.Eval.Job)
		l.s.after(lasts, "worker again", func() { l.done(nil) })
		return
	case l.s.trouble(15):
		l.s.after(lasts, "worker gives back", func() { l.done(term.EvalNacked{Token: d.Token}) })
		return
	}
	l.s.after(lasts, "scheduled", func() {
		if !l.leads() {
			return
		}
		out := scheduler.Schedule(scheduler.Input{
			View: view, InFlight: inFlight, Eval: d.Eval, Now: l.s.now, Seed: l.s.seed32(), Strategies: spoiled(l.s.opts.Bug),
		})
		if l.s.opts.Bug == BugBlockedForever && d.Eval.Status == fleet.EvalBlocked {
			again := *d.Eval
			again.Snapshot = view.Index()
			out.Plan = command.Plan{Eval: d.Eval.ID, Namespace: d.Eval.Namespace, Job: d.Eval.Job, At: l.s.now.UnixNano(), Evals: []state.Eval{again}}
		}
		if l.s.opts.Bug == BugStepForgotten && d.Eval.Trigger == fleet.TriggerRolling {
			ended := *d.Eval
			ended.Status, ended.WaitUntil = fleet.EvalComplete, 0
			out.Plan = command.Plan{Eval: d.Eval.ID, Namespace: d.Eval.Namespace, Job: d.Eval.Job, At: l.s.now.UnixNano(), Evals: []state.Eval{ended}}
		}
		if l.s.opts.Bug == BugEvictForgotten && d.Eval.Trigger == fleet.TriggerPreemption {
			ended := *d.Eval
			ended.Status = fleet.EvalComplete
			out.Plan = command.Plan{Eval: d.Eval.ID, Namespace: d.Eval.Namespace, Job: d.Eval.Job, At: l.s.now.UnixNano(), Evals: []state.Eval{ended}}
		}
		if l.s.opts.Bug == BugStopBoth {
			stopBoth(view, &out.Plan)
		}
		l.submit(d, &out.Plan)
	})
}

// stopBoth adds to each loser of a pair the winner.
func stopBoth(v *state.View, p *command.Plan) {
	for _, s := range p.Stops {
		row := v.AllocByID(s.Alloc)
		if !strings.Contains(s.Reason, "reconcile =") {
			continue
		}
		if o := original(v, row); o != nil {
			p.Stops = append(p.Stops, command.Stop{Alloc: o.ID, Desired: state.DesiredStop, Reason: s.Reason})
		} else if next := v.AllocByID(row.Next); next != nil {
			p.Stops = append(p.Stops, command.Stop{Alloc: next.ID, Desired: state.DesiredStop, Reason: s.Reason})
		}
	}
}

func (l *leadership) submit(d broker.Delivery, p *command.Plan) {
	l.submitted[d.Eval.ID] = p
	l.step(term.PlanSubmitted{Token: d.Token, Plan: p, Request: l.request(func(a term.Action) {
		r := a.(term.AnswerPlan).Result
		if l.s.opts.Bug == BugEvictRefused && len(r.Rejected) > 0 {
			l.evictRefused(p)
		}
		switch {
		case errors.Is(r.Err, term.ErrToken) && l.s.opts.Bug == BugStalePlan:
			l.v.propose(p, func(uint64, any, error) { l.done(nil) })
		case r.Err != nil:
			l.done(term.EvalNacked{Token: d.Token})
		case r.Done:
			l.done(term.EvalAcked{Token: d.Token})
		default:
			l.schedule(d, r.View, r.InFlight)
		}
	})})
}

// done ends a worker's work on an evaluation.
func (l *leadership) done(ev term.Event) {
	if !l.leads() {
		return
	}
	l.working--
	if ev != nil {
		l.step(ev)
	}
	l.idle()
}

// busy counts what the term's shell still has under way.
func (l *leadership) busy() int { return l.working + l.proposals }

func (v *server) linkUp(id fleet.UUID) {
	v.heard[id] = v.s.now
	if v.lead != nil {
		v.lead.step(term.LinkUp{Node: id})
	}
}

func (v *server) linkDown(id fleet.UUID) {
	if v.lead != nil {
		v.lead.step(term.LinkDown{Node: id, Reason: "cut"})
	}
}

func (v *server) beat(id fleet.UUID) {
	v.heard[id] = v.s.now
	if v.lead != nil {
		v.lead.step(term.Beat{Node: id})
	}
}
