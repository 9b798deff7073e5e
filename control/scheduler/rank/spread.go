package rank

import "encoding/binary"

// Spread distributes a group over the values of one property.
type Spread struct {
	Value  []int32 // of each node, an index into Want and Have
	Want   []int64 // hundredths of allocations that each value should have
	Have   []int64 // allocations that it has
	Weight int64   // against the other spreads of the request; above 0
}

// boost is what one more allocation on a node of the value is worth: Scale for
// each that the value lacks. So one allocation more or less outweighs how full
// nodes are. The field divides by the share itself, and in a group of a hundred a
// fuller site goes on winning for dozens of placements; but those who ask for a
// spread ask for the shares.
func (s *Spread) boost(value int32) int64 {
	return (s.Want[value] - 100*(s.Have[value]+1)) * (Scale / 100)
}

// bucket is the nodes that are equal in every spread: what they score beside each
// other is their own, and what the spreads add is one number.
type bucket struct {
	heap   heap
	values []int32 // by spread
	bonus  int64
}

// sorted sorts nodes into buckets, by what they are in each spread.
func (r *Ranker) sorted() func(i int) *bucket {
	if len(r.req.Spreads) == 0 {
		r.buckets = []bucket{{heap: make(heap, 0, len(r.nodes))}}
		return func(int) *bucket { return &r.buckets[0] }
	}
	at, key := map[string]int{}, []byte(nil)
	return func(i int) *bucket {
		key = key[:0]
		for k := range r.req.Spreads {
			key = binary.AppendVarint(key, int64(r.req.Spreads[k].Value[i]))
		}
		b, known := at[string(key)]
		if !known {
			b = len(r.buckets)
			at[string(key)] = b
			values := make([]int32, len(r.req.Spreads))
			for k := range values {
				values[k] = r.req.Spreads[k].Value[i]
			}
			r.buckets = append(r.buckets, bucket{values: values})
		}
		return &r.buckets[b]
	}
}

// bonus is what the spreads add for nodes of these values.
func (r *Ranker) bonus(values []int32) int64 {
	sum := int64(0)
	for k, v := range values {
		s := &r.req.Spreads[k]
		sum += s.boost(v) * s.Weight / r.weights
	}
	return sum
}

// level is what the spreads add for the best of the values that have room: shown
// scores are relative to it.
func (r *Ranker) level() int64 {
	level, some := int64(0), false
	for i := range r.buckets {
		if b := &r.buckets[i]; len(b.heap) > 0 && (!some || b.bonus > level) {
			level, some = b.bonus, true
		}
	}
	return level
}

// tops is the order of the buckets by their best nodes: a max-heap of indexes.
type tops []int32

func (r *Ranker) above(a, b int32) bool {
	x, y := &r.buckets[a], &r.buckets[b]
	switch {
	case len(x.heap) == 0 || len(y.heap) == 0:
		return len(y.heap) == 0 && len(x.heap) > 0
	}
	p, q := scoreOf(x.heap[0].key)+x.bonus, scoreOf(y.heap[0].key)+y.bonus
	if p != q {
		return p > q
	}
	return uint32(x.heap[0].key) > uint32(y.heap[0].key)
}

// order sorts all buckets anew, after changes of several.
func (r *Ranker) order() {
	for p := len(r.tops)/2 - 1; p >= 0; p-- {
		r.sink(p)
	}
}

// sink restores the order below p after the bucket there has changed.
func (r *Ranker) sink(p int) {
	t, moved := r.tops, r.tops[p]
	for {
		c := 2*p + 1
		if c >= len(t) {
			break
		}
		if c+1 < len(t) && r.above(t[c+1], t[c]) {
			c++
		}
		if !r.above(t[c], moved) {
			break
		}
		t[p] = t[c]
		p = c
	}
	t[p] = moved
}

// taken counts a placement on a node of the best bucket and puts the buckets in
// order: with one spread the shares of no other bucket have changed.
func (r *Ranker) taken() {
	b := &r.buckets[r.tops[0]]
	for k, v := range b.values {
		r.req.Spreads[k].Have[v]++
	}
	if len(r.req.Spreads) > 1 {
		for i := range r.buckets {
			r.buckets[i].bonus = r.bonus(r.buckets[i].values)
		}
		r.order()
		return
	}
	if len(b.values) > 0 {
		b.bonus = r.bonus(b.values)
	}
	r.sink(0)
}
