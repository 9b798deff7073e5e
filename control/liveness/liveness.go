// Package liveness decides the link state of every node: online, late,
// unreachable or lost.
//
// The one idea: a node's state is a function of three things (is it linked, when
// did it last give a sign of life, what time is it), computed when one of them
// changes; what differs from what the region has stored comes out of
// [Tracker.Due], batched.
//
// # Invariants
//
//   - A node is lost only when Config.LostMin to LostMax have passed since its last
//     sign of life or since the term started, whichever is later: a new leader has
//     heard nobody yet and must not condemn anybody for it. To the start of the
//     term is added the time that all nodes together need to link, at the rate of
//     handshakes that was measured.
//   - Between LostMin and LostMax each node has its own limit, from its ID: when a
//     site goes dark its nodes are not replaced in one stampede.
//   - While the loss brake is on no node becomes lost; see brake.go.
//   - A change that is being proposed is not proposed again until it is done.
//   - A beat moves no heap entry: entries may be early, never late, and are put
//     right when they come up. That is what makes 10,000 nodes cheap.
//
// Threading: none; one goroutine owns a Tracker. Times are Unix nanoseconds.
package liveness

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Defaults of Config.
const (
	BeatEvery = 30 * time.Second
	LostMin   = 60 * time.Second
	LostMax   = 75 * time.Second
)

// Config tunes a tracker; zero fields take the defaults above.
type Config struct {
	BeatEvery time.Duration // how often devices are told to beat; late is one and a half of it
	LostMin   time.Duration
	LostMax   time.Duration // at least LostMin
	MaxLost   int           // percent that may go at once; 100: any number; 0: the default
}

func (c Config) withDefaults() Config {
	if c.BeatEvery <= 0 {
		c.BeatEvery = BeatEvery
	}
	if c.LostMin <= 0 {
		c.LostMin = LostMin
		c.LostMax = max(c.LostMax, LostMax)
	}
	c.LostMax = max(c.LostMax, c.LostMin)
	if c.MaxLost <= 0 {
		c.MaxLost = MaxLost
	}
	return c
}

func (c Config) late() int64 { return int64(c.BeatEvery + c.BeatEvery/2) }

// lostAfter is the node's own limit within LostMin and LostMax.
func (c Config) lostAfter(id fleet.UUID) int64 {
	span := uint64(c.LostMax - c.LostMin)
	if span == 0 {
		return int64(c.LostMin)
	}
	h := fnv.New64a()
	h.Write(id[:])
	return int64(c.LostMin) + int64(h.Sum64()%(span+1))
}

type node struct {
	id       fleet.UUID
	site     string
	heard    bool            // of in this term
	away     int64           // since when, as the region has it; 0: it is not
	stored   fleet.LinkState // what the region has; "" until the row is known
	linked   bool
	down     bool // the link ended within this term
	reason   string
	seen     int64 // last sign of life, or the start of its clock
	lost     int64 // nanoseconds after seen
	proposed bool
	dirty    bool
	at       int64
	pos      int // in the heap; -1: nothing will happen by time alone
}

// Tracker knows the nodes of a region for one term.
type Tracker struct {
	cfg   Config
	nodes map[fleet.UUID]*node
	times nodeHeap
	dirty []*node

	brake    brake
	lookedAt int64 // whether the brake may be released

	rate float64 // handshakes per second; see SetRate
}

// brake is the loss brake as the region has it.
type brake struct {
	on              bool
	since, released int64
}

// Row is what the region has of a node.
type Row struct {
	ID        fleet.UUID
	Link      fleet.LinkState
	Site      string // its datacenter
	AwaySince int64
}

// New returns a tracker that knows no node.
func New(cfg Config) *Tracker {
	return &Tracker{cfg: cfg.withDefaults(), nodes: map[fleet.UUID]*node{}, rate: HandshakesPerSecond}
}

// Put says what the region has of a node. The first Put starts its clock.
// A row that others made online is a node that registered: a sign of life, which
// comes before the link's.
func (t *Tracker) Put(r Row, now int64) {
	n := t.node(r.ID, now)
	n.site, n.away = r.Site, r.AwaySince
	if n.proposed || n.stored == r.Link {
		return
	}
	if r.Link == fleet.LinkOnline {
		n.heard = n.heard || n.stored != "" // by its registration in this term
		n.seen, n.down = now, false
	}
	n.stored = r.Link
	t.touch(n, now)
}

// Forget drops a node whose row is gone. Until it registers again nothing is due
// for it.
func (t *Tracker) Forget(id fleet.UUID) {
	if n := t.nodes[id]; n != nil {
		n.stored = "" // it may stand in a queue
		delete(t.nodes, id)
	}
}

// LinkUp notes that a device linked.
func (t *Tracker) LinkUp(id fleet.UUID, now int64) { t.alive(id, now) }

// Beat notes a beat. It also counts as a link: links outlive terms, and a new
// leader hears of an old link by its beats.
func (t *Tracker) Beat(id fleet.UUID, now int64) { t.alive(id, now) }

func (t *Tracker) alive(id fleet.UUID, now int64) {
	n := t.node(id, now)
	n.linked, n.down, n.seen, n.heard = true, false, now, true
	t.touch(n, now)
}

