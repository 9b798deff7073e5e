package blob

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const dirsSync = runtime.GOOS != "windows" // Windows has no sync of folders

// reserveStep is the room that a writer of unknown size asks for at a time.
const reserveStep = 64 << 10

// Put stores all of r. With an expected digest other content is refused with a *MismatchError; with "" the content names
// itself. A blob that is there already is not written again, but r is read and checked all the same.
func (s *Store) Put(r io.Reader, expect Digest) (Digest, int64, error) {
	f, err := os.CreateTemp(s.tmpDir(), "put-*")
	if err != nil {
		return "", 0, fmt.Errorf("store blob: %w", err)
	}
	w := &putWriter{store: s, file: f, hash: sha256.New()}
	d, err := w.run(r, expect)
	if err != nil {
		// After a successful rename the temporary name is gone already.
		if removeErr := os.Remove(f.Name()); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
		return "", 0, err
	}
	return d, w.size, nil
}

// putWriter is one Put under way. Its room grows with the content, whose size nobody told.
type putWriter struct {
	store    *Store
	file     *os.File
	hash     hash.Hash
	size     int64
	reserved int64
}

func (w *putWriter) run(r io.Reader, expect Digest) (Digest, error) {
	defer w.release()
	_, err := io.Copy(struct{ io.Writer }{w}, r)
	w.store.at("written")
	if err != nil {
		return "", errors.Join(fmt.Errorf("store blob: %w", err), w.file.Close())
	}
	d := sum(w.hash)
	if expect != "" && d != expect {
		return "", errors.Join(&MismatchError{Want: expect, Got: d}, w.file.Close())
	}
	if w.store.Has(d) {
		if err := errors.Join(w.file.Close(), os.Remove(w.file.Name())); err != nil {
			return "", fmt.Errorf("store blob: %w", err)
		}
		return d, nil
	}
	if err := seal(w.file); err != nil {
		return "", err
	}
	w.store.at("synced")
	return d, w.store.place(w.file.Name(), d, w.size, w.unreserve)
}

// Write implements io.Writer.
func (w *putWriter) Write(p []byte) (int, error) {
	for w.size+int64(len(p)) > w.reserved {
		w.store.mu.Lock()
		err := w.store.reserve(reserveStep)
		if err != nil { // a store that is nearly full may still have just enough
			need := w.size + int64(len(p)) - w.reserved
			if err = w.store.reserve(need); err == nil {
				w.reserved += need
			}
		} else {
			w.reserved += reserveStep
		}
		w.store.mu.Unlock()
		if err != nil {
			return 0, err
		}
	}
	n, err := w.file.Write(p)
	w.hash.Write(p[:n])
	w.size += int64(n)
	return n, err
}

func (w *putWriter) release() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.unreserve()
}

// unreserve gives the room back; the store is locked.
func (w *putWriter) unreserve() {
	w.store.used -= w.reserved
	w.reserved = 0
}

// seal makes a file durable and closes it.
func seal(f *os.File) error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store blob: %w", err)
	}
	return nil
}

// place gives a sealed file its name. The writer's room becomes the blob's in one step (unreserve is called under the
// lock), so that nobody else sees it counted twice and is refused.
func (s *Store) place(from string, d Digest, size int64, unreserve func()) error {
	to := s.Path(d)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("store blob: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.blobs[d]; e != nil { // another writer was faster
		s.touch(e)
		if err := os.Remove(from); err != nil {
			return fmt.Errorf("store blob: %w", err)
		}
		unreserve()
		return nil
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("store blob: %w", err)
	}
	s.at("renamed")
	// Both: the name, and the folder of the name, which may be new.
	if err := errors.Join(syncDir(filepath.Dir(to)), syncDir(s.contentDir())); err != nil {
		return err
	}
	unreserve()
	now := s.options.Now()
	s.insert(&entry{digest: d, size: size, used: now, noted: now})
	if p := s.partials[d]; p != nil && !p.busy { // begun once, and now come by another way
		return s.dropPartial(d)
	}
	return nil
}
