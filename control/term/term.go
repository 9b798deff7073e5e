package term

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dunlin-edge/dunlin/control/broker"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/drain"
	"github.com/dunlin-edge/dunlin/control/liveness"
	"github.com/dunlin-edge/dunlin/control/plan"
	"github.com/dunlin-edge/dunlin/control/reap"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Limits of a term.
const (
	PipelineMax     = 8                     // plans that commit at the same time
	AttemptsMax     = 5                     // plans of one delivery that achieve nothing, until it fails
	EvalsPutMax     = 512                   // evaluations in one entry
	LinkChangesMax  = 1000                  // changes in one entry
	NodesLookPeriod = 50 * time.Millisecond // nodes are looked through at most this often
)

// Config tunes a term; zero fields take the defaults of the cores.
type Config struct {
	Broker   broker.Config
	Liveness liveness.Config
	Reap     reap.Config
	Planted  plan.Planted
}

// flight is a proposal under way.
type flight struct {
	id      uint64
	at      time.Time
	done    bool
	index   uint64 // when done and stored
	refused error  // when done and not stored
	// Of a plan:
	submitted plan.Submitted
	verdict   plan.Verdict
	witness   fleet.UUID
	// Of links:
	links []command.LinkChange
	brake bool
	evals bool
	drain bool
	reap  []fleet.UUID // nodes to be forgotten; not nil: of a reap
}

// Term is the state of one term of leadership.
type Term struct {
	cfg     Config
	rng     *rand.ChaCha8
	now     time.Time
	view    *state.View
	synced  *state.View
	broker  *broker.Broker
	live    *liveness.Tracker
	brake   state.Brake // as the view has it
	queue   plan.Queue
	overlay plan.Overlay
	refused plan.Refusals

	workers    []uint64  // requests of idle workers, longest idle first
	flights    []*flight // in the order of their proposal
	plans      int       // of flights
	links      bool      // a proposal of links is under way
	evals      bool      // a proposal of evaluations is under way
	drain      bool      // a proposal of a drain's step is under way
	nextID     uint64
	room       room
	lookedAt   time.Time // when the nodes were last looked through
	looked     uint64    // the view's index then
	configured uint64    // index of the last change of how the region schedules
	draining   []*state.Node
	drainDue   int64 // Unix nanoseconds of the next deadline of a drain; 0: none
	reaps      reaps
	drainAgain bool // a step has landed: look whether another is due
	actions    []Action
}

// New starts a term on a view. The seed is fresh for each term.
func New(cfg Config, view *state.View, seed [32]byte, now time.Time) *Term {
	t := &Term{
		cfg: cfg, rng: rand.NewChaCha8(seed), now: now, view: view,
		live: liveness.New(cfg.Liveness),
	}
	cfg.Broker.Room = func(e *state.Eval, after uint64) (uint64, uint64) { return t.room.newest(t.view, e, after) }
	t.broker = broker.New(cfg.Broker)
	t.brake = view.Region().Brake
	t.room.filled.began = view.Index()
	t.reaps.cfg = cfg.Reap.Filled()
	t.reaps.at = now.Add(t.reaps.cfg.Every)
	t.sync()
	t.look()
	t.drainAgain = true // the first step looks: what is decided here would be proposed by nobody
	return t
}

// Verified is what this term has verified of plans.
func (t *Term) Verified() Verified { return t.refused.Tally() }

// Verified is what a term has verified, and the nodes that keep refusing.
type Verified = plan.Tally

// Step takes in an event and returns what to do, in order. The view is the newest
// there is; it never goes back.
func (t *Term) Step(ev Event, view *state.View, now time.Time) []Action {
	t.now, t.actions = now, nil
	if view.Index() >= t.view.Index() {
		t.view = view
	}
	t.sync()
	ev.take(t)
	t.land()
	t.broker.Tick(now.UnixNano())
	due := t.drainAgain || t.drainDue != 0 && t.drainDue <= now.UnixNano()
	if (due || t.looked != t.view.Index() || t.room.filled.fresh) && now.Sub(t.lookedAt) >= NodesLookPeriod {
		t.look()
		t.drainNodes()
	}
	t.verify()
	t.deliver()
	t.propose()
	t.reap()
	t.wakeAt()
	return t.actions
}

func (t *Term) do(a Action) { t.actions = append(t.actions, a) }

