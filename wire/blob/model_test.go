package blob

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model says what a store must hold. Contents are the letters a to h, each repeated; the letter names the blob.
type model struct {
	max     int
	order   []byte        // blobs, used longest ago first
	parts   map[byte]int  // begun: bytes here
	aged    []byte        // of parts, closed longest ago first
	pinned  map[byte]bool // may name blobs that are not here
	evicted int
}

const letters = "abcdefgh"

func content(l byte) []byte { return bytes.Repeat([]byte{l}, 10*int(l-'a'+1)) }
func digest(l byte) Digest  { return DigestBytes(content(l)) }
func size(l byte) int       { return len(content(l)) }

func (m *model) used() (n int) {
	for _, l := range m.order {
		n += size(l)
	}
	for _, have := range m.parts {
		n += have
	}
	return n
}

// room makes room as the store should: abandoned partials first, then blobs, from the oldest; nothing if hopeless. The
// partial of the letter keep is being written.
func (m *model) room(need int, keep byte) bool {
	fixed := 0
	for _, l := range m.order {
		if m.pinned[l] {
			fixed += size(l)
		}
	}
	fixed += m.parts[keep]
	if fixed+need > m.max {
		return false
	}
	for _, l := range slices.Clone(m.aged) {
		if m.used()+need > m.max && l != keep {
			m.dropPart(l)
		}
	}
	for _, l := range slices.Clone(m.order) {
		if m.used()+need > m.max && !m.pinned[l] {
			m.drop(l)
			m.evicted++
		}
	}
	return true
}

func (m *model) drop(l byte) {
	m.order = slices.DeleteFunc(m.order, func(x byte) bool { return x == l })
}
func (m *model) dropPart(l byte) {
	delete(m.parts, l)
	m.aged = slices.DeleteFunc(m.aged, func(x byte) bool { return x == l })
}
func (m *model) has(l byte) bool { return slices.Contains(m.order, l) }
func (m *model) use(l byte)      { m.drop(l); m.order = append(m.order, l) }

// crash is what a test's step hook panics with.
type crash struct{}

// survive runs f and reports whether it crashed at the point given.
func survive(s *Store, point string, f func()) (crashed bool) {
	s.step = func(at string) {
		if at == point {
			panic(crash{})
		}
	}
	defer func() {
		s.step = nil
		switch r := recover(); r.(type) {
		case nil:
		case crash:
			crashed = true
		default:
			panic(r)
		}
	}()
	f()
	return false
}

// machine runs the store beside its model.
type machine struct {
	t     *rapid.T
	dir   string
	model model
	store *Store
}

func (x *machine) reopen() {
	s, err := Open(x.dir, Options{MaxBytes: int64(x.model.max)})
	if err != nil {
		x.t.Fatal(err)
	}
	// The order of use survives a restart only by the day, so the model takes it over; check holds the sets together.
	x.model.order = slices.Collect(func(yield func(byte) bool) {
		for _, info := range s.List() {
			for _, l := range []byte(letters) {
				if digest(l) == info.Digest && !yield(l) {
					return
				}
			}
		}
	})
	slices.SortFunc(x.model.aged, func(a, b byte) int {
		// File times are coarse: the store breaks ties by digest.
		return cmp.Or(s.partials[digest(a)].modified.Compare(s.partials[digest(b)].modified), cmp.Compare(digest(a), digest(b)))
	})
	x.store = s
	x.pin()
}

func (x *machine) pin() {
	var set []Digest
	for l := range x.model.pinned {
		set = append(set, digest(l))
	}
	x.store.Pin(set)
}

func (x *machine) letter() byte { return rapid.SampledFrom([]byte(letters)).Draw(x.t, "blob") }

func (x *machine) crashPoint() string {
	return rapid.SampledFrom([]string{"", "", "", "written", "synced", "renamed"}).Draw(x.t, "crash")
}

func (x *machine) put() {
	l, point := x.letter(), x.crashPoint()
	fits := x.model.room(size(l), 0)
	var err error
	if survive(x.store, point, func() { _, _, err = x.store.Put(bytes.NewReader(content(l)), digest(l)) }) {
		if fits && point == "renamed" {
			x.model.use(l)
			x.model.dropPart(l)
		}
		x.setSurvives()
		return
	}
	x.wantFull(err, !fits)
	if fits && !x.model.has(l) {
		x.model.use(l)
		x.model.dropPart(l)
	}
}

// setSurvives reopens after a crash and compares the sets before the model takes over the order.
func (x *machine) setSurvives() {
	want := slices.Sorted(slices.Values(x.model.order))
	x.reopen()
	if got := slices.Sorted(slices.Values(x.model.order)); !slices.Equal(got, want) {
		x.t.Fatalf("after a crash the store holds %q; want %q", got, want)
	}
}