// LinkDown notes the end of a link. It is no sign of life: the lost clock goes on
// from the last beat.
func (t *Tracker) LinkDown(id fleet.UUID, reason string, now int64) {
	n := t.node(id, now)
	n.linked, n.down, n.reason = false, true, reason
	t.touch(n, now)
}

func (t *Tracker) node(id fleet.UUID, now int64) *node {
	n := t.nodes[id]
	if n == nil {
		n = &node{id: id, seen: now, lost: t.cfg.lostAfter(id), pos: -1}
		t.nodes[id] = n
	}
	return n
}

// touch looks at a node whose inputs changed.
func (t *Tracker) touch(n *node, now int64) {
	if n.pos < 0 {
		t.schedule(n, now)
	}
	if !n.dirty && n.stored != "" && !n.proposed && t.want(n, now) != n.stored {
		n.dirty = true
		t.dirty = append(t.dirty, n)
	}
}

func (t *Tracker) schedule(n *node, now int64) {
	switch {
	case now < t.base(n)+t.cfg.late():
		n.at = t.base(n) + t.cfg.late()
	case now < t.base(n)+n.lost:
		n.at = t.base(n) + n.lost
	default:
		return
	}
	heap.Push(&t.times, n)
}

// base is when the node's clock started.
func (t *Tracker) base(n *node) int64 {
	at := n.seen
	if !n.heard {
		at += t.grace()
	}
	if !t.brake.on && t.brake.released != t.brake.since {
		// It was released because they come back: those still on their way have time.
		at = max(at, t.brake.since)
	}
	return at
}

// want is the node's state at now.
func (t *Tracker) want(n *node, now int64) fleet.LinkState {
	late, lost := now >= t.base(n)+t.cfg.late(), now >= t.base(n)+n.lost
	switch {
	case lost && t.brake.on && n.stored != fleet.LinkLost:
		return fleet.LinkUnreachable // held
	case lost:
		return fleet.LinkLost
	case n.linked && late:
		return fleet.LinkLate
	case n.linked:
		return fleet.LinkOnline
	case n.stored == fleet.LinkLost:
		return fleet.LinkLost
	case n.down || late || n.stored == fleet.LinkUnreachable:
		return fleet.LinkUnreachable
	}
	return n.stored // nothing heard in this term yet: leave it be for now
}

// Due returns up to max changes to propose. Each is reported back with Done.
func (t *Tracker) Due(now int64, max int) []command.LinkChange {
	t.wake(now)
	var out []command.LinkChange
	for len(t.dirty) > 0 && len(out) < max {
		n := t.dirty[0]
		t.dirty[0] = nil
		t.dirty = t.dirty[1:]
		n.dirty = false
		if want := t.want(n, now); n.stored != "" && !n.proposed && want != n.stored {
			n.proposed = true
			out = append(out, command.LinkChange{Node: n.id, Link: want, Reason: t.why(n, want, now)})
		}
	}
	return out
}

// wake looks at the nodes whose time has come.
func (t *Tracker) wake(now int64) {
	for len(t.times) > 0 && t.times[0].at <= now {
		n := heap.Pop(&t.times).(*node)
		t.touch(n, now)
	}
}

// Done says how a proposal went. What was not stored comes due again.
func (t *Tracker) Done(changes []command.LinkChange, stored bool, now int64) {
	for _, c := range changes {
		n := t.nodes[c.Node]
		if n == nil {
			continue
		}
		n.proposed = false
		if stored {
			n.stored = c.Link
		}
		t.touch(n, now)
	}
}

func (t *Tracker) why(n *node, want fleet.LinkState, now int64) string {
	silent := time.Duration(now - n.seen).Round(time.Second)
	switch want {
	case fleet.LinkLate:
		return fmt.Sprintf("linked, but no beat for %s; one is due every %s", silent, t.cfg.BeatEvery)
	case fleet.LinkUnreachable:
		if n.down && n.reason != "" {
			return n.reason
		}
		if n.down {
			return "the link ended"
		}
		return fmt.Sprintf("no link since this server became leader %s ago", silent)
	case fleet.LinkLost:
		return fmt.Sprintf("no sign of life for %s; its work is replaced elsewhere", silent)
	}
	return ""
}

// Next is when Due has something that it does not have now.
func (t *Tracker) Next() (int64, bool) {
	if len(t.dirty) > 0 {
		return 0, true
	}
	look := t.lookedAt + int64(BrakeLookEvery)
	switch {
	case len(t.times) == 0:
		return look, t.brake.on
	case t.brake.on:
		return min(look, t.times[0].at), true
	}
	return t.times[0].at, true
}

type nodeHeap []*node

func (h nodeHeap) Len() int           { return len(h) }
func (h nodeHeap) Less(i, k int) bool { return h[i].at < h[k].at }
func (h nodeHeap) Swap(i, k int) {
	h[i], h[k] = h[k], h[i]
	h[i].pos, h[k].pos = i, k
}
func (h *nodeHeap) Push(x any) {
	n := x.(*node)
	n.pos = len(*h)
	*h = append(*h, n)
}
func (h *nodeHeap) Pop() any {
	old := *h
	n := old[len(old)-1]
	old[len(old)-1] = nil
	*h, n.pos = old[:len(old)-1], -1
	return n
}
