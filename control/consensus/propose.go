package consensus

import (
	"context"
	"errors"
	"fmt"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/hashicorp/raft"
)

// Why a proposal has no result. After ErrUnsure and after the end of its context
// a proposal may still take effect; after the others it has none.
var (
	ErrNotLeader = errors.New("this server is not the leader")
	ErrUnsure    = errors.New("leadership was lost while the entry was under way; it may or may not take effect")
	ErrClosed    = errors.New("the log is closed")
)

// HaltError says that this server met an entry it cannot apply.
type HaltError struct {
	Index uint64
	Cause error
}

// Error names the entry.
func (e *HaltError) Error() string {
	return fmt.Sprintf("halted at log entry %d: %v", e.Index, e.Cause)
}

// Unwrap is the cause.
func (e *HaltError) Unwrap() error { return e.Cause }

// Future is a proposal under way.
type Future struct {
	done   chan struct{}
	index  uint64
	result any
	err    error
}

// Done is closed when the outcome is known.
func (f *Future) Done() <-chan struct{} { return f.done }

// Wait returns the entry's index and the result of applying it.
func (f *Future) Wait(ctx context.Context) (index uint64, result any, err error) {
	select {
	case <-f.done:
		return f.index, f.result, f.err
	case <-ctx.Done():
		return 0, nil, context.Cause(ctx)
	}
}

// Propose appends an entry and waits until it is applied here. The error of an
// entry that could not be applied is control/command's, with the entry's index.
func (n *Node) Propose(ctx context.Context, entry []byte) (index uint64, result any, err error) {
	f, err := n.ProposeAsync(ctx, entry)
	if err != nil {
		return 0, nil, err
	}
	return f.Wait(ctx)
}

// ProposeAsync appends an entry and does not wait: entries proposed one after
// another by one goroutine are applied in that order. It waits only while
// [ProposalsMax] are under way. The entry must not change afterwards.
func (n *Node) ProposeAsync(ctx context.Context, entry []byte) (*Future, error) {
	// An entry that no server could apply must not get into the log.
	if err := command.Check(entry); err != nil {
		return nil, err
	}
	if err := n.Err(); err != nil {
		return nil, err
	}
	select {
	case n.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-n.closed:
		return nil, ErrClosed
	}
	done, err := n.enter()
	if err != nil {
		<-n.slots
		return nil, err
	}
	f := &Future{done: make(chan struct{})}
	applied := n.raft.Apply(entry, 0)
	go func() { // Close waits for it through done
		defer done()
		defer func() { <-n.slots }()
		defer close(f.done)
		n.finish(f, applied)
	}()
	return f, nil
}

func (n *Node) finish(f *Future, applied raft.ApplyFuture) {
	if err := applied.Error(); err != nil {
		f.err = n.explain(err)
		return
	}
	f.index = applied.Index()
	out := applied.Response().(outcome)
	f.result, f.err = out.result, out.err
}

// Barrier waits until everything that was committed before it is applied here.
// Only a leader can.
func (n *Node) Barrier(ctx context.Context) error {
	done, err := n.enter()
	if err != nil {
		return err
	}
	barrier := n.raft.Barrier(0)
	answer := make(chan error, 1)
	go func() { // Close waits for it through done
		defer done()
		answer <- n.explain(barrier.Error())
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// explain turns the library's errors into this package's.
func (n *Node) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		if s := n.Leader(); s.ID != "" {
			return fmt.Errorf("%w; %s at %s is", ErrNotLeader, s.ID, s.Addr)
		}
		return fmt.Errorf("%w; there is none now", ErrNotLeader)
	case errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrAbortedByRestore):
		return ErrUnsure
	case errors.Is(err, raft.ErrRaftShutdown):
		return ErrClosed
	}
	return fmt.Errorf("the log: %w", err)
}
