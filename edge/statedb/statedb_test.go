package statedb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
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

// fill writes n allocations in several transactions.
func fill(t testing.TB, dir string, n int) device.State {
	t.Helper()
	db, state, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	want := device.State{Facts: device.Facts{Region: fleet.UUID{5}, Held: wire.Generation{Epoch: 2, N: uint64(n)}, Clock: 77}}
	if len(state.Allocs) != 0 {
		t.Fatalf("a new file holds %d allocations", len(state.Allocs))
	}
	for i := range n {
		spec := wire.JobSpec{Key: jobKey(i), JSON: fmt.Appendf(nil, `{"ID":"web","Version":%d}`, i)}
		if err := db.Save(device.Persist{Facts: want.Facts, Jobs: []wire.JobSpec{spec}, Allocs: []device.Record{record(i)}}); err != nil {
			t.Fatal(err)
		}
		want.Jobs, want.Allocs = append(want.Jobs, spec), append(want.Allocs, record(i))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return want
}

func TestSaveAndOpen(t *testing.T) {
	dir := t.TempDir()
	want := fill(t, dir, 5)
	db, got, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	// What is dropped and written again in one Persist is there; what is only dropped is not.
	err = db.Save(device.Persist{
		Facts: want.Facts, DropJobs: []wire.JobKey{jobKey(0), jobKey(1)}, Jobs: []wire.JobSpec{{Key: jobKey(1), JSON: []byte("{}")}},
		DropAllocs: []fleet.UUID{record(2).Desired.ID, record(3).Desired.ID}, Allocs: []device.Record{record(3)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second opening: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, got, err = Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Jobs) != 4 || string(got.Jobs[0].JSON) != "{}" || len(got.Allocs) != 4 {
		t.Fatalf("%d jobs and %d allocations are left", len(got.Jobs), len(got.Allocs))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCutShort cuts the file anywhere: it is detected and moved aside, or what is opened is all that was written.
func TestCutShort(t *testing.T) {
	source := t.TempDir()
	want := fill(t, source, 15)
	whole, err := os.ReadFile(filepath.Join(source, FileName))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		cut := rapid.IntRange(1, len(whole)-1).Draw(rt, "cut")
		write(rt, dir, whole[:cut])
		reopened(rt, dir, want)
	})
}

// TestDamaged overwrites a piece of the file with noise.
func TestDamaged(t *testing.T) {
	source := t.TempDir()
	want := fill(t, source, 15)
	whole, err := os.ReadFile(filepath.Join(source, FileName))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		bad := bytes.Clone(whole)
		noise := rapid.SliceOfN(rapid.Byte(), 1, 600).Draw(rt, "noise")
		copy(bad[rapid.IntRange(0, len(bad)-1).Draw(rt, "at"):], noise)
		write(rt, dir, bad)
		reopened(rt, dir, want)
	})
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

func write(t fataler, dir string, b []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, FileName), b, 0o600)); err != nil {
		t.Fatalf("%v", err)
	}
}

// reopened checks that a damaged file was either whole where it counts or moved aside with a word in the log; and that the device
// can write again.
func reopened(t fataler, dir string, want device.State) {
	t.Helper()
	var logged bytes.Buffer
	db, got, err := Open(dir, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatalf("%v", err)
	}
	_, statErr := os.Stat(filepath.Join(dir, FileName+BrokenSuffix))
	aside := statErr == nil
	if aside != strings.Contains(logged.String(), "moved aside") {
		t.Fatalf("moved aside: %v; the log says: %s", aside, logged.String())
	}
	// A torn meta page looks like a crash within the last transaction, whose state before it is what the file then holds.
	before := device.State{Facts: want.Facts, Jobs: want.Jobs[:len(want.Jobs)-1], Allocs: want.Allocs[:len(want.Allocs)-1]}
	if aside && len(got.Allocs) > 0 || !aside && !cmp.Equal(want, got) && !cmp.Equal(before, got) {
		t.Fatalf("moved aside: %v, and %d of %d allocations were read", aside, len(got.Allocs), len(want.Allocs))
	}
	if err := db.Save(device.Persist{Allocs: []device.Record{record(99)}}); err != nil {
		t.Fatalf("the file is not usable: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatalf("%v", err)
	}
}

func TestNewerFormatIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 1)
	bolt, err := bbolt.Open(filepath.Join(dir, FileName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = bolt.Update(func(tx *bbolt.Tx) error { return put(tx, bucketFacts, keyFormat, format+1) })
	if err := errors.Join(err, bolt.Close()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(dir, slog.New(slog.DiscardHandler)); err == nil || errors.Is(err, errBroken) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, FileName)); err != nil {
		t.Fatalf("the newer file is gone: %v", err)
	}
}
