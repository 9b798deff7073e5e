package rank

import (
	"slices"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Scale is the score of a node that a placement would fill to the last MHz and
// MiB; an empty node scores what the ask itself takes.
const Scale = 1 << 20

// Weights, in parts of Scale.
const (
	avoidPenalty    = Scale     // for a node on which the allocation failed before
	crowdPenaltyMax = 4 * Scale // the most that siblings on a node cost it
)

// Node is what ranking needs to know of a node. The Ranker changes Free, InGroup
// and InJob as it hands the node out.
type Node struct {
	Key     state.NodeKey
	Cap     fleet.Ask // what allocations may take in all
	Free    fleet.Ask // of which this is left
	InGroup int32     // allocations of the group it has
	InJob   int32     // allocations of the job it has
}

// Stripe is the share of the nodes a worker prefers among equally good ones.
type Stripe struct{ Worker, Of int }

// Request is what to rank for.
type Request struct {
	Ask    fleet.Ask
	Count  int // the group's desired count: what siblings weigh is relative to it
	Seed   uint64
	Stripe Stripe
	// One keeps a node from being handed out twice, and from being handed out if
	// it has one already: of the job or of the group.
	OnePerJob, OnePerGroup bool
}

// Ranker hands out nodes, best first.
type Ranker struct {
	req   Request
	nodes []Node
	heap  heap
	aside []entry // scratch of Take
}

// New scores the nodes that may is true for and that have room. The nodes are
// changed by Take and Return.
func New(req Request, nodes []Node, may func(i int) bool) *Ranker {
	r := &Ranker{req: req, nodes: nodes, heap: make(heap, 0, len(nodes))}
	for i := range nodes {
		if r.Fits(i) && !r.Crowded(i) && may(i) {
			r.heap = append(r.heap, entry{r.key(i), int32(i)})
		}
	}
	r.heap.init()
	return r
}

// Fits reports whether the ask fits into what node i has free.
func (r *Ranker) Fits(i int) bool {
	n := &r.nodes[i]
	return r.req.Ask.CPU <= n.Free.CPU && r.req.Ask.MemoryMB <= n.Free.MemoryMB
}

// Crowded reports whether node i may not take one more for having one already.
func (r *Ranker) Crowded(i int) bool {
	n := &r.nodes[i]
	return r.req.OnePerJob && n.InJob > 0 || r.req.OnePerGroup && n.InGroup > 0
}

// Take hands out the best node, and takes the ask from it. A node in avoid
// counts as worse by the whole scale.
func (r *Ranker) Take(avoid []state.NodeKey) (i int, ok bool) {
	if len(r.heap) == 0 {
		return 0, false
	}
	// An avoided node matters only when it would be next.
	lowered := slices.Contains(avoid, r.nodes[r.heap[0].node].Key)
	if lowered {
		r.shift(avoid, avoidPenalty)
	}
	i = int(r.heap[0].node)
	n := &r.nodes[i]
	n.Free.CPU -= r.req.Ask.CPU
	n.Free.MemoryMB -= r.req.Ask.MemoryMB
	n.InGroup++
	n.InJob++
	r.settle(0)
	if lowered {
		r.shift(avoid, 0)
	}
	return i, true
}

// settle scores the node at heap position p again, or drops it when it is full.
func (r *Ranker) settle(p int) {
	i := int(r.heap[p].node)
	if r.Fits(i) && !r.Crowded(i) {
		r.heap[p].key = r.key(i)
	} else {
		r.heap[p] = r.heap[len(r.heap)-1]
		r.heap = r.heap[:len(r.heap)-1]
	}
	if p < len(r.heap) {
		r.heap.fix(p)
	}
}

// shift scores the avoided nodes with a penalty. They are few and rarely on top,
// so they are found by a scan; a table of positions would cost every sift of
// every placement.
func (r *Ranker) shift(avoid []state.NodeKey, penalty int64) {
	r.aside = r.aside[:0]
	for _, e := range r.heap {
		if slices.Contains(avoid, r.nodes[e.node].Key) {
			r.aside = append(r.aside, e)
		}
	}
	for _, e := range r.aside {
		p := slices.IndexFunc(r.heap, func(x entry) bool { return x.node == e.node })
		r.heap[p].key = r.keyWith(int(e.node), penalty)
		r.heap.fix(p)
	}
}

func (r *Ranker) key(i int) uint64 { return r.keyWith(i, 0) }

// keyWith packs score and tie-break into one word: the greater, the better.
func (r *Ranker) keyWith(i int, penalty int64) uint64 {
	n := &r.nodes[i]
	const bias = 8 * Scale
	score := r.Fit(n) - r.crowd(n) - penalty + bias
	return uint64(score)<<32 | uint64(^r.tie(n.Key))
}

// Fit is how full the node would be: the mean over CPU and memory, 0 to Scale.
func (r *Ranker) Fit(n *Node) int64 {
	return part(n.Cap.CPU-n.Free.CPU+r.req.Ask.CPU, n.Cap.CPU) + part(n.Cap.MemoryMB-n.Free.MemoryMB+r.req.Ask.MemoryMB, n.Cap.MemoryMB)
}

func part(used, whole int64) int64 {
	if used >= whole {
		return Scale / 2
	}
	return max(0, used) * (Scale / 2) / whole
}

// crowd is what siblings on the node cost it: spread out, but the less the more
// of them there have to be.
func (r *Ranker) crowd(n *Node) int64 {
	return min(crowdPenaltyMax, int64(n.InGroup)*Scale/int64(max(1, r.req.Count)))
}

func (r *Ranker) tie(k state.NodeKey) uint32 {
	t := uint32(mix(r.req.Seed^uint64(k)) >> 33)
	if s := r.req.Stripe; s.Of > 1 && int(k)%s.Of != s.Worker {
		t |= 1 << 31
	}
	return t
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Scored is a node and its score in parts of Scale.
type Scored struct {
	Node       int // position
	Fit, Crowd int64
}

// Best lists the best nodes, at most limit, without taking them.
func (r *Ranker) Best(limit int) []Scored {
	top := make([]entry, 0, limit+1)
	for _, e := range r.heap {
		if len(top) == limit && e.key <= top[limit-1].key {
			continue
		}
		at, _ := slices.BinarySearchFunc(top, e, func(a, b entry) int {
			switch {
			case a.key > b.key:
				return -1
			case a.key < b.key:
				return 1
			}
			return 0
		})
		top = slices.Insert(top, at, e)
		top = top[:min(len(top), limit)]
	}
	out := make([]Scored, len(top))
	for k, e := range top {
		n := &r.nodes[e.node]
		out[k] = Scored{Node: int(e.node), Fit: r.Fit(n), Crowd: r.crowd(n)}
	}
	return out
}
