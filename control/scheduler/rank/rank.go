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
	// Emptiest prefers the emptiest node instead of the fullest.
	Emptiest bool
	// Affinity is how much the job prefers each node, from -Scale to Scale; nil: not
	// at all.
	Affinity []int64
	// Given is how much the job likes what it would be given of each node alone, from
	// -Scale to Scale: the next one there, the one after it, and so on; nil: not at all.
	// Changed as nodes are handed out.
	Given   [][]int64
	Spreads []Spread // changed as nodes are handed out
	Limits  []Limit  // changed as nodes are handed out
}

// Limit is how many more may be placed on nodes of each value of a property.
type Limit struct {
	Value []int32 // of each node, an index into Left; -1: it may not be taken anyway
	Left  []int64
}

// Ranker hands out nodes, best first.
type Ranker struct {
	req     Request
	nodes   []Node
	buckets []bucket
	tops    tops
	weights int64   // of all spreads
	aside   []entry // scratch of shift
}

// New scores the nodes that may is true for and that have room. The nodes are
// changed by Take.
func New(req Request, nodes []Node, may func(i int) bool) *Ranker {
	r := &Ranker{req: req, nodes: nodes}
	for i := range req.Spreads {
		r.weights += req.Spreads[i].Weight
	}
	bucketOf := r.sorted()
	for i := range nodes {
		if r.Open(i) && may(i) {
			b := bucketOf(i)
			b.heap = append(b.heap, entry{r.key(i), int32(i)})
		}
	}
	r.tops = make(tops, len(r.buckets))
	for i := range r.buckets {
		r.buckets[i].heap.init()
		r.buckets[i].bonus = r.bonus(r.buckets[i].values)
		r.tops[i] = int32(i)
	}
	r.order()
	return r
}

// Open reports whether node i has room for one more and no limit against it.
func (r *Ranker) Open(i int) bool { return r.Fits(i) && !r.Crowded(i) && !r.Spent(i) }

// Fits reports whether the ask fits into what node i has free.
func (r *Ranker) Fits(i int) bool {
	n := &r.nodes[i]
	return r.req.Ask.Within(n.Free)
}

// Crowded reports whether node i may not take one more for having one already.
func (r *Ranker) Crowded(i int) bool {
	n := &r.nodes[i]
	return r.req.OnePerJob && n.InJob > 0 || r.req.OnePerGroup && n.InGroup > 0
}

// Spent reports whether node i may not take one more because those of its value
// in some property have as many as they may.
func (r *Ranker) Spent(i int) bool {
	for k := range r.req.Limits {
		if r.req.Limits[k].Spent(i) {
			return true
		}
	}
	return false
}

// Spent reports whether nothing is left for the value of node i.
func (l *Limit) Spent(i int) bool { return l.Value[i] >= 0 && l.Left[l.Value[i]] <= 0 }

// Use counts one more on node i against the limits.
func (req *Request) Use(i int) {
	for k := range req.Limits {
		if l := &req.Limits[k]; l.Value[i] >= 0 {
			l.Left[l.Value[i]]--
		}
	}
	if req.Given != nil && len(req.Given[i]) > 0 {
		req.Given[i] = req.Given[i][1:]
	}
}

// Take hands out the best node, and takes the ask from it. A node in avoid
// counts as worse by the whole scale.
func (r *Ranker) Take(avoid []state.NodeKey) (i int, ok bool) {
	if !r.ready() {
		return 0, false
	}
	// An avoided node matters only when it would be next.
	lowered := slices.Contains(avoid, r.nodes[r.best().heap[0].node].Key)
	if lowered {
		r.shift(avoid, avoidPenalty)
		r.ready()
	}
	b := r.best()
	i = int(b.heap[0].node)
	n := &r.nodes[i]
	n.Free = n.Free.Minus(r.req.Ask)
	n.InGroup++
	n.InJob++
	r.req.Use(i)
	r.settle(b)
	r.taken()
	if lowered {
		r.shift(avoid, 0)
	}
	return i, true
}

func (r *Ranker) best() *bucket { return &r.buckets[r.tops[0]] }

// ready drops nodes from the top that the limits have closed since they were
// scored, and reports whether one is left. Limits only ever get tighter, so such
// a node need not be found before its turn.
func (r *Ranker) ready() bool {
	for len(r.tops) > 0 && len(r.best().heap) > 0 {
		b := r.best()
		if !r.Spent(int(b.heap[0].node)) {
			return true
		}
		b.drop()
		r.sink(0)
	}
	return false
}

// drop removes the bucket's best node.
func (b *bucket) drop() {
	b.heap[0] = b.heap[len(b.heap)-1]
	b.heap = b.heap[:len(b.heap)-1]
	if len(b.heap) > 0 {
		b.heap.fix(0)
	}
}

