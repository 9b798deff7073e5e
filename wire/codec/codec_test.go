package codec

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := rapid.Uint64().Draw(t, "u")
		i := rapid.Int64().Draw(t, "i")
		ok := rapid.Bool().Draw(t, "ok")
		s := rapid.String().Draw(t, "s")
		p := rapid.SliceOf(rapid.Byte()).Draw(t, "p")
		b := AppendBytes(AppendString(AppendBool(AppendInt(AppendUint(nil, u), i), ok), s), p)
		r := NewReader(b)
		if g := r.Uint(); g != u {
			t.Fatalf("uint: got %d, want %d", g, u)
		}
		if g := r.Int(); g != i {
			t.Fatalf("int: got %d, want %d", g, i)
		}
		if g := r.Bool(); g != ok {
			t.Fatalf("bool: got %v", g)
		}
		if g := r.String("s", math.MaxInt32); g != s {
			t.Fatalf("string: got %q, want %q", g, s)
		}
		if g := r.Bytes("p", math.MaxInt32); !bytes.Equal(g, p) {
			t.Fatalf("bytes: got %x, want %x", g, p)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRefusals(t *testing.T) {
	huge := AppendUint(nil, math.MaxUint64)
	for name, read := range map[string]func(*Reader){
		"short uint":    func(r *Reader) { r.Uint(); r.Uint() },
		"length":        func(r *Reader) { r.Bytes("x", 8) },
		"string":        func(r *Reader) { _ = r.String("x", 8) },
		"count":         func(r *Reader) { r.Count("x", 8, 1) },
		"raw":           func(r *Reader) { r.Raw(100) },
		"negative":      func(r *Reader) { r.Raw(-1) },
		"bool":          func(r *Reader) { r.Bool() },
		"uuid":          func(r *Reader) { r.UUID() },
		"left over":     func(r *Reader) { r.Byte() },
		"limit of uint": func(r *Reader) { r.UintMax("x", 5) },
	} {
		r := NewReader(huge)
		read(r)
		if r.Close() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestFirstErrorSticks(t *testing.T) {
	r := NewReader([]byte{1, 2, 3})
	first := errors.New("first")
	r.Fail(first)
	if r.Uint() != 0 || r.Byte() != 0 || r.Left() != 0 {
		t.Fatal("a failed reader went on reading")
	}
	r.Fail(errors.New("second"))
	if !errors.Is(r.Err(), first) {
		t.Fatalf("got %v", r.Err())
	}
}

func TestCountThatCannotFit(t *testing.T) {
	b := append(AppendUint(nil, 1000), make([]byte, 50)...)
	r := NewReader(b)
	if n := r.Count("rows", 1<<20, 16); n != 0 || r.Err() == nil {
		t.Fatalf("got %d, %v", n, r.Err())
	}
}
