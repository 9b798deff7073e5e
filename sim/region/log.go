package region

import (
	"bytes"
	"errors"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
)

// errLeadership is what a proposer hears whose entry was cut: it does not know
// whether it will be there.
var errLeadership = errors.New("leadership was lost; the outcome is unknown")

// answer tells a proposer how it went. index is 0 when nothing was committed.
type answer func(index uint64, result any, err error)

// entry is one place in the log. A nil data is a leader's first, empty entry.
type entry struct {
	term   uint64
	data   []byte
	cmd    command.Command // of which data is the form on disk
	answer answer
	early  bool // a planted bug answered it already
}

// raftLog is the replicated log, as small as it can be: a list, of which a
// prefix is on disk and committed.
type raftLog struct {
	s         *sim
	srv       *server
	entries   []entry
	committed int
	flushing  bool
	hashes    []uint64 // of the state after each entry
	life      int      // rises when the tail is cut
	second    *state.Store
}

// propose appends; a sync, one at a time, makes it durable and applies it.
func (l *raftLog) propose(term uint64, cmd command.Command, done answer) {
	l.append(entry{term: term, data: command.Encode(cmd), cmd: cmd, answer: done})
}

func (l *raftLog) append(e entry) {
	l.entries = append(l.entries, e)
	if l.s.opts.Bug == BugAckUnsynced {
		switch e.cmd.(type) { // what users send and are promised
		case command.JobRegister, command.JobDeregister, command.JobEvaluate, command.NodeFacts:
			l.entries[len(l.entries)-1].early = true
			e.answer(uint64(len(l.entries)), nil, nil)
		}
	}
	if !l.flushing {
		l.flush()
	}
}

func (l *raftLog) flush() {
	l.flushing = true
	upTo, life := len(l.entries), l.life
	d := l.s.between(200*time.Microsecond, 3*time.Millisecond)
	// Who acknowledges before the sync has no reason to hurry with it; so the bug shows in a few seeds, not in one of two hundred.
	lazy := l.s.opts.Bug == BugAckUnsynced && l.s.chance(200)
	if l.s.trouble(10) || lazy {
		d += l.s.between(100*time.Millisecond, 2*time.Second) // a slow disk
	}
	l.s.after(d, "sync", func() {
		if life != l.life {
			return
		}
		l.flushing = false
		l.commit(upTo)
		if life == l.life && !l.flushing && len(l.entries) > l.committed {
			l.flush()
		}
	})
}

// commit applies what is on disk and answers its proposers. An answer may do
// anything, so the log's life is looked at again after each.
func (l *raftLog) commit(upTo int) {
	life := l.life
	for life == l.life && l.committed < upTo {
		l.committed++
		e := l.entries[l.committed-1]
		index := uint64(l.committed)
		result, err := l.applyLive(index, &e)
		if e.answer != nil && !e.early {
			e.answer(index, result, err)
		}
		l.srv.applied()
	}
}

func (l *raftLog) applyLive(index uint64, e *entry) (any, error) {
	store, data := l.srv.store, e.data
	before := store.View()
	result, err := apply(store, index, data)
	if errors.Is(err, command.ErrMalformed) {
		l.s.object("entry %d, a %T: %v", index, e.cmd, err)
	}
	if data != nil && l.s.opts.Bug == BugApplyTwice && l.s.chance(20) {
		_, _ = apply(store, index, data)
	}
	l.hashes = append(l.hashes[:index-1], store.View().Hash())
	l.s.foldBytes(data)
	if !l.srv.foreign {
		l.s.checks.committed(before, store.View(), index, e.cmd, err)
	}
	return result, err
}

// apply leaves the state's index alone for a leader's empty entry, as raft does:
// what a state was made of are commands.
func apply(store *state.Store, index uint64, data []byte) (result any, err error) {
	if data == nil {
		return nil, nil
	}
	txn := store.Begin()
	result, err = command.Apply(txn, index, data)
	txn.Commit(index)
	return result, err
}

// cut loses what was not synced; a part of it may have reached the disk. The
// proposers that still listen hear that nobody knows.
func (l *raftLog) cut() {
	kept := l.committed
	if tail := len(l.entries) - l.committed; tail > 0 && l.s.chance(400) && l.s.opts.Bug != BugAckUnsynced {
		kept += l.s.rng.IntN(tail + 1)
	}
	lost := append([]entry(nil), l.entries[l.committed:]...)
	l.s.note("the log keeps %d of %d entries, %d of them committed", kept, len(l.entries), l.committed)
	l.entries = l.entries[:kept]
	for i := range l.entries[l.committed:] {
		l.entries[l.committed+i].answer = nil
	}
	l.flushing, l.life = false, l.life+1
	for _, e := range lost {
		if e.answer != nil && !e.early {
			e.answer(0, nil, errLeadership)
		}
	}
}

// replica is a second state machine on the same log. It is brought up to date
// and compared, entry by entry, when somebody asks: applying the whole log anew
// each time would take most of a simulation.
func (l *raftLog) replica() *state.View {
	if l.second == nil {
		l.second = state.New()
	}
	for i := int(l.second.View().Index()); i < l.committed; i++ {
		_, _ = apply(l.second, uint64(i+1), l.entries[i].data)
		if got := l.second.View().Hash(); i < len(l.hashes) && got != l.hashes[i] {
			l.s.object("entry %d, applied again, gives the state %x; it was %x", i+1, got, l.hashes[i])
		}
	}
	return l.second.View()
}

// rebuild is what a server that starts has: a checkpoint, or, now and then, the
// whole log applied anew.
func (l *raftLog) rebuild() *state.Store {
	if l.s.chance(850) {
		l.replica()
		return l.reload(l.second)
	}
	store := state.New()
	for i := range l.committed {
		_, _ = apply(store, uint64(i+1), l.entries[i].data)
	}
	return store
}

// restoreTo forgets everything after an entry.
func (l *raftLog) restoreTo(n int) {
	l.entries, l.hashes, l.committed, l.second = l.entries[:n], l.hashes[:n], n, nil
	l.life++
}

func (l *raftLog) reload(store *state.Store) *state.Store {
	var b bytes.Buffer
	if err := store.View().WriteCheckpoint(&b); err != nil {
		l.s.object("the checkpoint cannot be written: %v", err)
	}
	v, err := state.ReadCheckpoint(&b)
	if err != nil {
		l.s.object("the checkpoint cannot be read: %v", err)
	}
	fresh := state.New()
	fresh.Replace(v)
	return fresh
}
