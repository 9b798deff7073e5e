package statedb

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/alloc"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

func jobKey(n int) wire.JobKey {
	return wire.JobKey{Namespace: "default", ID: "web", Version: uint64(n)}
}

func record(n int) device.Record {
	h := driver.Handle{Version: 1, Driver: "wasm", ID: fmt.Sprint(n), State: json.RawMessage(`{"pid":7}`)}
	return device.Record{Orphan: n%2 == 0, Record: alloc.Record{
		Desired: wire.DesiredAlloc{ID: fleet.UUID{byte(n), byte(n >> 8), 1}, Job: jobKey(n), Group: "g", Index: uint32(n), StopReason: strings.Repeat("r", n%50)},
		Tasks: []task.Record{{Name: "main", Phase: task.Running, Attempt: 3, Handle: &h, Observed: fleet.ObservedTask{
			State: fleet.TaskRunning, Events: []fleet.CodedEvent{{Code: fleet.EventStarted, Time: 9, Args: []string{"x"}}},
		}}},
	}}
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

func open(t fataler, dir string, log *slog.Logger) (*DB, device.State) {
	t.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	db, state, err := Open(dir, log)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return db, state
}

func closed(t fataler, db *DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatalf("%v", err)
	}
}

// change is the i-th of those that fill makes.
func change(i int) device.Persist {
	return device.Persist{
		Facts: device.Facts{Region: fleet.UUID{5}, Held: wire.Generation{Epoch: 2, N: uint64(i + 1)}, Clock: 77},
		Jobs:  []wire.JobSpec{{Key: jobKey(i), JSON: fmt.Appendf(nil, `{"ID":"web","Version":%d}`, i)}}, Allocs: []device.Record{record(i)},
	}
}

// after is the state after n changes.
func after(n int) (s device.State) {
	for i := range n {
		p := change(i)
		s.Facts, s.Jobs, s.Allocs = p.Facts, append(s.Jobs, p.Jobs...), append(s.Allocs, p.Allocs...)
	}
	return s
}

// fill writes n changes.
func fill(t testing.TB, dir string, n int) {
	t.Helper()
	db, state := open(t, dir, nil)
	if len(state.Allocs) != 0 {
		t.Fatalf("a new folder holds %d allocations", len(state.Allocs))
	}
	for i := range n {
		if err := db.Save(change(i)); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, db)
}

func TestSaveAndOpen(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 5)
	want := after(5)
	db, got := open(t, dir, nil)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	// What is dropped and written again in one Persist is there; what is only dropped is not.
	err := db.Save(device.Persist{
		Facts: want.Facts, DropJobs: []wire.JobKey{jobKey(0), jobKey(1)}, Jobs: []wire.JobSpec{{Key: jobKey(1), JSON: []byte("{}")}},
		DropAllocs: []fleet.UUID{record(2).Desired.ID, record(3).Desired.ID}, Allocs: []device.Record{record(3)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second opening: %v", err)
	}
	closed(t, db)
	db, got = open(t, dir, nil)
	if len(got.Jobs) != 4 || string(got.Jobs[0].JSON) != "{}" || len(got.Allocs) != 4 {
		t.Fatalf("%d jobs and %d allocations are left", len(got.Jobs), len(got.Allocs))
	}
	closed(t, db)
	if err := db.Save(device.Persist{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a Save after Close: %v", err)
	}
}

// The notes ride along with changes, and survive compaction.
func TestNote(t *testing.T) {
	dir := t.TempDir()
	db, _ := open(t, dir, nil)
	if db.Kept(NoteWritten) != nil {
		t.Errorf("a new state holds the note %q", db.Kept(NoteWritten))
	}
	db.Note(NoteWritten, func() []byte { return []byte("written so far") })
	carried := 0
	db.Note(NoteTraffic, func() []byte { carried++; return fmt.Append(nil, "carried ", carried) })
	before, _ := db.Written()
	if before != 0 {
		t.Errorf("%d bytes were written before there was a change", before)
	}
	for i := range 80 {
		p := change(i % 3)
		p.Jobs[0].JSON = bytes.Repeat([]byte(" "), 4000)
		if err := db.Save(p); err != nil {
			t.Fatal(err)
		}
		if i == 60 {
			db.Note(NoteWritten, nil) // what is written anew keeps the last one
		}
	}
	n, saves := db.Written()
	closed(t, db)
	if saves != 80 || n < 80*2*4000 || n > 80*2*8000 {
		t.Errorf("%d saves wrote %d bytes", saves, n)
	}
	for _, name := range FileNames {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() > CompactBytesMin+32<<10 {
			t.Errorf("after 300 KB of changes: %v, %v", info.Size(), err)
		}
	}
	db, state := open(t, dir, nil)
	if string(db.Kept(NoteWritten)) != "written so far" || string(db.Kept(NoteTraffic)) != "carried 80" || len(state.Allocs) != 3 {
		t.Errorf("kept %q, %q and %d allocations", db.Kept(NoteWritten), db.Kept(NoteTraffic), len(state.Allocs))
	}
	closed(t, db)
}

// damage is what may happen to a file's end, or to any place in it.
func damage(t *rapid.T, b []byte) []byte {
	b = bytes.Clone(b)
	switch rapid.SampledFrom([]string{"cut", "noise", "zeroed", "longer", "absent"}).Draw(t, "damage") {
	case "cut":
		return b[:rapid.IntRange(0, len(b)-1).Draw(t, "at")]
	case "noise":
		noise := rapid.SliceOfN(rapid.Byte(), 1, 600).Draw(t, "noise")
		copy(b[rapid.IntRange(0, len(b)-1).Draw(t, "at"):], noise)
	case "zeroed": // as after a power cut: the length is there and the blocks are not
		clear(b[rapid.IntRange(0, len(b)-1).Draw(t, "at"):])
	case "longer":
		return append(b, rapid.SliceOfN(rapid.Byte(), 1, 600).Draw(t, "more")...)
	case "absent":
		return nil
	}
	return b
}

func lay(t fataler, dir string, copies [2][]byte) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatalf("%v", err)
	}
	for i, b := range copies {
		if b == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, FileNames[i]), b, 0o600); err != nil {
			t.Fatalf("%v", err)
		}
	}
}

