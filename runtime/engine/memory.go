package engine

import (
	"math"

	"github.com/tetratelabs/wazero/experimental"
)

// allocator gives a guest its linear memory within a limit and remembers whether the limit was met. wazero's own limit is
// not used: it says nothing when it refuses, and its memory lives on the Go heap, where growing copies, so that a guest
// near its limit takes twice of it for a moment.
//
// One guest, one memory, one thread: no locking.
type allocator struct {
	limit   uint64 // bytes, a multiple of the page size; 0 for none
	size    uint64 // bytes given out
	refused bool   // the last request was refused
}

// Allocate reserves address space for the largest size the memory can get.
func (a *allocator) Allocate(_, maxBytes uint64) experimental.LinearMemory {
	if a.limit != 0 {
		maxBytes = min(maxBytes, a.limit)
	}
	if maxBytes <= math.MaxInt {
		if space, err := reserve(int(maxBytes)); err == nil {
			return &reserved{a: a, space: space}
		}
	}
	return &copied{a: a, max: maxBytes}
}

// allows decides on one request and keeps the books.
func (a *allocator) allows(size, maxBytes uint64) bool {
	a.refused = size > maxBytes
	if !a.refused {
		a.size = size
	}
	return !a.refused
}

// reserved is memory in one piece of address space, of which a growing part is in use. Growing copies nothing, and pages
// that the guest never touches take no memory.
type reserved struct {
	a     *allocator
	space []byte
}

func (m *reserved) Reallocate(size uint64) []byte {
	if !m.a.allows(size, uint64(len(m.space))) {
		return nil
	}
	if err := commit(m.space[:size]); err != nil {
		m.a.refused = true // the system has no memory left: the guest sees the same answer
		return nil
	}
	return m.space[:size:size]
}

func (m *reserved) Free() {
	if m.space != nil {
		release(m.space)
		m.space = nil
	}
}

// copied is memory on the Go heap, for systems without reservation and for 32-bit ones without a limit.
type copied struct {
	a   *allocator
	max uint64
	b   []byte
}

func (m *copied) Reallocate(size uint64) []byte {
	if size > math.MaxInt || !m.a.allows(size, m.max) {
		m.a.refused = true
		return nil
	}
	if size > uint64(len(m.b)) {
		grown := make([]byte, size)
		copy(grown, m.b)
		m.b = grown
	}
	return m.b[:size:size]
}

func (m *copied) Free() { m.b = nil }