func (x *machine) wantFull(err error, full bool) {
	x.t.Helper()
	if !full && err != nil {
		x.t.Fatal(err)
	}
	if _, ok := errors.AsType[*FullError](err); full && !ok {
		x.t.Fatalf("got %v; want a full store", err)
	}
}

// fetch resumes a blob, writes a part of it, and commits, closes, aborts or crashes.
func (x *machine) fetch() {
	l := x.letter()
	if x.model.has(l) {
		return
	}
	have := x.model.parts[l]
	fits := x.model.room(size(l)-have, l)
	p, err := x.store.Begin(digest(l), int64(size(l)))
	x.wantFull(err, !fits)
	if !fits {
		return
	}
	if p.Offset() != int64(have) {
		x.t.Fatalf("resume of %c at %d; want %d", l, p.Offset(), have)
	}
	n := rapid.IntRange(0, size(l)-have).Draw(x.t, "bytes")
	if _, err := p.Write(content(l)[have : have+n]); err != nil {
		x.t.Fatal(err)
	}
	x.model.dropPart(l)
	keep := func() {
		x.model.parts[l] = have + n
		x.model.aged = append(x.model.aged, l)
	}
	switch rapid.SampledFrom([]string{"commit", "commit", "close", "abort", "crash"}).Draw(x.t, "end") {
	case "commit":
		x.commit(p, l, have+n == size(l), keep)
	case "close":
		keep()
		err = p.Close()
	case "abort":
		err = p.Abort()
	case "crash":
		keep()
		x.setSurvives()
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *machine) commit(p *Partial, l byte, whole bool, keep func()) {
	point := x.crashPoint()
	var err error
	crashed := survive(x.store, point, func() { err = p.Commit() })
	switch {
	case crashed && point == "synced":
		keep()
	case whole:
		x.model.use(l)
	default:
		keep()
		if _, ok := errors.AsType[*SizeError](err); !ok {
			x.t.Fatalf("a short commit: %v", err)
		}
		return
	}
	if crashed {
		x.setSurvives()
	} else if err != nil {
		x.t.Fatal(err)
	}
}

func (x *machine) read() {
	l := x.letter()
	r, _, err := x.store.Open(digest(l))
	if (err == nil) != x.model.has(l) {
		x.t.Fatalf("open %c: %v; want it there: %v", l, err, x.model.has(l))
	}
	if err != nil {
		return
	}
	x.model.use(l)
	if d, _, err := DigestOf(r); err != nil || d != digest(l) {
		x.t.Fatalf("content of %c: %s, %v", l, d, err)
	}
	if err := r.Close(); err != nil {
		x.t.Fatal(err)
	}
}

func (x *machine) remove() {
	l := x.letter()
	if err := x.store.Remove(digest(l)); err != nil {
		x.t.Fatal(err)
	}
	x.model.drop(l)
}

func (x *machine) repin() {
	clear(x.model.pinned)
	for _, l := range rapid.SliceOfN(rapid.SampledFrom([]byte(letters)), 0, 2).Draw(x.t, "pinned") {
		x.model.pinned[l] = true
	}
	x.pin()
}

// check compares everything that can be seen.
func (x *machine) check() {
	var got []byte
	for _, info := range x.store.List() {
		for _, l := range []byte(letters) {
			if digest(l) == info.Digest {
				got = append(got, l)
			}
		}
	}
	if !slices.Equal(got, x.model.order) {
		x.t.Fatalf("blobs in order of use %q; want %q", got, x.model.order)
	}
	if used := x.store.Used(); used != int64(x.model.used()) || used > int64(x.model.max) {
		x.t.Fatalf("%d bytes in use; want %d, at most %d", used, x.model.used(), x.model.max)
	}
	for l, have := range x.model.parts {
		if info, err := os.Stat(x.store.partialPath(digest(l))); err != nil || info.Size() != int64(have) {
			x.t.Fatalf("partial %c: %v; want %d bytes", l, err, have)
		}
	}
}

func TestStoreMatchesAModelThroughCrashes(t *testing.T) {
	root, n, evicted := t.TempDir(), 0, 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		x := &machine{t: t, dir: fmt.Sprintf("%s/%d", root, n), model: model{parts: map[byte]int{}, pinned: map[byte]bool{}}}
		x.model.max = rapid.IntRange(60, 300).Draw(t, "max")
		x.reopen()
		t.Repeat(map[string]func(*rapid.T){
			"put":    func(*rapid.T) { x.put() },
			"fetch":  func(*rapid.T) { x.fetch() },
			"read":   func(*rapid.T) { x.read() },
			"remove": func(*rapid.T) { x.remove() },
			"pin":    func(*rapid.T) { x.repin() },
			"crash":  func(*rapid.T) { x.setSurvives() },
			"":       func(*rapid.T) { x.check() },
		})
		evicted += x.model.evicted
		if err := os.RemoveAll(x.dir); err != nil {
			t.Fatal(err)
		}
	})
	if evicted == 0 {
		t.Error("no run evicted anything: the limits of the test are too wide")
	}
}
