package rank

// entry is a node in the heap.
type entry struct {
	key  uint64
	node int32
}

// heap is a binary max-heap by key. container/heap was rejected for its interface
// calls, which cost more than the comparison they lead to.
type heap []entry

func (h heap) init() {
	for p := len(h)/2 - 1; p >= 0; p-- {
		h.down(p)
	}
}

// fix restores the order after the key at p has changed.
func (h heap) fix(p int) {
	if !h.down(p) {
		h.up(p)
	}
}

func (h heap) up(p int) {
	for p > 0 {
		above := (p - 1) / 2
		if h[above].key >= h[p].key {
			return
		}
		h[above], h[p] = h[p], h[above]
		p = above
	}
}

func (h heap) down(p int) bool {
	start, e := p, h[p]
	for {
		c := 2*p + 1
		if c >= len(h) {
			break
		}
		if c+1 < len(h) && h[c+1].key > h[c].key {
			c++
		}
		if h[c].key <= e.key {
			break
		}
		h[p] = h[c]
		p = c
	}
	h[p] = e
	return p != start
}
