package blob

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
)

// Partial is a blob that arrives in pieces, over several links and restarts if need be. What was written stays on disk
// until Commit, Abort, or until its room is needed while nobody writes it.
type Partial struct {
	store  *Store
	digest Digest
	size   int64
	file   *os.File
	hash   hash.Hash
	offset int64
	done   bool
}

// Begin starts or resumes the blob with this digest and size: write from Offset on, then Commit. Room for the whole is
// set aside at once, so a blob that does not fit is refused before it is fetched. It returns ErrBusy while another
// Partial of the digest is open, and fs.ErrExist if the blob is here already.
func (s *Store) Begin(d Digest, size int64) (*Partial, error) {
	if _, err := Parse(string(d)); err != nil {
		return nil, err
	}
	if size < 0 {
		return nil, fmt.Errorf("blob %s: size of %d bytes", d, size)
	}
	if err := s.claim(d, size); err != nil {
		return nil, err
	}
	p := &Partial{store: s, digest: d, size: size, hash: sha256.New()}
	if err := p.resume(); err != nil {
		return nil, errors.Join(err, p.drop())
	}
	return p, nil
}

// claim sets room aside and marks the digest as being written.
func (s *Store) claim(d Digest, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs[d] != nil {
		return fmt.Errorf("blob %s: %w", d, fs.ErrExist)
	}
	p := s.partials[d]
	if p == nil {
		p = &partialFile{}
	}
	if p.busy {
		return fmt.Errorf("blob %s: %w", d, ErrBusy)
	}
	p.busy = true // before reserve: it must not make room by dropping this one
	if err := s.reserve(size - p.reserved); err != nil {
		p.busy = false
		return fmt.Errorf("blob %s: %w", d, err)
	}
	p.reserved = size
	s.partials[d] = p
	return nil
}

// resume opens the file and reads back what is there: after a power cut the disk, not the length, knows what was kept. A
// wrong tail is found at Commit.
func (p *Partial) resume() error {
	f, err := os.OpenFile(p.store.partialPath(p.digest), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("begin blob %s: %w", p.digest, err)
	}
	p.file = f
	p.offset, err = io.Copy(p.hash, f)
	if err == nil && p.offset > p.size { // from another announcement of the size
		p.offset, p.hash = 0, sha256.New()
		if err = f.Truncate(0); err == nil {
			_, err = f.Seek(0, io.SeekStart)
		}
	}
	if err != nil {
		return fmt.Errorf("resume blob %s: %w", p.digest, err)
	}
	return nil
}

// Digest is the blob's announced digest.
func (p *Partial) Digest() Digest { return p.digest }

// Size is the blob's announced size in bytes.
func (p *Partial) Size() int64 { return p.size }

// Offset is how many bytes are here.
func (p *Partial) Offset() int64 { return p.offset }

// Write appends. More than the announced size is refused with a *SizeError.
func (p *Partial) Write(b []byte) (int, error) {
	if p.done {
		return 0, fs.ErrClosed
	}
	if p.offset+int64(len(b)) > p.size {
		return 0, &SizeError{Digest: p.digest, Want: p.size, Got: p.offset + int64(len(b))}
	}
	n, err := p.file.Write(b)
	p.hash.Write(b[:n])
	p.offset += int64(n)
	if err != nil {
		return n, fmt.Errorf("write blob %s: %w", p.digest, err)
	}
	return n, nil
}

// Commit checks the content and stores it durably. Content that is short stays for a later resume (*SizeError); content
// that is wrong is deleted (*MismatchError). The Partial is closed in any case.
func (p *Partial) Commit() error {
	if p.done {
		return fs.ErrClosed
	}
	if err := p.complete(); err != nil {
		return err
	}
	if err := seal(p.file); err != nil {
		return errors.Join(err, p.drop())
	}
	p.store.at("synced")
	unreserve := func() {
		p.store.used -= p.store.partials[p.digest].reserved
		delete(p.store.partials, p.digest)
	}
	if err := p.store.place(p.store.partialPath(p.digest), p.digest, p.size, unreserve); err != nil {
		return errors.Join(err, p.drop())
	}
	p.done = true
	return nil
}

// Check compares the content with its name without storing it as a blob: for what is only needed to make another blob of. It
// returns a reader of all of it, which is good until Close or Abort. Content that is short or wrong is answered as by Commit, and
// the Partial is closed then.
func (p *Partial) Check() (io.Reader, error) {
	if p.done {
		return nil, fs.ErrClosed
	}
	if err := p.complete(); err != nil {
		return nil, err
	}
	return io.NewSectionReader(p.file, 0, p.size), nil
}

// complete reports what is wrong with the content, and closes the Partial then.
func (p *Partial) complete() error {
	if p.offset < p.size {
		return errors.Join(&SizeError{Digest: p.digest, Want: p.size, Got: p.offset}, p.Close())
	}
	if got := sum(p.hash); got != p.digest {
		return errors.Join(&MismatchError{Want: p.digest, Got: got}, p.drop())
	}
	return nil
}

// Close stops writing and keeps what is here for a later Begin. After Commit or Abort it does nothing.
func (p *Partial) Close() error {
	if p.done {
		return nil
	}
	p.done = true
	err := p.file.Close()
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	part := s.partials[p.digest]
	s.used += p.offset - part.reserved
	part.reserved, part.busy, part.modified = p.offset, false, s.options.Now()
	return err
}

// Abort deletes what is here.
func (p *Partial) Abort() error {
	if p.done {
		return nil
	}
	return p.drop()
}

// drop ends the Partial and deletes its file.
func (p *Partial) drop() error {
	p.done = true
	if p.file != nil {
		_ = p.file.Close() // a sealed file is closed already; in the others nothing is left to lose
	}
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	return p.store.dropPartial(p.digest)
}
