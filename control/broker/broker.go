package broker

import (
	"container/heap"
	"iter"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Defaults of Config.
const (
	NackTimeout   = 60 * time.Second // a delivery without an answer is taken back
	RetryDelay    = time.Second      // before an evaluation is delivered again
	DeliveriesMax = 3                // then it is ended as failed
	FollowupDelay = time.Minute      // before the one that follows a failed one
)

// Config tunes a broker; zero fields take the defaults above.
type Config struct {
	NackTimeout   time.Duration
	RetryDelay    time.Duration
	DeliveriesMax int
	FollowupDelay time.Duration
	FirstToken    Token // so that tokens of different terms differ
	// Room tells the newest index above after at which capacity came that a blocked evaluation may use, or 0, and up to which
	// index that is known. nil: only Unblock lets go what is blocked.
	Room func(e *state.Eval, after uint64) (index, upto uint64)
}

// Token names one delivery.
type Token uint64

// Delivery is an evaluation given out.
type Delivery struct {
	Eval    *state.Eval
	Token   Token
	Attempt int // from 1
}

type phase uint8

const (
	waiting phase = iota // for its job or a worker
	running
	delayed // for a time
	blocked // for capacity
	ending  // its end is being proposed
)

type item struct {
	timer    slot
	row      *state.Eval // as delivered, while it runs
	newest   *state.Eval // what the view has by now, if another
	job      *job
	phase    phase
	priority int
	age      uint64
	ready    int // position in the ready heap, or -1

	deliveries int
	futile     int    // plans in a row that achieved nothing
	roomAt     uint64 // while blocked: newest index at which capacity came that it may use
	askedAt    uint64 // and up to which index Room was asked
	token      Token
	held       bool // a plan of it is being committed
	nacked     bool // while held: give it back afterwards
	gone       bool // while held: ended in the view
	round      uint64
}

type jobName struct {
	namespace string
	id        fleet.JobID
}

type job struct {
	name    jobName
	running *item
	waiting []*item
	blocked *item
	head    *item // the one in the ready heap
	items   int
}

// Broker is the evaluation queue of one term.
type Broker struct {
	cfg        Config
	items      map[fleet.UUID]*item
	jobs       map[jobName]*job
	tokens     map[Token]*item
	ready      readyHeap
	timers     timerHeap
	lastToken  Token
	lastAge    uint64
	round      uint64
	capacityAt uint64
	blocked    int
	outcomes   []state.Eval
}

// New returns an empty broker.
func New(cfg Config) *Broker {
	if cfg.NackTimeout <= 0 {
		cfg.NackTimeout = NackTimeout
	}
	if cfg.RetryDelay <= 0 {
		cfg.RetryDelay = RetryDelay
	}
	if cfg.DeliveriesMax <= 0 {
		cfg.DeliveriesMax = DeliveriesMax
	}
	if cfg.FollowupDelay <= 0 {
		cfg.FollowupDelay = FollowupDelay
	}
	return &Broker{
		cfg: cfg, lastToken: cfg.FirstToken,
		items: map[fleet.UUID]*item{}, jobs: map[jobName]*job{}, tokens: map[Token]*item{},
	}
}

// Sync makes the broker hold exactly the open evaluations, which come oldest
// first.
func (b *Broker) Sync(open iter.Seq[*state.Eval], now int64) {
	b.round++
	seen := 0
	for e := range open {
		seen++
		if it := b.items[e.ID]; it != nil {
			it.round = b.round
			b.update(it, e, now)
			continue
		}
		b.add(e, now)
	}
	if seen == len(b.items) {
		return
	}
	for _, it := range b.items { // no order reaches an output
		if it.round != b.round {
			b.drop(it)
		}
	}
}

func (b *Broker) add(e *state.Eval, now int64) {
	name := jobName{e.Namespace, e.Job}
	j := b.jobs[name]
	if j == nil {
		j = &job{name: name}
		b.jobs[name] = j
	}
	j.items++
	b.lastAge++
	it := &item{row: e, job: j, priority: e.Priority, age: b.lastAge, ready: -1, round: b.round}
	it.timer = slot{item: it, pos: -1}
	b.items[e.ID] = it
	b.classify(it, now)
}

func (b *Broker) update(it *item, e *state.Eval, now int64) {
	switch {
	case it.phase == running:
		if e.ModifyIndex != it.row.ModifyIndex {
			it.newest = e
		}
	case e.ModifyIndex == it.row.ModifyIndex:
	case it.phase == ending:
		it.row = e
	default:
		b.detach(it)
		it.row, it.priority = e, e.Priority
		b.classify(it, now)
	}
}

// classify puts an item that is nowhere where its row says.
func (b *Broker) classify(it *item, now int64) {
	switch {
	case it.row.Status == fleet.EvalBlocked:
		b.block(it)
	case it.row.WaitUntil > now:
		b.delay(it, it.row.WaitUntil)
	default:
		b.wait(it)
	}
	b.settle(it.job)
}

func (b *Broker) delay(it *item, until int64) {
	it.phase = delayed
	b.setTimer(it, until)
}

func (b *Broker) block(it *item) {
	if old := it.job.blocked; old != nil {
		if newer(old, it) {
			b.cancel(it, old)
			return
		}
		b.detach(old)
		b.cancel(old, it)
	}
	it.phase, it.job.blocked = blocked, it
	it.roomAt, it.askedAt = 0, it.row.Snapshot
	b.blocked++
	b.askRoom(it)
}

// askRoom asks whether there is capacity for a blocked item.
func (b *Broker) askRoom(it *item) {
	if b.cfg.Room == nil {
		return
	}
	index, upto := b.cfg.Room(it.row, it.askedAt)
	it.roomAt, it.askedAt = max(it.roomAt, index), max(it.askedAt, upto)
}

func (b *Broker) wait(it *item) {
	it.phase = waiting
	j := it.job
	if it.row.WaitUntil == 0 {
		for _, other := range j.waiting {
			if other.row.WaitUntil != 0 || other.row.Status == fleet.EvalBlocked || it.row.Status == fleet.EvalBlocked {
				continue
			}
			keep, lose := it, other
			if newer(other, it) {
				keep, lose = other, it
			}
			keep.priority, keep.age = max(keep.priority, lose.priority), min(keep.age, lose.age)
			b.detach(other)
			b.cancel(lose, keep)
			it = keep
			it.phase = waiting
			break // there was at most one
		}
	}
	j.waiting = append(j.waiting, it)
}

func newer(a, b *item) bool { return a.row.Key > b.row.Key }

// detach takes an item that does not run out of its place.
func (b *Broker) detach(it *item) {
	j := it.job
	switch it.phase {
	case waiting:
		j.waiting = slices.DeleteFunc(j.waiting, func(o *item) bool { return o == it })
	case delayed:
		b.clearTimer(it)
	case blocked:
		j.blocked = nil
		b.blocked--
	}
	if j.head == it {
		heap.Remove(&b.ready, it.ready)
		j.head = nil
	}
}

// settle keeps the job's best candidate in the ready heap, and no other.
func (b *Broker) settle(j *job) {
	var best *item
	if j.running == nil {
		for _, it := range j.waiting {
			if best == nil || before(it, best) {
				best = it
			}
		}
		// What waits for capacity goes last: whatever else the job has will look
		// at the new capacity too, and bring the blocked one up to date.
		if best == nil && j.blocked != nil && j.blocked.row.Snapshot < max(b.capacityAt, j.blocked.roomAt) {
			best = j.blocked
		}
	}
	if j.head != nil {
		if j.head == best {
			heap.Fix(&b.ready, best.ready)
			return
		}
		heap.Remove(&b.ready, j.head.ready)
	}
	j.head = best
	if best != nil {
		heap.Push(&b.ready, best)
	}
}

func (b *Broker) drop(it *item) {
	if it.held {
		it.gone = true
		return
	}
	if it.phase == running {
		b.stopRunning(it)
	} else {
		b.detach(it)
	}
	delete(b.items, it.row.ID)
	if it.job.items--; it.job.items == 0 {
		delete(b.jobs, it.job.name)
		return
	}
	b.settle(it.job)
}

func (b *Broker) stopRunning(it *item) {
	delete(b.tokens, it.token)
	b.clearTimer(it)
	it.job.running, it.held, it.nacked = nil, false, false
}

// RoomCame asks Config.Room about everything that is blocked.
func (b *Broker) RoomCame() {
	if b.blocked == 0 {
		return
	}
	for _, j := range b.jobs { // no order reaches an output
		if j.blocked != nil {
			b.askRoom(j.blocked)
			b.settle(j)
		}
	}
}

// Unblock makes deliverable all that blocked on a state before the index at which
// capacity came. The index never falls.
func (b *Broker) Unblock(capacityAt uint64) {
	if capacityAt <= b.capacityAt {
		return
	}
	b.capacityAt = capacityAt
	if b.blocked == 0 {
		return
	}
	for _, j := range b.jobs {
		if j.blocked != nil {
			b.settle(j)
		}
	}
}

// Blocked is how many evaluations wait for capacity.
func (b *Broker) Blocked() int { return b.blocked }

// Open is how many evaluations the broker holds, by where they are.
func (b *Broker) Open() int { return len(b.items) }
