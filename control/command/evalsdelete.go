package command

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// EvalsDelete forgets evaluations that an operator names: all of them, or none.
type EvalsDelete struct{ Evals []fleet.UUID }

func (EvalsDelete) code() byte { return codeEvalsDelete }

func (c EvalsDelete) append(b []byte) []byte {
	b = codec.AppendUint(b, uint64(len(c.Evals)))
	for _, id := range c.Evals {
		b = appendUUID(b, id)
	}
	return b
}

func readEvalsDelete(r *codec.Reader) EvalsDelete {
	var c EvalsDelete
	for range r.Count("evaluations", ReapMax, 16) {
		c.Evals = append(c.Evals, r.UUID())
	}
	return c
}

// EvalsDeleted is the result of [EvalsDelete].
type EvalsDeleted struct{ Count int }

func applyEvalsDelete(x *state.Txn, _ uint64, c EvalsDelete) (EvalsDeleted, error) {
	seen := make(map[fleet.UUID]bool, len(c.Evals))
	var rows []*state.Eval
	for _, id := range c.Evals {
		e := x.Eval(id)
		if e == nil {
			return EvalsDeleted{}, fmt.Errorf("evaluation %s: %w", id, ErrNoSuchEval)
		}
		if why := EvalKept(&x.View, e); why != "" {
			return EvalsDeleted{}, fmt.Errorf("evaluation %s: %w: %s", id, ErrEvalKept, why)
		}
		if !seen[id] {
			seen[id] = true
			rows = append(rows, e)
		}
	}
	for _, e := range rows {
		x.DeleteEval(e)
	}
	return EvalsDeleted{len(rows)}, nil
}

// EvalKept says why an evaluation cannot be forgotten on request; empty: it can.
// One that waits for room can: what it waits for is placed when its job is evaluated
// for another reason. One that is to be worked on cannot: what it stands for, such as
// the end of a reschedule's delay, would never happen.
func EvalKept(v *state.View, e *state.Eval) string {
	switch {
	case e.Status == fleet.EvalBlocked:
		return ""
	case !e.Ended():
		return "it is " + e.Status + ", and what it is for would never be done"
	case !EvalOver(v, e):
		return fmt.Sprintf("it is the newest of job %s, by which one sees when anything last happened to it", e.Job)
	}
	return ""
}
