package blob

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Reader reads a stored blob. The blob is not evicted while it is open.
type Reader interface {
	io.ReadSeekCloser
	io.ReaderAt
}

// Open opens a blob and returns its size in bytes. It does not check the content (see Verify): devices start tasks often
// and their disks are slow. A missing blob is a *NotFoundError.
func (s *Store) Open(d Digest) (Reader, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.blobs[d]
	if e == nil {
		return nil, 0, &NotFoundError{Digest: d}
	}
	f, err := os.Open(s.Path(d))
	if err != nil {
		return nil, 0, fmt.Errorf("open blob %s: %w", d, err)
	}
	e.open++
	s.touch(e)
	return &reader{File: f, store: s, entry: e}, e.size, nil
}

type reader struct {
	*os.File
	store *Store
	entry *entry
	once  sync.Once
}

// Close ends reading; further calls do nothing.
func (r *reader) Close() error {
	var err error
	r.once.Do(func() {
		r.store.mu.Lock()
		r.entry.open--
		r.store.mu.Unlock()
		err = r.File.Close()
	})
	return err
}

// Verify reads a blob and compares its content with its name. A blob that has changed is removed, with a *CorruptError,
// so that it is fetched again.
func (s *Store) Verify(d Digest) error {
	r, _, err := s.Open(d)
	if err != nil {
		return err
	}
	got, _, err := DigestOf(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("verify blob %s: %w", d, err)
	}
	if got == d {
		return nil
	}
	return errors.Join(&CorruptError{Digest: d, Got: got}, s.Remove(d))
}