// sync brings the broker up to the view.
func (t *Term) sync() {
	if t.synced == t.view {
		return
	}
	t.synced = t.view
	t.syncBrake()
	t.broker.Sync(t.view.OpenEvals(), t.now.UnixNano())
	for _, f := range t.flights {
		// The view may show a plan before its proposer is told; counting it twice
		// would make nodes look full.
		if !f.witness.IsZero() && t.view.AllocByID(f.witness) != nil {
			t.overlay.Remove(f.id)
		}
	}
}

// syncBrake brings the tracker up to the brake as the region has it.
func (t *Term) syncBrake() {
	b := t.view.Region().Brake
	t.live.SetBrake(b.On, b.Since, b.ReleasedAt, t.now.UnixNano())
	switch {
	case b.On && !t.brake.On:
		t.do(Note{"loss brake: " + b.Reason + "; replacements are held until they are back or an operator releases it"})
	case !b.On && t.brake.On:
		t.do(Note{"loss brake released: " + b.Reason})
	}
	t.brake = b
}

func row(n *state.Node) liveness.Row {
	return liveness.Row{ID: n.ID, Link: n.Link, Site: n.Spec.Datacenter, AwaySince: n.AwaySince}
}

// look goes through the nodes for new room and for link states that others
// changed. It costs microseconds per thousand nodes, hence the period; a running
// sum in the state would make it free.
func (t *Term) look() {
	var fresh []came
	known, now := t.room.upto, t.now.UnixNano()
	t.draining = t.draining[:0]
	for n := range t.view.Nodes() {
		if n.CapacityAt > known {
			fresh = append(fresh, came{n.CapacityAt, n.Key})
		}
		if n.Drain != nil {
			t.draining = append(t.draining, n)
		}
		if n.ModifyIndex > t.looked || t.lookedAt.IsZero() {
			t.live.Put(row(n), now)
		}
	}
	t.looked, t.lookedAt = t.view.Index(), t.now
	at := t.view.SchedulerConfig().ModifyIndex
	if len(fresh) > 0 || at > t.configured || t.room.filled.fresh { // what waits may be let take the room of others
		t.configured, t.room.filled.fresh = at, false
		t.room.take(fresh)
		t.broker.RoomCame()
	}
}

// drainNodes takes the next step of the drains. It is looked for with the nodes: a
// drain waits for what devices tell, and that is a change of the view.
func (t *Term) drainNodes() {
	t.drainAgain, t.drainDue = false, 0
	if t.drain || len(t.draining) == 0 {
		return
	}
	now := t.now.UnixNano()
	d := drain.Decide(t.view, t.draining, now)
	t.drainDue = d.Wake
	if d.Empty() {
		return
	}
	t.drain = true
	d.Step.At = now
	t.rng.Read(d.Step.Seed[:]) // never fails
	t.launch(&flight{drain: true}, &d.Step)
}

// deliver gives evaluations to idle workers.
func (t *Term) deliver() {
	if t.view.SchedulerConfig().PauseEvalBroker {
		return // what is worked on ends; the rest waits for the next view
	}
	for len(t.workers) > 0 {
		d, ok := t.broker.Dequeue(t.now.UnixNano())
		if !ok {
			return
		}
		t.do(GiveEval{Request: t.workers[0], Delivery: d, View: t.view, InFlight: t.overlay.Usage()})
		t.workers = t.workers[1:]
	}
}

// verify takes plans from the queue while the pipeline has room.
func (t *Term) verify() {
	for t.plans < PipelineMax {
		s, ok := t.queue.Pop()
		if !ok {
			return
		}
		v := t.cfg.Planted.Verify(t.view, t.overlay.Usage(), s.Plan)
		placements := 0
		for i := range s.Plan.Groups {
			placements += len(s.Plan.Groups[i].IDs)
		}
		for _, words := range t.refused.Note(t.view, &v, placements, t.now) {
			t.do(Note{words})
		}
		f := &flight{submitted: s, verdict: v, witness: v.Witness()}
		if v.Empty() {
			f.index = t.view.Index()
			t.answer(f)
			continue
		}
		t.plans++
		t.launch(f, &f.verdict.Accepted)
		t.overlay.Add(f.id, v.Delta)
	}
}

