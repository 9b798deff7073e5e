package term

import (
	"errors"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/control/broker"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/plan"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Why a plan is refused as a whole.
var (
	ErrToken = errors.New("the evaluation was taken back from this worker, or has a plan under way already")
	ErrFull  = errors.New("too many plans wait to be verified")
)

// Event is what a term is told.
type Event interface{ take(*Term) }

// Applied says that there is a newer view; Tick, that time has passed. Both carry
// nothing: every event brings the newest view and the time.
type (
	Applied struct{}
	Tick    struct{}
)

// WorkerIdle asks for an evaluation; it is answered by GiveEval. Request numbers
// are the shell's and never used twice within a term.
type WorkerIdle struct{ Request uint64 }

// WorkerGone takes a request back. One that was answered is nacked instead.
type WorkerGone struct{ Request uint64 }

// EvalAcked says that a worker is done with an evaluation. It comes after the
// answer to its last plan.
type EvalAcked struct{ Token broker.Token }

// EvalNacked gives an evaluation back.
type EvalNacked struct{ Token broker.Token }

// PlanSubmitted proposes a plan; it is answered by AnswerPlan.
type PlanSubmitted struct {
	Request uint64
	Token   broker.Token
	Plan    *command.Plan // not changed by anybody from now on
}

// Proposed tells how a proposal ended: it is in the log at Index, or Refused says
// why it changed nothing. A proposal of unknown outcome ends the term instead: the
// next one reads from the state how it went.
type Proposed struct {
	ID      uint64
	Index   uint64
	Refused error
}

// LinkUp, Beat and LinkDown are the signs of life of a node.
type (
	LinkUp   struct{ Node fleet.UUID }
	Beat     struct{ Node fleet.UUID }
	LinkDown struct {
		Node   fleet.UUID
		Reason string
	}
)

// Handshakes says how many of them per second the leader does, as far as it was measured.
type Handshakes struct{ PerSecond float64 }

func (e Handshakes) take(t *Term) { t.live.SetRate(e.PerSecond) }

func (Applied) take(*Term) {}
func (Tick) take(*Term)    {}

func (e WorkerIdle) take(t *Term) { t.workers = append(t.workers, e.Request) }

func (e WorkerGone) take(t *Term) {
	t.workers = slices.DeleteFunc(t.workers, func(r uint64) bool { return r == e.Request })
}

func (e EvalAcked) take(t *Term) {
	t.broker.Ack(e.Token, t.now.UnixNano())
}

func (e EvalNacked) take(t *Term) {
	t.broker.Nack(e.Token, t.now.UnixNano())
}

func (e PlanSubmitted) take(t *Term) {
	refuse := func(err error) {
		t.do(AnswerPlan{Request: e.Request, Result: Result{Err: err, View: t.view}})
	}
	if !t.broker.Hold(e.Token) {
		refuse(ErrToken)
		return
	}
	if !t.queue.Push(plan.Submitted{Plan: e.Plan, Token: uint64(e.Token), Request: e.Request}) {
		t.broker.Release(e.Token, t.now.UnixNano())
		refuse(ErrFull)
	}
}

func (e Proposed) take(t *Term) {
	for _, f := range t.flights {
		if f.id == e.ID {
			f.done, f.index, f.refused = true, e.Index, e.Refused
			return
		}
	}
}

func (e LinkUp) take(t *Term) {
	t.meet(e.Node)
	t.live.LinkUp(e.Node, t.now.UnixNano())
}

func (e Beat) take(t *Term) {
	t.meet(e.Node)
	t.live.Beat(e.Node, t.now.UnixNano())
}

func (e LinkDown) take(t *Term) { t.live.LinkDown(e.Node, e.Reason, t.now.UnixNano()) }

// meet makes a node known that registered since the nodes were last looked
// through, so that its first link is not late by that period.
func (t *Term) meet(id fleet.UUID) {
	if n := t.view.NodeByID(id); n != nil {
		t.live.Put(row(n), t.now.UnixNano())
	}
}

// Action is what a shell shall do.
type Action interface{ action() }

// GiveEval answers WorkerIdle. View and InFlight belong together: the worker
// schedules on both.
type GiveEval struct {
	Request  uint64
	Delivery broker.Delivery
	View     *state.View
	InFlight func(state.NodeKey) state.Usage // nil: nothing
}

// Propose asks for a command to be logged; Proposed reports how that went.
type Propose struct {
	ID      uint64
	Command any // *command.Plan, *command.EvalsPut, *command.NodeLinks, *command.BrakeSet *command.DrainStep or *command.Reap
}

// AnswerPlan answers PlanSubmitted.
type AnswerPlan struct {
	Request uint64
	Result  Result
}

// Result is what became of a plan.
type Result struct {
	// Done: the evaluation has its outcome, acknowledge it. Otherwise, if Err is
	// nil, parts were refused: schedule again on View and InFlight.
	Done     bool
	Err      error  // nothing was committed; give the evaluation back
	Index    uint64 // of the entry that holds what was accepted
	Rejected []plan.Rejection
	View     *state.View
	InFlight func(state.NodeKey) state.Usage
}

// Note is for the log, and for whoever reads it.
type Note struct{ Text string }

// WakeAt asks for a Tick at that time; each one replaces the one before.
type WakeAt struct{ At time.Time }

func (GiveEval) action()   {}
func (Propose) action()    {}
func (AnswerPlan) action() {}
func (WakeAt) action()     {}
func (Note) action()       {}
