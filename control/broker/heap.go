package broker

// slot is an item's place among the timers.
type slot struct {
	item *item
	at   int64
	pos  int // -1: none
}

type timerHeap []*slot

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, k int) bool {
	return h[i].at < h[k].at || h[i].at == h[k].at && h[i].item.age < h[k].item.age
}
func (h timerHeap) Swap(i, k int) {
	h[i], h[k] = h[k], h[i]
	h[i].pos, h[k].pos = i, k
}
func (h *timerHeap) Push(x any) {
	s := x.(*slot)
	s.pos = len(*h)
	*h = append(*h, s)
}
func (h *timerHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h, s.pos = old[:len(old)-1], -1
	return s
}

// readyHeap orders by priority, then age.
type readyHeap []*item

func before(a, b *item) bool {
	return a.priority > b.priority || a.priority == b.priority && a.age < b.age
}

func (h readyHeap) Len() int           { return len(h) }
func (h readyHeap) Less(i, k int) bool { return before(h[i], h[k]) }
func (h readyHeap) Swap(i, k int) {
	h[i], h[k] = h[k], h[i]
	h[i].ready, h[k].ready = i, k
}
func (h *readyHeap) Push(x any) {
	it := x.(*item)
	it.ready = len(*h)
	*h = append(*h, it)
}
func (h *readyHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h, it.ready = old[:len(old)-1], -1
	return it
}
