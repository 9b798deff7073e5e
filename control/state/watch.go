package state

import "sync"

// Table names what a watch is about.
type Table uint8

// Tables that can be watched.
const (
	TableNodes Table = iota
	TableJobs
	TableAllocs
	TableEvals
	TableModules
	TableInvites
	TableNodeAllocs // allocations of one node, by its key
	TableJobAllocs  // allocations of one job, by its key
	TableIdentities
	TableRegion // epoch, marks, brake
	TableNodePools
	TableScheduler
	TableDeployments
	tableCount
)

// Topic is a table, or with Key one row's part of it.
type Topic struct {
	Table Table
	Key   uint64 // 0 = the whole table
}

// watches is a coarse registry: one channel per watched topic, closed by the
// commit that touches it. Watchers look at the state again themselves, so a
// commit costs one map lookup per touched topic, however many wait. A registry
// per tree node (as in memdb) was rejected for its memory.
type watches struct {
	mu    sync.Mutex
	chans map[Topic]chan struct{}
	feeds map[*Feed]struct{}
}

func (w *watches) init() { w.chans = map[Topic]chan struct{}{} }

// Watch returns a channel that is closed when the topic is next touched. To lose
// nothing: watch first, then read the view.
func (s *Store) Watch(topic Topic) <-chan struct{} {
	w := &s.watches
	w.mu.Lock()
	defer w.mu.Unlock()
	ch, ok := w.chans[topic]
	if !ok {
		ch = make(chan struct{})
		w.chans[topic] = ch
	}
	return ch
}

func (w *watches) fire(t *touched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for table, hit := range t.tables {
		if hit {
			w.close(Topic{Table: Table(table)})
		}
	}
	for topic := range t.rows {
		w.close(topic)
	}
	for f := range w.feeds {
		f.put(t)
	}
}

func (w *watches) close(topic Topic) {
	if ch, ok := w.chans[topic]; ok {
		close(ch)
		delete(w.chans, topic)
	}
}

func (w *watches) fireAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for topic := range w.chans {
		w.close(topic)
	}
	for f := range w.feeds {
		f.put(nil)
	}
}

// touched collects what a transaction changed.
type touched struct {
	tables [tableCount]bool
	rows   map[Topic]struct{}
}

func (t *touched) row(table Table, key uint64) {
	if t.rows == nil {
		t.rows = map[Topic]struct{}{}
	}
	t.rows[Topic{table, key}] = struct{}{}
}
