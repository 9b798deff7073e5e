// Package logstore keeps what tasks printed after their allocation is gone, within one quota for the whole device.
//
// The one idea: a device's logs are the folders of the allocations that are there and, beside them, folders of those that are
// gone; when all of them together are more than the quota, whole folders go, the one that was put away first goes first. Rings of
// what runs are never cut: each is bounded by its job's own limits. They count, though, so that a device with much running keeps
// less of the past.
//
// Invariants:
//   - What is put away is packed first (see drivers/tasklog): the past is read seldom.
//   - The order of going is the order of coming, kept in names and not in times: the clock may be wrong.
//   - Nothing is written while nothing ends; looking reads folder entries only.
//
// Threading: a Store may be used by several goroutines.
package logstore

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dunlin-edge/dunlin/drivers/tasklog"
	"github.com/dunlin-edge/dunlin/fleet"
)

// QuotaBytes is the default quota of all logs on a device: what a small SD card can spare, and still weeks of a quiet task.
const QuotaBytes = 256e6

// KeptMax is how many allocations that are gone keep their logs, however small: each is a folder to look into.
const KeptMax = 10_000

// folder is the place of logs whose allocation is gone.
const folder = "logs"

// Store keeps logs of allocations that are gone.
type Store struct {
	dir   string
	quota int64

	mu   sync.Mutex
	kept []kept // oldest first
	next uint64
}

type kept struct {
	seq   uint64
	alloc fleet.UUID
	bytes int64
}

func (k *kept) name() string { return fmt.Sprintf("%012d-%s", k.seq, k.alloc) }

// Open reads what is kept in a device's data folder. It makes nothing: a device that keeps nothing has no folder. quota 0 means
// QuotaBytes.
func Open(dataDir string, quota int64) (*Store, error) {
	if quota == 0 {
		quota = QuotaBytes
	}
	s := &Store{dir: filepath.Join(dataDir, folder), quota: quota, next: 1}
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read kept logs: %w", err)
	}
	for _, e := range entries {
		seq, id, ok := strings.Cut(e.Name(), "-")
		n, err := strconv.ParseUint(seq, 10, 64)
		alloc, idErr := fleet.ParseUUID(id)
		if !ok || err != nil || idErr != nil {
			continue // not ours
		}
		k := kept{seq: n, alloc: alloc}
		k.bytes = size(filepath.Join(s.dir, e.Name()))
		s.kept = append(s.kept, k)
		s.next = max(s.next, n+1)
	}
	slices.SortFunc(s.kept, func(a, b kept) int { return cmp.Compare(a.seq, b.seq) })
	return s, nil
}

// Quota is the limit in bytes.
func (s *Store) Quota() int64 { return s.quota }

// Keep puts the log folder of an allocation away. A folder without output is left for whoever removes the allocation.
func (s *Store) Keep(alloc fleet.UUID, logs string) error {
	if size(logs) == 0 {
		return nil
	}
	// What cannot be packed, for a full disk, is kept as it is.
	_, packErr := tasklog.PackAll(logs)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.MkdirAll(s.dir, 0o711); err != nil {
		return fmt.Errorf("keep logs: %w", err)
	}
	k := kept{seq: s.next, alloc: alloc, bytes: size(logs)}
	if err := os.Rename(logs, filepath.Join(s.dir, k.name())); err != nil {
		return fmt.Errorf("keep logs: %w", errors.Join(err, packErr))
	}
	s.next++
	s.kept = append(s.kept, k)
	return nil
}

// Find is the folder of an allocation that is gone.
func (s *Store) Find(alloc fleet.UUID) (dir string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.kept) - 1; i >= 0; i-- {
		if s.kept[i].alloc == alloc {
			return filepath.Join(s.dir, s.kept[i].name()), true
		}
	}
	return "", false
}

// Ended is the log folder of an allocation that has ended and is not gone yet.
type Ended struct {
	Alloc fleet.UUID
	Dir   string
}

// Used is the length of what is kept of allocations that are gone.
func (s *Store) Used() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.kept {
		n += s.kept[i].bytes
	}
	return n
}

// Fit removes what is too much: first what is gone, then what has ended, each from the oldest. running are the log folders of
// what runs. It returns how many bytes what runs is over the quota by itself; nothing can be done about that here.
func (s *Store) Fit(running []string, ended []Ended) (over int64, err error) {
	var live, total int64
	for _, dir := range running {
		live += size(dir)
	}
	total = live + s.Used()
	sizes := make([]int64, len(ended))
	for i, e := range ended {
		sizes[i] = size(e.Dir)
		total += sizes[i]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for len(s.kept) > 0 && (total > s.quota || len(s.kept) > KeptMax) {
		k := s.kept[0]
		if err := os.RemoveAll(filepath.Join(s.dir, k.name())); err != nil {
			return 0, fmt.Errorf("remove kept logs: %w", err)
		}
		s.kept = s.kept[1:]
		total -= k.bytes
	}
	for i := 0; i < len(ended) && total > s.quota; i++ {
		if err := empty(ended[i].Dir); err != nil {
			errs = append(errs, err)
			continue
		}
		total -= sizes[i]
	}
	return max(0, live-s.quota), errors.Join(errs...)
}

// empty removes the files of a folder: the folder itself says that there was a task.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove old logs: %w", err)
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old logs: %w", err)
		}
	}
	return nil
}

// size is the sum of a folder's files; 0 when it is not there. What cannot be read is not counted: it cannot be removed either.
func size(dir string) (n int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
	}
	return n
}
