package consensus

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/hashicorp/raft"
)

// outcome is what the library hands back to a proposer.
type outcome struct {
	result any
	err    error
}

// fsm applies committed entries to the store. The library calls it from one
// goroutine.
type fsm struct {
	store  *state.Store
	log    *slog.Logger
	halted chan struct{}

	mu    sync.Mutex
	cause error // guarded by mu
}

func newFSM(store *state.Store, log *slog.Logger) *fsm {
	return &fsm{store: store, log: log, halted: make(chan struct{})}
}

func (f *fsm) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cause
}

func (f *fsm) halt(index uint64, cause error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cause = &HaltError{Index: index, Cause: cause}
	close(f.halted)
	f.log.Error("the log cannot be applied any further", "index", index, "error", cause)
}

// Apply implements raft.FSM.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM: one transaction for all entries.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	out := make([]any, len(logs))
	halted := f.err()
	txn, last := f.store.Begin(), uint64(0)
	for i, l := range logs {
		if l.Type == raft.LogCommand && halted == nil {
			result, err := command.Apply(txn, l.Index, l.Data)
			if _, unknown := errors.AsType[*command.UnknownError](err); unknown {
				f.halt(l.Index, err)
				halted = f.err()
			}
			out[i] = outcome{result, err}
		}
		if halted != nil {
			out[i] = outcome{nil, halted}
			continue
		}
		last = l.Index
	}
	if last > 0 {
		txn.Commit(last)
	}
	return out
}

// Snapshot implements raft.FSM in constant time: it keeps the view.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.err(); err != nil {
		return nil, err // the library would cut entries from the log that were never applied
	}
	return snapshot{f.store.View()}, nil
}

// Restore implements raft.FSM. It is also how a far follower catches up.
func (f *fsm) Restore(r io.ReadCloser) error {
	view, err := state.ReadCheckpoint(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("restoring a snapshot: %w", err)
	}
	f.store.Replace(view)
	return nil
}

type snapshot struct{ view *state.View }

// Persist implements raft.FSMSnapshot.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if err := s.view.WriteCheckpoint(sink); err != nil {
		return errors.Join(fmt.Errorf("writing a snapshot: %w", err), sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot: the garbage collector does.
func (snapshot) Release() {}
