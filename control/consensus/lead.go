package consensus

import (
	"context"
	"errors"

	"github.com/hashicorp/raft"
)

// ErrTermEnded is the cause with which a term's context ends.
var ErrTermEnded = errors.New("this server is no longer the leader")

// IsLeader reports whether this server leads, as far as it knows.
func (n *Node) IsLeader() bool { return n.raft.State() == raft.Leader }

// Leader is the server that leads, as far as this one knows; zero if there is
// none.
func (n *Node) Leader() Server {
	addr, id := n.raft.LeaderWithID()
	return Server{ID: string(id), Addr: string(addr)}
}

// Lead runs work once for each term in which this server leads, until ctx ends
// or the node is closed. The work's context ends with the term (cause
// [ErrTermEnded]); it begins after everything of earlier terms is applied here,
// and the next term's work begins after it has returned. Several callers each
// get every term.
func (n *Node) Lead(ctx context.Context, work func(ctx context.Context)) error {
	n.mu.Lock()
	if n.closing {
		n.mu.Unlock()
		return ErrClosed
	}
	n.workers.Add(1)
	n.mu.Unlock()
	defer n.workers.Done()
	var last context.Context
	for {
		term, changed := n.currentTerm()
		if term != nil && term != last {
			last = term
			n.workTerm(ctx, term, work)
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-n.closed:
			return ErrClosed
		}
	}
}

func (n *Node) workTerm(ctx, term context.Context, work func(context.Context)) {
	both, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(term, func() { cancel(context.Cause(term)) })()
	if n.Barrier(both) == nil { // else the term has ended already
		work(both)
	}
}

// LeaderChanges returns a channel that is closed at the next gain or loss of
// leadership.
func (n *Node) LeaderChanges() <-chan struct{} {
	_, changed := n.currentTerm()
	return changed
}

func (n *Node) currentTerm() (context.Context, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.term, n.changed
}

// watchLeadership turns the library's notices, none of which is skipped, into
// terms.
func (n *Node) watchLeadership(notify <-chan bool) {
	for {
		select {
		case leads := <-notify:
			n.setTerm(leads)
		case <-n.stop:
			n.setTerm(false)
			return
		}
	}
}

func (n *Node) setTerm(leads bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.end != nil {
		n.end(ErrTermEnded)
		n.term, n.end = nil, nil
	}
	if leads && !n.closing {
		n.term, n.end = context.WithCancelCause(context.Background())
	}
	close(n.changed)
	n.changed = make(chan struct{})
}
