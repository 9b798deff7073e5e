package blob

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// scan learns what is on disk. Names that are no digests are left alone and not counted: they are not ours.
func (s *Store) scan() error {
	var found []*entry
	err := filepath.WalkDir(s.contentDir(), func(path string, item fs.DirEntry, err error) error {
		if err != nil || item.IsDir() {
			return err
		}
		d, err := Parse(digestPrefix + item.Name())
		if err != nil || s.Path(d) != path {
			return nil
		}
		info, err := item.Info()
		if err != nil {
			return err
		}
		found = append(found, &entry{digest: d, size: info.Size(), used: info.ModTime(), noted: info.ModTime()})
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(found, func(a, b *entry) int {
		return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.digest, b.digest))
	})
	for _, e := range found {
		s.insert(e)
	}
	return s.scanPartials()
}

func (s *Store) scanPartials() error {
	items, err := os.ReadDir(s.partialDir())
	if err != nil {
		return err
	}
	for _, item := range items {
		d, err := Parse(digestPrefix + item.Name())
		if err != nil {
			continue
		}
		info, err := item.Info()
		if err != nil {
			return err
		}
		s.partials[d] = &partialFile{reserved: info.Size(), modified: info.ModTime()}
		s.used += info.Size()
		if s.blobs[d] != nil { // a crash between another writer's rename and this one's end
			if err := s.dropPartial(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// insert adds a blob as the one used last.
func (s *Store) insert(e *entry) {
	e.place = s.order.PushBack(e)
	s.blobs[e.digest] = e
	s.used += e.size
}

// touch notes the use of a blob, on disk only once in a while.
func (s *Store) touch(e *entry) {
	now := s.options.Now()
	e.used = now
	s.order.MoveToBack(e.place)
	if now.Sub(e.noted).Abs() < TouchEvery {
		return
	}
	// A use that cannot be noted (a disk turned read-only) must not keep a task from starting: only the order of
	// eviction after a restart suffers.
	if err := os.Chtimes(s.Path(e.digest), time.Time{}, now); err == nil {
		e.noted = now
	}
}

func syncDir(dir string) error {
	if !dirsSync {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}