func (t *Term) launch(f *flight, cmd any) {
	t.nextID++
	f.id, f.at = t.nextID, t.now
	t.flights = append(t.flights, f)
	t.do(Propose{ID: f.id, Command: cmd})
}

// propose sends what has piled up of evaluations and links.
func (t *Term) propose() {
	if !t.evals && t.broker.HasOutcomes() {
		t.evals = true
		evals := t.broker.Outcomes(EvalsPutMax)
		for i := range evals {
			evals[i].ModifyTime = t.now.UnixNano()
		}
		t.launch(&flight{evals: true}, &command.EvalsPut{Evals: evals, At: t.now.UnixNano()})
	}
	if t.links {
		return
	}
	if brake := t.live.BrakeDue(t.now.UnixNano()); brake != nil {
		t.links = true
		t.launch(&flight{brake: true}, brake)
		return
	}
	if changes := t.live.Due(t.now.UnixNano(), LinkChangesMax); len(changes) > 0 {
		t.links = true
		cmd := &command.NodeLinks{Changes: changes, At: t.now.UnixNano()}
		t.rng.Read(cmd.Seed[:]) // never fails
		t.launch(&flight{links: changes}, cmd)
	}
}

// land ends the flights whose outcome is known and in the view.
func (t *Term) land() {
	rest := t.flights[:0]
	for _, f := range t.flights {
		if !f.done || f.refused == nil && f.index > t.view.Index() {
			rest = append(rest, f)
			continue
		}
		switch {
		case f.links != nil:
			t.links = false
			t.live.Done(f.links, f.refused == nil, t.now.UnixNano())
			for _, c := range f.links {
				t.meet(c.Node) // it may have registered while this was under way
			}
		case f.brake:
			t.links = false
		case f.evals:
			t.evals = false
		case f.drain:
			t.drain, t.drainAgain = false, true
		case f.reap != nil:
			t.landReap(f)
		default:
			t.plans--
			t.landPlan(f)
		}
	}
	clear(t.flights[len(rest):])
	t.flights = rest
}

func (t *Term) landPlan(f *flight) {
	t.overlay.Remove(f.id)
	if f.refused == nil {
		t.room.filled.landed(t.view, &f.verdict.Accepted)
	}
	if f.refused != nil && len(f.verdict.Delta) > 0 {
		// Somebody may have blocked for the room this plan seemed to take.
		t.broker.Unblock(t.view.Index() + 1)
	}
	t.answer(f)
}

// answer tells a worker what became of its plan.
func (t *Term) answer(f *flight) {
	token, now := broker.Token(f.submitted.Token), t.now.UnixNano()
	t.broker.Release(token, now)
	r := Result{Index: f.index, Rejected: f.verdict.Rejected, View: t.view, InFlight: t.overlay.Usage(), Err: f.refused}
	switch {
	case f.refused != nil:
	case f.verdict.Whole():
		r.Done = true
	case !f.verdict.Empty():
		t.broker.Progress(token) // what is left gets all its attempts
	case t.broker.Futile(token) >= AttemptsMax:
		r.Done = true
		t.broker.Exhaust(token, fmt.Sprintf("%d plans in a row were refused as a whole; the last because %s",
			AttemptsMax, f.verdict.Rejected[0].Reason), now)
	}
	t.do(AnswerPlan{Request: f.submitted.Request, Result: r})
}

// wakeAt says when time alone will make something due.
func (t *Term) wakeAt() {
	var at time.Time
	earlier := func(when time.Time) {
		if at.IsZero() || when.Before(at) {
			at = when
		}
	}
	if ns, ok := t.broker.Next(); ok {
		earlier(time.Unix(0, ns))
	}
	if ns, ok := t.live.Next(); ok && !t.links {
		earlier(time.Unix(0, ns))
	}
	if t.drainAgain || t.looked != t.view.Index() || t.room.filled.fresh {
		earlier(t.lookedAt.Add(NodesLookPeriod))
	}
	if !t.reaps.away {
		earlier(t.reaps.at)
	}
	if t.drainDue != 0 {
		when, next := time.Unix(0, t.drainDue), t.lookedAt.Add(NodesLookPeriod)
		if when.Before(next) {
			when = next // it is looked for with the nodes, and not before
		}
		earlier(when)
	}
	if !at.IsZero() {
		t.do(WakeAt{at})
	}
}
