package link

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// AcceptQueueMax bounds the accepted links per protocol that nobody has taken yet. A link that is refused here has been paid for
// in full, so it is wide: it overflows only where nobody accepts.
const AcceptQueueMax = 1024

// Queue holds the accepted links of one protocol between an adapter, which offers them, and the listeners that take them.
type Queue struct {
	links chan Link

	mu   sync.Mutex
	shut bool
	done chan struct{}
}

// NewQueue makes an empty queue.
func NewQueue() *Queue {
	return &Queue{links: make(chan Link, AcceptQueueMax), done: make(chan struct{})}
}

// Offer queues a link, or says with which code and reason the adapter should close it. It never waits.
func (q *Queue) Offer(l Link) (Code, string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shut {
		return CodeShutdown, "this protocol is closed here"
	}
	select {
	case q.links <- l:
		return CodeDone, ""
	default:
		return CodeBusy, BusySpread.Reason(fmt.Sprintf("%d links wait already", AcceptQueueMax))
	}
}

// Close refuses further links and those that nobody took.
func (q *Queue) Close() {
	q.mu.Lock()
	if q.shut {
		q.mu.Unlock()
		return
	}
	q.shut = true
	close(q.done)
	q.mu.Unlock() // nothing is offered from here on, and closing a link may take its time
	for {
		select {
		case l := <-q.links:
			_ = l.Close(CodeShutdown, "this protocol is closed here") // it is refused either way
		default:
			return
		}
	}
}

// Listener is a listener of the queue. All listeners of a queue share it.
func (q *Queue) Listener(addr net.Addr) Listener { return &listener{queue: q, addr: addr} }

type listener struct {
	queue *Queue
	addr  net.Addr
}

func (l *listener) Accept(ctx context.Context) (Link, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.queue.done:
		return nil, net.ErrClosed
	case got := <-l.queue.links:
		return got, nil
	}
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Close() error {
	l.queue.Close()
	return nil
}
