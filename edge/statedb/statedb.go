package statedb

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-edge/dunlin/edge/device"
)

// FileNames are the names of the two copies in the data folder, in the order in which they are written.
var FileNames = [2]string{"device.a.journal", "device.b.journal"}

// BrokenSuffix ends the name of a file that was moved aside. Only the newest is kept.
const BrokenSuffix = ".broken"

const tmpSuffix = ".tmp" // of a file that will replace another

// LockWaitMax is how long Open waits for another process that has the state open.
const LockWaitMax = 2 * time.Second

// CompactBytesMin is how much a journal may grow beyond twice what it says before it is written anew: so that a device
// that changes little writes little, and one that changes much does not keep all of its past.
const CompactBytesMin = 128 << 10

// Files are the names that state may have in a data folder, leftovers of crashes included.
func Files() []string {
	var names []string
	for _, name := range FileNames {
		names = append(names, name, name+tmpSuffix, name+BrokenSuffix)
	}
	return names
}

// Hold takes hold of a data folder without reading the state in it: no agent runs there until release. The error says that one
// does, or that the folder cannot be opened.
func Hold(dir string) (release func(), err error) {
	held, err := acquire(dir, 0)
	if err != nil {
		return nil, err
	}
	return held.release, nil
}

// DB is the open state.
type DB struct {
	log     *slog.Logger
	lock    *lock
	written atomic.Int64
	saves   atomic.Int64

	mu        sync.Mutex
	copies    [2]*journal
	notes     map[Note]func() []byte
	kept      notes // that were found
	unnoted   int64
	compactAt int64
	closed    bool
}

// Open reads what is in dir, and takes hold of it until Close.
func Open(dir string, log *slog.Logger) (*DB, device.State, error) {
	held, err := acquire(dir, LockWaitMax)
	if err != nil {
		return nil, device.State{}, err
	}
	db := &DB{log: log, lock: held, notes: map[Note]func() []byte{}}
	state, err := db.load(dir)
	if err != nil {
		held.release()
		return nil, device.State{}, err
	}
	return db, state, nil
}

func (db *DB) load(dir string) (device.State, error) {
	var found [2]scan
	for i, name := range FileNames {
		path := filepath.Join(dir, name)
		db.copies[i] = &journal{path: path, written: &db.written}
		var err error
		if found[i], err = read(path); err != nil {
			return device.State{}, err
		}
		db.copies[i].adopt(&found[i])
	}
	best, other := 0, 1
	if found[1].usable() && (!found[0].usable() || found[1].next > found[0].next) {
		best, other = 1, 0
	}
	if !found[best].usable() {
		return device.State{}, db.begin(found[:])
	}
	state, err := found[best].rows.state()
	if err != nil { // its checksums are right, so that is how it was written
		return device.State{}, fmt.Errorf("device state %s cannot be understood: %w; another version may have written it", db.copies[best].path, err)
	}
	state.Doubtful = found[best].damage != nil && (found[other].damage != nil || found[other].absent)
	db.kept, db.unnoted = found[best].rows.notes, int64(len(db.copies))*found[best].last
	db.compactAt = compactAt(int64(len(found[best].rows.payload())))
	db.mend(found[:], best)
	if state.Doubtful {
		db.log.Error("both copies of the device's state are damaged at their ends; what was whole before is used, and the region will be asked for everything",
			"copy", db.copies[best].path, "cause", found[best].damage, "other", db.copies[other].path, "its_cause", found[other].damage)
	}
	return state, nil
}

// mend brings the copy that is behind up to the other, and cuts off what a crash left. What the disk refuses now is tried again
// by each Save.
func (db *DB) mend(found []scan, best int) {
	for i, j := range db.copies {
		s := &found[i]
		behind := i != best && (s.next != found[best].next || j.bad)
		if !behind && !j.torn {
			continue
		}
		if !s.absent {
			db.log.Warn("a copy of the device's state did not end as it should and is mended from the other; a power cut or a kill does that",
				"copy", j.path, "cause", s.damage, "records_behind", int64(found[best].next)-int64(s.next))
		}
		var err error
		if behind {
			j.bad = true
			err = j.renew(found[best].rows.payload(), found[best].next)
		} else {
			err = j.open()
		}
		if err != nil {
			db.log.Warn("a copy of the device's state cannot be mended now; it is tried again with the next change", "copy", j.path, "error", err)
		}
	}
}