// settle scores the bucket's best node again, or drops it when it is full.
func (r *Ranker) settle(b *bucket) {
	i := int(b.heap[0].node)
	if !r.Open(i) {
		b.drop()
		return
	}
	b.heap[0].key = r.key(i)
	b.heap.fix(0)
}

// shift scores the avoided nodes with a penalty. They are few and rarely on top,
// so they are found by a scan; a table of positions would cost every sift of
// every placement.
func (r *Ranker) shift(avoid []state.NodeKey, penalty int64) {
	for i := range r.buckets {
		b := &r.buckets[i]
		r.aside = r.aside[:0]
		for _, e := range b.heap {
			if slices.Contains(avoid, r.nodes[e.node].Key) {
				r.aside = append(r.aside, e)
			}
		}
		for _, e := range r.aside {
			p := slices.IndexFunc(b.heap, func(x entry) bool { return x.node == e.node })
			b.heap[p].key = r.keyWith(int(e.node), penalty)
			b.heap.fix(p)
		}
	}
	r.order()
}

func (r *Ranker) key(i int) uint64 { return r.keyWith(i, 0) }

// bias keeps scores above 0 in a key: the least is -7 times Scale.
const bias = 8 * Scale

// keyWith packs the node's own score and tie-break into one word: the greater,
// the better.
func (r *Ranker) keyWith(i int, penalty int64) uint64 {
	n := &r.nodes[i]
	score := r.Fit(n) - r.crowd(n) - penalty + r.affinity(i) + r.given(i) + bias
	return uint64(score)<<32 | uint64(^r.tie(n.Key))
}

// scoreOf is the score in a key, with the bias.
func scoreOf(key uint64) int64 { return int64(key >> 32) }

func (r *Ranker) affinity(i int) int64 {
	if r.req.Affinity == nil {
		return 0
	}
	return r.req.Affinity[i]
}

// given is how much what the next one on the node gets is liked.
func (r *Ranker) given(i int) int64 {
	if r.req.Given == nil || len(r.req.Given[i]) == 0 {
		return 0
	}
	return r.req.Given[i][0]
}

// Fit is how full the node would be: the mean over CPU and memory, 0 to Scale. If
// the emptiest is preferred, it is how empty. Disk must fit and does not score, as
// in the field: a node whose disk is unknown would have none to fill.
func (r *Ranker) Fit(n *Node) int64 {
	full := r.fullness(n)
	if r.req.Emptiest {
		return Scale - full
	}
	return full
}

func (r *Ranker) fullness(n *Node) int64 {
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

// Scored is a node and its score, by its parts, in parts of Scale. Spread is
// relative to the value that lacks most: 0 there, less elsewhere.
type Scored struct {
	Node                                int // position
	Fit, Crowd, Affinity, Given, Spread int64
}

// Total is what the node is ranked by.
func (s *Scored) Total() int64 { return s.Fit - s.Crowd + s.Affinity + s.Given + s.Spread }

// Best lists the best nodes, at most limit, without taking them.
func (r *Ranker) Best(limit int) []Scored {
	type ranked struct {
		entry
		total, bonus int64
	}
	top := make([]ranked, 0, limit+1)
	for i := range r.buckets {
		b := &r.buckets[i]
		for _, e := range b.heap {
			x := ranked{e, scoreOf(e.key) + b.bonus, b.bonus}
			at := len(top)
			for at > 0 && (top[at-1].total < x.total || top[at-1].total == x.total && uint32(top[at-1].key) < uint32(x.key)) {
				at--
			}
			if at == limit || r.Spent(int(e.node)) {
				continue
			}
			top = slices.Insert(top, at, x)
			top = top[:min(len(top), limit)]
		}
	}
	level := r.level()
	out := make([]Scored, len(top))
	for k, x := range top {
		i := int(x.node)
		out[k] = Scored{Node: i, Fit: r.Fit(&r.nodes[i]), Crowd: r.crowd(&r.nodes[i]), Affinity: r.affinity(i), Given: r.given(i), Spread: x.bonus - level}
	}
	return out
}

// Score is the score of one node by its parts, whether it has room or not.
func (r *Ranker) Score(i int) Scored {
	s := Scored{Node: i, Fit: r.Fit(&r.nodes[i]), Crowd: r.crowd(&r.nodes[i]), Affinity: r.affinity(i), Given: r.given(i)}
	values := make([]int32, len(r.req.Spreads))
	for k := range values {
		values[k] = r.req.Spreads[k].Value[i]
	}
	s.Spread = r.bonus(values) - r.level()
	return s
}

// Give hands out node i, whether it is among those that have room or not: others gave way there.
func (r *Ranker) Give(i int) {
	n := &r.nodes[i]
	n.Free = n.Free.Minus(r.req.Ask)
	n.InGroup++
	n.InJob++
	r.req.Use(i)
	for k := range r.req.Spreads {
		r.req.Spreads[k].Have[r.req.Spreads[k].Value[i]]++
	}
}
