package state

import (
	"sync"
	"sync/atomic"
)

// Store is the newest state of a region and the way to the next one.
type Store struct {
	current atomic.Pointer[View]
	// work is the writer's own fork of the newest state. Forking marks the forked
	// trees, so the writer must not fork what readers hold.
	work    *tables
	watches watches
}

// New returns an empty region.
func New() *Store {
	s := &Store{}
	s.watches.init()
	s.publish(newTables())
	return s
}

// View is the newest committed state.
func (s *Store) View() *View { return s.current.Load() }

// Begin starts a transaction on the newest state. One transaction at a time.
func (s *Store) Begin() *Txn {
	return &Txn{View: View{t: s.work.fork()}, store: s}
}

// publish makes t the newest state and returns its view.
func (s *Store) publish(t *tables) *View {
	v := &View{t: t.fork(), forks: new(sync.Mutex)}
	s.work = t
	s.current.Store(v)
	return v
}

// Replace swaps in a restored state; every watch fires.
func (s *Store) Replace(v *View) {
	s.publish(v.t)
	s.watches.fireAll()
}

// Fork starts a transaction on the view that can never be committed: what would
// happen if. Any goroutine may.
func (v *View) Fork() *Txn {
	v.forks.Lock()
	defer v.forks.Unlock()
	return &Txn{View: View{t: v.t.fork()}}
}

// Txn is a state being changed. It reads as a [View] does, its own writes
// included. It is discarded by dropping it.
type Txn struct {
	View
	store   *Store
	touched touched
}

// Commit publishes the transaction as the state at that index and wakes those
// who watch what it touched.
func (x *Txn) Commit(index uint64) *View {
	x.t.index = index
	v := x.store.publish(x.t)
	x.t = nil // a late write must crash rather than change the newest state
	x.store.watches.fire(&x.touched)
	return v
}

// Fold mixes bytes of an applied command into the state's hash (FNV-1a), by
// which servers show that they hold the same state at the same index.
func (x *Txn) Fold(p []byte) {
	h := x.t.hash
	if h == 0 {
		h = 14695981039346656037
	}
	for _, c := range p {
		h = (h ^ uint64(c)) * 1099511628211
	}
	x.t.hash = h
}
