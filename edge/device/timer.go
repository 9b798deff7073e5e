package device

import (
	"container/heap"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
)

// timerKind says what a timer is for.
type timerKind uint8

const (
	wakeAlloc timerKind = iota
	wakeModule
	wakeStatus
	wakePersist
	wakeHold
	wakeContact
)

// timer is a time at which to look again. Timers are not cancelled: whoever is woken looks whether there is something to do.
type timer struct {
	at     time.Time
	seq    uint64 // orders equal times
	kind   timerKind
	alloc  fleet.UUID
	digest string
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	*h = old[:len(old)-1]
	return t
}

// timers is the device's clockwork.
type timers struct {
	heap  timerHeap
	seq   uint64
	asked time.Time // the last WakeAt; zero: none is under way
}

func (ts *timers) add(t timer) {
	ts.seq++
	t.seq = ts.seq
	heap.Push(&ts.heap, t)
}

// woken notes that the owner's timer has gone off.
func (ts *timers) woken(now time.Time) {
	if !now.Before(ts.asked) {
		ts.asked = time.Time{}
	}
}

// next is when to be woken, if that differs from what was asked.
func (ts *timers) next() (time.Time, bool) {
	if len(ts.heap) == 0 || ts.heap[0].at.Equal(ts.asked) {
		return time.Time{}, false
	}
	ts.asked = ts.heap[0].at
	return ts.asked, true
}

// runTimers handles everything that is due.
func (d *Device) runTimers() {
	for len(d.timers.heap) > 0 && !d.timers.heap[0].at.After(d.now) {
		t := heap.Pop(&d.timers.heap).(timer)
		switch t.kind {
		case wakeAlloc:
			if e := d.allocs[t.alloc]; e != nil && !e.Terminal() {
				e.wake = time.Time{}
				d.advance(e)
			}
		case wakeModule:
			d.retryFetch(t.digest)
		case wakeStatus, wakePersist, wakeHold, wakeContact: // tell, persist, settleHolds and watchContact look at the time themselves
		}
	}
}
