// Package blob is a content-addressed store of files: modules and artifacts, on servers and devices alike.
//
// The one idea: a blob's name is the digest of its content, so a blob never changes, is kept once, and any part of the
// system that knows the name can check what it got.
//
// Invariants:
//   - A file under sha256/ is complete: content is written elsewhere, checked, synced, and then renamed to its name. A
//     crash at any moment leaves either the whole blob or none, and at most a partial one that can be resumed.
//   - The bytes on disk, partial ones included, stay at or below Options.MaxBytes: whoever needs room gets it from the
//     blobs used longest ago. A pinned or open blob is never removed to make room.
//   - Reading writes nothing but, at most once a day per blob, its modification time: flash wears out.
//
// Layout: sha256/ab/abcd… complete blobs; partial/abcd… begun ones; tmp/ content whose digest is not known yet, emptied
// when the store is opened. Files have mode 0600, folders 0700.
//
// Threading: a Store is safe for concurrent use; one process has a folder open at a time. A Partial belongs to one
// goroutine. The store has no goroutine of its own.
package blob

import (
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// TouchEvery is how often at most the use of a blob is noted on disk. Eviction after a restart is that coarse.
const TouchEvery = 24 * time.Hour

// Options say how a store behaves.
type Options struct {
	MaxBytes int64            // limit of all content on disk; 0: none; a lowered one is met by the next write
	Now      func() time.Time // for the order of use; nil: time.Now
}

// Info describes a stored blob.
type Info struct {
	Digest Digest
	Size   int64 // bytes
	Used   time.Time
	Pinned bool
}

// Store is an open store.
type Store struct {
	dir     string
	options Options
	step    func(point string) // tests stop the world at named points; nil otherwise

	mu       sync.Mutex
	blobs    map[Digest]*entry
	order    *list.List // of *entry, used longest ago first
	pinned   map[Digest]bool
	partials map[Digest]*partialFile
	used     int64 // bytes of blobs and partials, and of room promised to writers
}

type entry struct {
	digest Digest
	size   int64
	used   time.Time
	noted  time.Time // the use that the disk knows
	open   int       // readers
	place  *list.Element
}

type partialFile struct {
	reserved int64
	busy     bool
	modified time.Time
}

// Open opens the store in a folder, which it makes if need be. It removes what a crash left behind and reads no content.
func Open(dir string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxBytes < 0 {
		return nil, fmt.Errorf("blob store %s: limit of %d bytes; want 0 (none) or more", dir, o.MaxBytes)
	}
	s := &Store{dir: dir, options: o, blobs: make(map[Digest]*entry), order: list.New(),
		pinned: make(map[Digest]bool), partials: make(map[Digest]*partialFile)}
	// A read-only disk must not keep a device from starting with what it has; what is begun on it fails by itself.
	if err := os.RemoveAll(s.tmpDir()); err != nil && !errors.Is(err, syscall.EROFS) {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	for _, d := range []string{s.tmpDir(), s.partialDir(), s.contentDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("open blob store: %w", err)
		}
	}
	if err := s.scan(); err != nil {
		return nil, fmt.Errorf("open blob store %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) contentDir() string { return filepath.Join(s.dir, "sha256") }
func (s *Store) partialDir() string { return filepath.Join(s.dir, "partial") }
func (s *Store) tmpDir() string     { return filepath.Join(s.dir, "tmp") }

// Path is where a blob is or would be. Nobody may write to it; whoever keeps the path must pin the blob.
func (s *Store) Path(d Digest) string {
	h := d.Hex()
	return filepath.Join(s.contentDir(), h[:min(2, len(h))], h)
}

func (s *Store) partialPath(d Digest) string { return filepath.Join(s.partialDir(), d.Hex()) }

// Has reports whether a blob is stored.
func (s *Store) Has(d Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blobs[d] != nil
}

// List describes all stored blobs, those used longest ago first.
func (s *Store) List() []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	infos := make([]Info, 0, len(s.blobs))
	for at := s.order.Front(); at != nil; at = at.Next() {
		e := at.Value.(*entry)
		infos = append(infos, Info{Digest: e.digest, Size: e.size, Used: e.used, Pinned: s.pinned[e.digest]})
	}
	return infos
}

// Begun describes the partial blobs that nobody writes now, those written last first. Their size is what is here, not what was
// announced.
func (s *Store) Begun() []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	var infos []Info
	for d, p := range s.partials {
		if !p.busy {
			infos = append(infos, Info{Digest: d, Size: p.reserved, Used: p.modified})
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return cmp.Or(b.Used.Compare(a.Used), cmp.Compare(a.Digest, b.Digest)) })
	return infos
}

// Used is the number of bytes on disk, partial blobs and room promised to writers included.
func (s *Store) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Pin replaces the set of blobs that are never evicted. It is a level, not a count: the owner says each time all that it
// needs, so that a forgotten unpin cannot fill the disk. Blobs that are not here yet may be named.
func (s *Store) Pin(set []Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.pinned)
	for _, d := range set {
		s.pinned[d] = true
	}
}

// Remove deletes a blob, pinned or not; open readers keep what they have. A blob that is not there is no error.
func (s *Store) Remove(d Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.blobs[d]; e != nil {
		return s.remove(e)
	}
	return nil
}

// remove deletes a blob. The folder is not synced: a blob that comes back after a crash is whole, and harmless.
func (s *Store) remove(e *entry) error {
	if err := os.Remove(s.Path(e.digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove blob: %w", err)
	}
	delete(s.blobs, e.digest)
	s.order.Remove(e.place)
	s.used -= e.size
	return nil
}

// reserve promises room to a writer, evicting what it must. Either all of it fits or nothing is promised; what was
// evicted on the way to a refusal would be lost for nothing, so it is counted first.
func (s *Store) reserve(need int64) error {
	if s.options.MaxBytes > 0 && s.used+need > s.options.MaxBytes {
		evictable := int64(0)
		for d, e := range s.blobs {
			if !s.pinned[d] && e.open == 0 {
				evictable += e.size
			}
		}
		for _, p := range s.partials {
			if !p.busy {
				evictable += p.reserved
			}
		}
		if s.used-evictable+need > s.options.MaxBytes {
			return &FullError{Need: need, Max: s.options.MaxBytes, Pinned: s.used - evictable}
		}
		if err := s.evict(s.options.MaxBytes - need); err != nil {
			return err
		}
	}
	s.used += need
	return nil
}

// evict removes abandoned partials, then blobs, both from the oldest, until at most the limit is in use.
func (s *Store) evict(limit int64) error {
	for s.used > limit {
		d, ok := s.oldestPartial()
		if !ok {
			break
		}
		if err := s.dropPartial(d); err != nil {
			return err
		}
	}
	for at := s.order.Front(); at != nil && s.used > limit; {
		e := at.Value.(*entry)
		at = at.Next()
		if s.pinned[e.digest] || e.open > 0 {
			continue
		}
		if err := s.remove(e); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) oldestPartial() (oldest Digest, ok bool) {
	for d, p := range s.partials {
		if p.busy {
			continue
		}
		o := s.partials[oldest]
		if !ok || p.modified.Before(o.modified) || p.modified.Equal(o.modified) && d < oldest {
			oldest, ok = d, true
		}
	}
	return oldest, ok
}

func (s *Store) dropPartial(d Digest) error {
	if err := os.Remove(s.partialPath(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove partial blob: %w", err)
	}
	s.used -= s.partials[d].reserved
	delete(s.partials, d)
	return nil
}

func (s *Store) at(point string) {
	if s.step != nil {
		s.step(point)
	}
}