func contents(t testing.TB, dir string) (copies [2][]byte) {
	t.Helper()
	for i, name := range FileNames {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		copies[i] = b
	}
	return copies
}

// Whatever happens to one copy, nothing is lost, and afterwards both are whole again.
func TestOneCopyDamaged(t *testing.T) {
	source := t.TempDir()
	fill(t, source, 15)
	whole := contents(t, source)
	root, n := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		dir, copies := filepath.Join(root, fmt.Sprint(n)), whole
		i := rapid.IntRange(0, 1).Draw(rt, "copy")
		copies[i] = damage(rt, copies[i])
		lay(rt, dir, copies)
		db, got := open(rt, dir, nil)
		if diff := cmp.Diff(after(15), got); diff != "" {
			rt.Fatalf("%s", diff)
		}
		if err := db.Save(change(15)); err != nil {
			rt.Fatalf("the state is not usable: %v", err)
		}
		closed(rt, db)
		for _, name := range FileNames { // each alone is enough
			if s, err := read(filepath.Join(dir, name)); err != nil || s.damage != nil || len(s.rows.allocs) != 16 {
				rt.Fatalf("%s was not mended: %v, %v", name, s.damage, err)
			}
		}
	})
}

// When both are damaged, what the device once had is used and called doubtful, or else both are moved aside with a word.
func TestBothCopiesDamaged(t *testing.T) {
	source := t.TempDir()
	fill(t, source, 15)
	whole := contents(t, source)
	root, n := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		lay(rt, dir, [2][]byte{damage(rt, whole[0]), damage(rt, whole[1])})
		var logged bytes.Buffer
		db, got := open(rt, dir, slog.New(slog.NewTextHandler(&logged, nil)))
		doubtful := got.Doubtful
		got.Doubtful = false
		if want := after(len(got.Allocs)); !cmp.Equal(want, got) {
			rt.Fatalf("the device never held this:\n%s", cmp.Diff(want, got))
		}
		if doubtful != strings.Contains(logged.String(), "both copies") {
			rt.Fatalf("doubtful: %v; the log says: %s", doubtful, logged.String())
		}
		if err := db.Save(device.Persist{Allocs: []device.Record{record(99)}}); err != nil {
			rt.Fatalf("the state is not usable: %v", err)
		}
		had := len(got.Allocs)
		closed(rt, db)
		db, got = open(rt, dir, nil)
		if len(got.Allocs) != had+1 || got.Doubtful {
			rt.Fatalf("%d allocations, then one more, and there are %d", had, len(got.Allocs))
		}
		closed(rt, db)
	})
}

// A cut anywhere in what was last written, in the copy that was being written: the change before it is there.
func TestCutLastRecord(t *testing.T) {
	source := t.TempDir()
	fill(t, source, 2)
	before := contents(t, source)
	db, _ := open(t, source, nil)
	if err := db.Save(change(2)); err != nil {
		t.Fatal(err)
	}
	closed(t, db)
	whole := contents(t, source)
	root := t.TempDir()
	for cut := len(before[0]); cut <= len(whole[0]); cut += 1 + 9*(cut%2) {
		for i, copies := range [][2][]byte{{whole[0][:cut], before[1]}, {whole[0], whole[1][:cut]}} {
			dir := filepath.Join(root, fmt.Sprint(i, "-", cut))
			lay(t, dir, copies)
			db, got := open(t, dir, nil)
			want := after(3)
			if i == 0 && cut < len(whole[0]) {
				want = after(2)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("copy %d cut at %d: %s", i, cut, diff)
			}
			closed(t, db)
		}
	}
}

func TestNewerFormatIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 1)
	copies := contents(t, dir)
	newer := bytes.Clone(copies[1])
	binary.BigEndian.PutUint32(newer[4:], format+1)
	binary.BigEndian.PutUint32(newer[16:], chain(0, newer[:16]))
	lay(t, dir, [2][]byte{copies[0], newer})
	if _, _, err := Open(dir, slog.New(slog.DiscardHandler)); !errors.Is(err, errNewer) {
		t.Fatalf("got %v", err)
	}
	if got := contents(t, dir); !bytes.Equal(got[1], newer) {
		t.Fatal("the newer file was changed")
	}
}

// FuzzRead: no file makes reading fail or allocate beyond its size, and what is read can be written and read again.
func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	fill(f, dir, 3)
	whole := contents(f, dir)[0]
	f.Add(whole)
	f.Add(whole[:len(whole)-7])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := read(path)
		if err != nil || !s.usable() {
			return
		}
		again := newRows()
		if err := again.apply(s.rows.payload()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.payload(), s.rows.payload()) {
			t.Fatal("rows change by being written and read")
		}
	})
}
