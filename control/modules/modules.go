// Package modules is the region's store of Wasm modules: the bytes beside the
// log, the catalogue in it.
//
// The one idea: a module counts as held once its bytes are checked and synced
// on disk and its catalogue row is committed, in that order; so every digest a
// job may name can be served.
//
// Invariants: what is not a module that Dunlin can run is refused before a byte
// is catalogued, with the build command that works; a digest in the catalogue is
// pinned and never evicted; a full store refuses the push with the numbers and
// leaves jobs alone.
//
// Threading: [Store] is safe for concurrent use and starts no goroutine.
package modules

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/runtime/module"
	"github.com/dunlin-edge/dunlin/wire/blob"
)

// StoreBytesMax bounds the modules of one server.
const StoreBytesMax = 20 << 30

// Log commits commands.
type Log interface {
	Propose(ctx context.Context, cmd any) (result any, err error)
}

// Store holds modules.
type Store struct {
	Blobs *blob.Store
	State *state.Store
	Log   Log
	Now   func() time.Time
}

// Pin keeps every module of the catalogue; call it once the log is replayed.
func (s *Store) Pin() {
	var keep []blob.Digest
	for m := range s.State.View().Modules() {
		keep = append(keep, blob.Digest(m.Digest))
	}
	s.Blobs.Pin(keep)
}

// Open gives the bytes of a module and their number.
func (s *Store) Open(digest string) (io.ReadSeekCloser, int64, error) {
	d, err := blob.Parse(digest)
	if err != nil {
		return nil, 0, err
	}
	r, size, err := s.Blobs.Open(d)
	if err != nil {
		return nil, 0, err
	}
	return r, size, nil
}

// Has reports whether the region holds a module, bytes and row.
func (s *Store) Has(digest string) bool {
	_, listed := s.State.View().Module(digest)
	return listed && s.Blobs.Has(blob.Digest(digest))
}

// Inspect reads the headers of a held module.
func (s *Store) Inspect(digest string) (module.Info, error) {
	d, err := blob.Parse(digest)
	if err != nil {
		return module.Info{}, err
	}
	r, size, err := s.Blobs.Open(d)
	if err != nil {
		return module.Info{}, err
	}
	defer r.Close()
	return module.Inspect(r, size)
}

// Put takes in a module of the announced digest and size. A push that was cut
// goes on where it stopped when the same bytes come again.
func (s *Store) Put(ctx context.Context, digest, name string, size int64, r io.Reader) (fleet.Module, error) {
	d, err := blob.Parse(digest)
	if err != nil {
		return fleet.Module{}, err
	}
	if size <= 0 || size > fleet.ModuleBytesMax {
		return fleet.Module{}, fmt.Errorf("a module of %d bytes is out of range; at most %d", size, fleet.ModuleBytesMax)
	}
	if err := s.take(d, size, r); err != nil {
		return fleet.Module{}, err
	}
	if err := s.check(d); err != nil {
		return fleet.Module{}, errors.Join(err, s.Blobs.Remove(d))
	}
	m := fleet.Module{Digest: digest, SizeBytes: size, Name: name, PushedAt: s.Now().UnixNano()}
	if old, ok := s.State.View().Module(digest); ok {
		m = old // the first push stands; naming it anew would only churn the log
	} else if _, err := s.Log.Propose(ctx, &command.ModulePut{Module: m}); err != nil {
		return fleet.Module{}, err
	}
	s.Pin()
	return m, nil
}

func (s *Store) take(d blob.Digest, size int64, r io.Reader) error {
	p, err := s.Blobs.Begin(d, size)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// The sender always sends the whole; what is here already is skipped.
	if _, err := io.CopyN(io.Discard, r, p.Offset()); err != nil {
		return errors.Join(fmt.Errorf("the push ended early: %w", err), p.Close())
	}
	if _, err := io.Copy(p, r); err != nil {
		return errors.Join(fmt.Errorf("the push broke off after %d of %d bytes: %w", p.Offset(), size, err), p.Close())
	}
	return p.Commit()
}

func (s *Store) check(d blob.Digest) error {
	info, err := s.Inspect(string(d))
	if err != nil {
		return err
	}
	return module.Check(info)
}
