package command

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// newEvalID refuses an evaluation ID that a new evaluation cannot have.
func newEvalID(x *state.Txn, id fleet.UUID) error {
	if id.IsZero() {
		return fmt.Errorf("%w: the evaluation has no ID", ErrInvalid)
	}
	if x.Eval(id) != nil {
		return fmt.Errorf("evaluation %s: %w", id, ErrExists)
	}
	return nil
}

// pendingEval is a new evaluation of a job.
func pendingEval(j *state.Job, id fleet.UUID, trigger string, at int64) state.Eval {
	spec := j.Current().Spec
	return state.Eval{
		ID: id, Namespace: j.Namespace, Job: j.ID, Type: spec.Type, Trigger: trigger,
		Priority: fleet.Or(spec.Priority, fleet.DefaultPriority), Status: fleet.EvalPending,
		JobIndex: j.JobModifyIndex, CreateTime: at, ModifyTime: at,
	}
}

// minter makes evaluations with IDs drawn from a command's seed, at most one per
// job and command: the scheduler looks at the whole job anyway.
type minter struct {
	x      *state.Txn
	index  uint64
	at     int64
	random *rand.ChaCha8
	done   map[state.JobKey]bool
	looked map[state.JobKey]bool // for steps of updates that wait
	ids    []fleet.UUID
}

// seedOf is the seed for a command that brings none: it must give the same on
// every server, and another with each entry.
func seedOf(id fleet.UUID, index uint64) (seed [32]byte) {
	copy(seed[:], id[:])
	binary.LittleEndian.PutUint64(seed[16:], index)
	return seed
}

func newMinter(x *state.Txn, index uint64, at int64, seed [32]byte) *minter {
	return &minter{x: x, index: index, at: at, random: rand.NewChaCha8(seed), done: map[state.JobKey]bool{}, looked: map[state.JobKey]bool{}}
}

// evaluate gives a job an evaluation, unless it is stopped, gone, or has one
// from this command. node is whose change it was.
func (m *minter) evaluate(key state.JobKey, trigger string, node fleet.UUID) {
	j := m.x.Job(key)
	if j == nil || j.Stop || m.done[key] {
		return
	}
	m.done[key] = true
	e := pendingEval(j, m.id(), trigger, m.at)
	e.Node = node
	m.x.PutEval(e, m.index)
	m.ids = append(m.ids, e.ID)
}

// id draws until the ID is free: a seed that was used twice must not overwrite
// an evaluation.
func (m *minter) id() fleet.UUID {
	for {
		var b [16]byte
		m.random.Read(b[:]) // cannot fail
		if id := fleet.MintUUID(b); m.x.Eval(id) == nil {
			return id
		}
	}
}

// EvalsStored is the result of [EvalsPut].
type EvalsStored struct{ Count int }

func applyEvalsPut(x *state.Txn, index uint64, c EvalsPut) (EvalsStored, error) {
	if err := checkEvals(x, c.Evals); err != nil {
		return EvalsStored{}, err
	}
	putEvals(x, index, c.Evals, c.At)
	return EvalsStored{len(c.Evals)}, nil
}

type jobName struct {
	namespace string
	id        fleet.JobID
}

func checkEvals(x *state.Txn, evals []state.Eval) error {
	names := make(map[fleet.UUID]jobName, len(evals))
	for i := range evals {
		e := &evals[i]
		switch {
		case e.ID.IsZero():
			return fmt.Errorf("%w: evaluation %d of the command has no ID", ErrInvalid, i)
		case e.Job == "" || e.Namespace == "":
			return fmt.Errorf("%w: evaluation %s names no job", ErrInvalid, e.ID)
		case !knownEvalStatus[e.Status]:
			return fmt.Errorf("%w: evaluation %s has the status %q", ErrInvalid, e.ID, e.Status)
		}
		// The index by job hangs on these; an evaluation never changes them.
		if old := x.Eval(e.ID); old != nil && (old.Job != e.Job || old.Namespace != e.Namespace) {
			return fmt.Errorf("evaluation %s of job %s: %w, for job %s", e.ID, e.Job, ErrExists, old.Job)
		}
		name := jobName{e.Namespace, e.Job}
		if first, twice := names[e.ID]; twice && first != name {
			return fmt.Errorf("%w: evaluation %s stands twice, for different jobs", ErrInvalid, e.ID)
		}
		names[e.ID] = name
	}
	return nil
}

var knownEvalStatus = map[string]bool{
	fleet.EvalPending: true, fleet.EvalBlocked: true, fleet.EvalComplete: true, fleet.EvalFailed: true, fleet.EvalCancelled: true,
}

func putEvals(x *state.Txn, index uint64, evals []state.Eval, at int64) {
	for _, e := range evals {
		if e.CreateTime == 0 {
			e.CreateTime = at
		}
		e.ModifyTime = at
		x.PutEval(e, index)
	}
}