// begin makes a new journal where there is nothing to trust. It writes nothing: the first Save does.
func (db *DB) begin(found []scan) error {
	for i, j := range db.copies {
		j.bad, j.next = true, 0
		if found[i].damage == nil {
			continue
		}
		aside := j.path + BrokenSuffix
		db.log.Error("device state is broken and was moved aside; this device starts empty and asks its region for everything; tasks that run are not touched",
			"file", j.path, "aside", aside, "cause", found[i].damage)
		if err := os.Rename(j.path, aside); err != nil {
			db.log.Error("broken device state cannot be moved aside; the next change overwrites it", "file", j.path, "error", err)
		}
	}
	db.compactAt = compactAt(0)
	return nil
}

func compactAt(size int64) int64 { return CompactBytesMin + 2*size }

// Note lets each Save carry what f returns then, which is never a reason to write; nil ends that. Kept is what the last Save before Open
// carried.
func (db *DB) Note(n Note, f func() []byte) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.notes[n] = f
}

// Kept is the note that Open found; nil: none.
func (db *DB) Kept(n Note) []byte { return db.kept[n] }

// Unnoted is how many bytes were written together with the notes that Kept gives, and are therefore not counted in them.
func (db *DB) Unnoted() int64 { return db.unnoted }

// Written is how many bytes were handed to the disk since Open, both copies together, and by how many Saves.
func (db *DB) Written() (bytes, saves int64) { return db.written.Load(), db.saves.Load() }

// Save appends p to both copies. When it returns nil, p is durable; otherwise nothing of it is there.
func (db *DB) Save(p device.Persist) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return fmt.Errorf("write device state: %w", os.ErrClosed)
	}
	now := notes{}
	for n, f := range db.notes {
		if f != nil {
			now[n] = f()
		}
	}
	payload, err := encode(&p, now)
	if err == nil {
		err = db.append(payload)
	}
	if err != nil {
		return fmt.Errorf("write device state %s: %w", filepath.Dir(db.copies[0].path), err)
	}
	db.saves.Add(1)
	if db.copies[0].good > db.compactAt {
		db.compact()
	}
	return nil
}

func (db *DB) append(payload []byte) error {
	if db.copies[0].bad && db.copies[1].bad {
		return db.first(payload)
	}
	for i, j := range db.copies {
		if !j.bad {
			continue
		}
		all, err := db.all(db.copies[1-i])
		if err != nil {
			return err
		}
		if err := j.renew(all, db.copies[1-i].next); err != nil {
			return err
		}
	}
	a := *db.copies[0]
	if err := db.copies[0].append(payload); err != nil {
		return err
	}
	if err := db.copies[1].append(payload); err != nil {
		// Taken back, or else removed by the next Save; if a crash comes first, the device holds more than it said.
		return errors.Join(err, db.copies[0].back(a.next, a.good, a.sum))
	}
	return nil
}

// first writes the journals of a device that has none.
func (db *DB) first(payload []byte) error {
	r := newRows()
	if err := r.apply(payload); err != nil {
		return err
	}
	for _, j := range db.copies {
		if err := j.renew(r.payload(), 1); err != nil {
			return err
		}
	}
	return nil
}

// all reads a copy again and returns what it adds up to.
func (db *DB) all(j *journal) ([]byte, error) {
	s, err := read(j.path)
	if err != nil {
		return nil, err
	}
	if s.next < j.next {
		return nil, fmt.Errorf("%s does not hold what was written to it: %w", j.path, s.damage)
	}
	return s.rows.payload(), nil
}

// compact writes both copies anew. A disk without room for that goes on being appended to.
func (db *DB) compact() {
	for _, j := range slices.Backward(db.copies[:]) {
		all, err := db.all(db.copies[0])
		if err == nil {
			err = j.renew(all, db.copies[0].next)
		}
		if err != nil {
			db.log.Warn("a copy of the device's state cannot be written anew; it goes on growing", "copy", j.path, "bytes", j.good, "error", err)
			db.compactAt = db.copies[0].good + CompactBytesMin
			return
		}
		db.compactAt = compactAt(int64(len(all)))
	}
}

// Close lets go of the state.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil
	}
	db.closed = true
	for _, j := range db.copies {
		j.close()
	}
	db.lock.release()
	return nil
}
