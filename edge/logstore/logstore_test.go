package logstore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dunlin-edge/dunlin/drivers/tasklog"
	"github.com/dunlin-edge/dunlin/fleet"
)

// logsOf makes a folder of logs with one file of n bytes, which do not pack.
func logsOf(t rapid.TB, dir string, n int) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatalf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.stdout.0"), []byte(strings.Repeat("x", n)), 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	return dir
}

func open(t rapid.TB, dir string, quota int64) *Store {
	t.Helper()
	s, err := Open(dir, quota)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s
}

// Against a list: whatever is put away in whatever order and over restarts, the newest that fit are what is found, and all of it
// is within the quota.
func TestAgainstList(t *testing.T) {
	root, n := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		quota := rapid.Int64Range(1, 3000).Draw(t, "quota")
		s := open(t, dir, quota)
		type item struct {
			id    fleet.UUID
			bytes int64
		}
		var list []item
		for i := range rapid.IntRange(1, 15).Draw(t, "steps") {
			id, size := fleet.UUID{byte(i + 1)}, rapid.IntRange(0, 900).Draw(t, "bytes")
			if err := s.Keep(id, logsOf(t, filepath.Join(dir, "alloc", id.String()), size)); err != nil {
				t.Fatal(err)
			}
			if size > 0 {
				list = append(list, item{id, int64(size)})
			}
			live := rapid.IntRange(0, 1200).Draw(t, "live")
			over, err := s.Fit([]string{logsOf(t, filepath.Join(dir, "live"), live)}, nil)
			if want := max(0, int64(live)-quota); err != nil || over != want {
				t.Fatalf("over by %d, %v; want %d", over, err, want)
			}
			sum := int64(live)
			for _, it := range list {
				sum += it.bytes
			}
			for len(list) > 0 && sum > quota {
				sum -= list[0].bytes
				list = list[1:]
			}
			if rapid.Bool().Draw(t, "restart") {
				s = open(t, dir, quota)
			}
			if got := s.Used(); got+int64(live) != sum {
				t.Fatalf("%d bytes are kept beside %d, want %d in all", got, live, sum)
			}
		}
		for i := range 16 {
			_, found := s.Find(fleet.UUID{byte(i)})
			want := false
			for _, it := range list {
				want = want || it.id == fleet.UUID{byte(i)}
			}
			if found != want {
				t.Fatalf("allocation %d is found: %v, want %v", i, found, want)
			}
		}
	})
}

// What has ended goes only after all that is gone, and its folder stays.
func TestEndedGoesLast(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1000)
	if err := s.Keep(fleet.UUID{1}, logsOf(t, filepath.Join(dir, "a"), 400)); err != nil {
		t.Fatal(err)
	}
	ended := []Ended{{fleet.UUID{2}, logsOf(t, filepath.Join(dir, "b"), 500)}, {fleet.UUID{3}, logsOf(t, filepath.Join(dir, "c"), 600)}}
	if _, err := s.Fit(nil, ended); err != nil {
		t.Fatal(err)
	}
	if _, found := s.Find(fleet.UUID{1}); found {
		t.Error("what is gone stays while what has ended goes")
	}
	if size(ended[0].Dir) != 0 || size(ended[1].Dir) != 600 {
		t.Errorf("%d and %d bytes are left", size(ended[0].Dir), size(ended[1].Dir))
	}
	if _, err := os.Stat(ended[0].Dir); err != nil {
		t.Errorf("the folder went: %v", err)
	}
}

// What is put away is packed, and reads as before.
func TestKeepPacks(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	logs := logsOf(t, filepath.Join(dir, "alloc"), 200<<10)
	if err := s.Keep(fleet.UUID{1}, logs); err != nil {
		t.Fatal(err)
	}
	if n := s.Used(); n == 0 || n > 4<<10 {
		t.Errorf("200 KiB of the same letter take %d bytes", n)
	}
	at, ok := s.Find(fleet.UUID{1})
	if !ok {
		t.Fatal("it is not found")
	}
	b, err := tasklog.Tail(at, "main", tasklog.Stdout, 0, 300<<10)
	if err != nil || len(b) != 200<<10 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := os.Stat(logs); !os.IsNotExist(err) {
		t.Errorf("the old place is still there: %v", err)
	}
}
