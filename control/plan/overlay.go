package plan

import (
	"container/heap"
	"maps"
	"slices"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/wire"
)

// Delta is what a plan places on nodes, in full: what it frees there counts for itself alone. To subtract that was rejected: if
// what is to be stopped ends by itself while the plan is in flight, its room would be given out twice.
type Delta map[state.NodeKey]state.Usage

// Overlay is the sum of the plans that are accepted but not in the view yet.
type Overlay struct {
	plans map[uint64]Delta
	sum   map[state.NodeKey]state.Usage
	given bool // sum was handed out and must not be changed any more
}

// Add counts a plan in.
func (o *Overlay) Add(id uint64, d Delta) {
	if len(d) == 0 {
		return
	}
	if o.plans == nil {
		o.plans = map[uint64]Delta{}
	}
	o.plans[id] = d
	o.own()
	for k, u := range d {
		o.sum[k] = plus(o.sum[k], u)
	}
}

// Remove counts a plan out: it is in the view, or it failed.
func (o *Overlay) Remove(id uint64) {
	d, ok := o.plans[id]
	if !ok {
		return
	}
	delete(o.plans, id)
	o.own()
	for k, u := range d {
		rest := minus(o.sum[k], u)
		if u.Granted != "" {
			rest.Granted = o.granted(k)
		}
		if rest == (state.Usage{}) {
			delete(o.sum, k)
		} else {
			o.sum[k] = rest
		}
	}
}

// granted is what the plans that are left hold of a node, in the order of their
// numbers.
func (o *Overlay) granted(k state.NodeKey) (all wire.Granted) {
	for _, id := range slices.Sorted(maps.Keys(o.plans)) {
		all += o.plans[id][k].Granted
	}
	return all
}

func (o *Overlay) own() {
	if o.given || o.sum == nil {
		o.sum, o.given = maps.Clone(o.sum), false
	}
	if o.sum == nil {
		o.sum = map[state.NodeKey]state.Usage{}
	}
}

// Usage returns what plans in flight add to a node, as it is now: the function
// may be kept and called from any goroutine. Nil stands for nothing in flight.
func (o *Overlay) Usage() func(state.NodeKey) state.Usage {
	if len(o.sum) == 0 {
		return nil
	}
	o.given = true
	sum := o.sum
	return func(k state.NodeKey) state.Usage { return sum[k] }
}

func plus(a, b state.Usage) state.Usage {
	return state.Usage{CPU: a.CPU + b.CPU, MemoryMB: a.MemoryMB + b.MemoryMB, DiskMB: a.DiskMB + b.DiskMB, Allocs: a.Allocs + b.Allocs, Granted: a.Granted + b.Granted}
}

// minus leaves what a holds alone: of a sum of names no part can be found again.
func minus(a, b state.Usage) state.Usage {
	return state.Usage{CPU: a.CPU - b.CPU, MemoryMB: a.MemoryMB - b.MemoryMB, DiskMB: a.DiskMB - b.DiskMB, Allocs: a.Allocs - b.Allocs, Granted: a.Granted}
}

// QueueMax bounds the plans that wait to be verified. Each worker has at most one
// under way, so more means that something submits in a loop.
const QueueMax = 1024

// Submitted is a plan that waits to be verified.
type Submitted struct {
	Plan    *command.Plan
	Token   uint64 // of the delivery it belongs to
	Request uint64 // to be answered
	age     uint64
}

// Queue orders plans by priority, then age.
type Queue struct {
	heap queueHeap
	age  uint64
}

// Push adds a plan; it reports false when the queue is full.
func (q *Queue) Push(s Submitted) bool {
	if len(q.heap) >= QueueMax {
		return false
	}
	q.age++
	s.age = q.age
	heap.Push(&q.heap, s)
	return true
}

// Pop takes the next plan.
func (q *Queue) Pop() (Submitted, bool) {
	if len(q.heap) == 0 {
		return Submitted{}, false
	}
	return heap.Pop(&q.heap).(Submitted), true
}

// Len is how many wait.
func (q *Queue) Len() int { return len(q.heap) }

type queueHeap []Submitted

func (h queueHeap) Len() int { return len(h) }
func (h queueHeap) Less(i, k int) bool {
	a, b := h[i].Plan.Priority, h[k].Plan.Priority
	return a > b || a == b && h[i].age < h[k].age
}
func (h queueHeap) Swap(i, k int) { h[i], h[k] = h[k], h[i] }
func (h *queueHeap) Push(x any)   { *h = append(*h, x.(Submitted)) }
func (h *queueHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = Submitted{}
	*h = old[:len(old)-1]
	return s
}
