package modules

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/wire/blob"
)

// direct applies commands to the store at once.
type direct struct {
	store *state.Store
	index uint64
	fail  error
}

func (d *direct) Propose(_ context.Context, cmd any) (any, error) {
	if d.fail != nil {
		return nil, d.fail
	}
	entry := command.Encode(cmd.(command.Command))
	d.index++
	txn := d.store.Begin()
	result, err := command.Apply(txn, d.index, entry)
	txn.Commit(d.index)
	return result, err
}

func newStore(t *testing.T, limit int64) (*Store, *direct) {
	t.Helper()
	blobs, err := blob.Open(t.TempDir(), blob.Options{MaxBytes: limit})
	if err != nil {
		t.Fatal(err)
	}
	st := state.New()
	log := &direct{store: st}
	return &Store{Blobs: blobs, State: st, Log: log, Now: time.Now}, log
}

func digest(b []byte) string { return string(blob.DigestBytes(b)) }

func TestPutAndOpen(t *testing.T) {
	s, _ := newStore(t, 0)
	wasm := guests.TinyHello(0)
	m, err := s.Put(t.Context(), digest(wasm), "hi.wasm", int64(len(wasm)), bytes.NewReader(wasm))
	if err != nil {
		t.Fatal(err)
	}
	if m.SizeBytes != int64(len(wasm)) || m.Name != "hi.wasm" || !s.Has(m.Digest) {
		t.Errorf("stored %+v", m)
	}
	r, size, err := s.Open(m.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || size != int64(len(wasm)) || !bytes.Equal(got, wasm) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	again, err := s.Put(t.Context(), digest(wasm), "other.wasm", int64(len(wasm)), bytes.NewReader(wasm))
	if err != nil || again.Name != "hi.wasm" {
		t.Errorf("a second push: %+v, %v", again, err)
	}
}

func TestRefusals(t *testing.T) {
	s, log := newStore(t, 0)
	wasm := guests.TinyHello(0)
	elf := append([]byte("\x7fELF"), make([]byte, 64)...)
	for name, tc := range map[string]struct {
		digest string
		size   int64
		body   []byte
		want   string
	}{
		"an executable":  {digest(elf), int64(len(elf)), elf, "ELF"},
		"a wrong digest": {digest([]byte("x")), int64(len(wasm)), wasm, "sha256:"},
		"no size":        {digest(wasm), 0, wasm, "out of range"},
		"too short":      {digest(wasm), int64(len(wasm)) + 5, wasm, "bytes"},
		"not a digest":   {"sha256:12", 1, wasm, "sha256"},
	} {
		_, err := s.Put(t.Context(), tc.digest, "m", tc.size, bytes.NewReader(tc.body))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
		if s.Has(tc.digest) {
			t.Errorf("%s: it is held", name)
		}
	}
	if log.index != 0 {
		t.Errorf("%d refused pushes reached the log", log.index)
	}
}

func TestNotHeldUntilCommitted(t *testing.T) {
	s, log := newStore(t, 0)
	wasm := guests.TinyHello(0)
	log.fail = errors.New("no leader")
	if _, err := s.Put(t.Context(), digest(wasm), "m", int64(len(wasm)), bytes.NewReader(wasm)); !errors.Is(err, log.fail) {
		t.Fatalf("got %v", err)
	}
	if s.Has(digest(wasm)) {
		t.Error("a module whose row was not committed counts as held")
	}
	log.fail = nil
	if _, err := s.Put(t.Context(), digest(wasm), "m", int64(len(wasm)), bytes.NewReader(wasm)); err != nil || !s.Has(digest(wasm)) {
		t.Errorf("the push again: %v", err)
	}
}

func TestAFullStoreKeepsWhatJobsName(t *testing.T) {
	first := guests.TinySleep()
	second := guests.TinySpin()
	s, _ := newStore(t, int64(len(first))+10)
	if _, err := s.Put(t.Context(), digest(first), "a", int64(len(first)), bytes.NewReader(first)); err != nil {
		t.Fatal(err)
	}
	_, err := s.Put(t.Context(), digest(second), "b", int64(len(second)), bytes.NewReader(second))
	var full *blob.FullError
	if !errors.As(err, &full) {
		t.Fatalf("got %v, want the numbers of a full store", err)
	}
	if !s.Has(digest(first)) {
		t.Error("a catalogued module was evicted")
	}
}
