package patch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// code is n bytes that look like a program: words of a small vocabulary with noise between them, the same for the same seed.
func code(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	words := make([][]byte, 400)
	for i := range words {
		words[i] = make([]byte, 4+r.IntN(40))
		for k := range words[i] {
			words[i][k] = byte(r.Uint32())
		}
	}
	out := make([]byte, 0, n+64)
	for len(out) < n {
		out = append(append(out, words[r.IntN(len(words))]...), byte(r.Uint32()), byte(r.Uint32()))
	}
	return out[:n]
}

// encode makes a form; a nil base compresses.
func encode(t testing.TB, base, module []byte) []byte {
	t.Helper()
	form := byte(formPatch)
	if base == nil {
		form = formCompressed
	}
	return encodeForm(t, form, base, module)
}

func encodeForm(t testing.TB, form byte, base, module []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var err error
	switch r, b := bytes.NewReader(module), bytes.NewReader(base); form {
	case formCompressed:
		err = Compress(t.Context(), &out, r, r.Size())
	case formPatch:
		err = Encode(t.Context(), &out, b, b.Size(), r, r.Size())
	case formDelta:
		err = EncodeDelta(t.Context(), &out, b, b.Size(), r, r.Size())
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decode(form, base []byte, size int) ([]byte, error) {
	var at io.ReaderAt
	if base != nil {
		at = bytes.NewReader(base)
	}
	r, err := NewReader(bytes.NewReader(form), int64(size), at, int64(len(base)))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestForms(t *testing.T) {
	// Just over a segment: the slowest level under the race detector takes seconds per megabyte.
	long := code(1, SegmentBytes+100<<10)
	inserted := slices.Insert(slices.Clone(long), 1<<20, code(2, 100<<10)...)
	for _, c := range []struct {
		name         string
		base, module []byte
		most         int // bytes of the form
	}{
		{"compressed", nil, long, len(long)*3/4 + 100},
		{"compressed, one byte", nil, long[:1], 40},
		{"noise does not grow", nil, noise(3 << 20), 3<<20 + 3*FrameBytesMax/1000},
		{"the same", long, long, 4000},
		{"a whole segment exactly", long, long[:SegmentBytes], 1000},
		{"a byte in the middle", long, append(append(slices.Clone(long[:1<<20]), 'x'), long[1<<20:]...), 4000},
		{"a part inserted", long, inserted, 80 << 10},
		{"grown from nearly nothing", long[:100], long[:200_000], 200_000},
		{"of something else", noise(200_000), long[:200_000], 200_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && len(c.module) > 1<<20 && c.name != "a part inserted" {
				t.Skip("left out with -short: one long module is enough where each takes seconds")
			}
			form := encode(t, c.base, c.module)
			if len(form) > c.most {
				t.Errorf("%d bytes became %d; want at most %d", len(c.module), len(form), c.most)
			}
			got, err := decode(form, c.base, len(c.module))
			if err != nil || !bytes.Equal(got, c.module) {
				t.Fatalf("decoded %d of %d bytes: %v", len(got), len(c.module), err)
			}
			if len(c.module) > 1<<20 {
				return // slow, and one of each kind is enough
			}
			if again := encode(t, c.base, c.module); !bytes.Equal(again, form) {
				t.Error("the same module gave other bytes")
			}
		})
	}
}

func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{7})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

// TestRoundTrip edits a base at random and asks for the result back, read in odd pieces.
func TestRoundTrip(t *testing.T) {
	text := code(3, 40_000)
	rapid.Check(t, func(rt *rapid.T) {
		base := text[:rapid.IntRange(1, len(text)).Draw(rt, "base")]
		module := slices.Clone(base)
		for range rapid.IntRange(0, 8).Draw(rt, "edits") {
			at := rapid.IntRange(0, len(module)-1).Draw(rt, "at")
			switch rapid.IntRange(0, 2).Draw(rt, "edit") {
			case 0:
				module[at]++
			case 1:
				module = slices.Insert(module, at, rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(rt, "new")...)
			case 2:
				module = slices.Delete(module, at, min(len(module)-1, at+5000))
			}
			if len(module) == 0 {
				module = []byte{1}
			}
		}
		kind := rapid.SampledFrom([]byte{formCompressed, formPatch, formDelta}).Draw(rt, "form")
		if kind == formCompressed {
			base = nil
		}
		var at io.ReaderAt
		if base != nil {
			at = bytes.NewReader(base)
		}
		form := encodeForm(t, kind, base, module)
		r, err := NewReader(iotest.HalfReader(bytes.NewReader(form)), int64(len(module)), at, int64(len(base)))
		if err != nil {
			rt.Fatal(err)
		}
		if got, err := io.ReadAll(iotest.OneByteReader(r)); err != nil || !bytes.Equal(got, module) {
			rt.Fatalf("%d bytes came back of %d: %v", len(got), len(module), err)
		}
	})
}

func TestRefusals(t *testing.T) {
	base, module := code(4, 5_000), code(4, 6_000)
	patch, compressed := encode(t, base, module), encode(t, nil, module)
	for name, c := range map[string]struct {
		form, base []byte
		size       int
	}{
		"nothing":                   {nil, nil, len(module)},
		"another format":            {[]byte("\x00asm\x01\x00\x00\x00...."), nil, len(module)},
		"no base for a patch":       {patch, nil, len(module)},
		"a base for compressed":     {compressed, base, len(module)},
		"another base's size":       {patch, base[1:], len(module)},
		"another size":              {patch, base, len(module) - 1},
		"bytes after the end":       {append(slices.Clone(patch), 0), base, len(module)},
		"no size":                   {compressed, nil, 0},
		"more than a module":        {compressed, nil, SizeMax + 1},
		"a piece beyond the base":   {append(append([]byte(magic), formPatch, 1, 3), 0x7f), []byte("abc"), 1},
		"a frame beyond its max":    {append([]byte(magic), formCompressed, 1, 0xff, 0xff, 0xff, 0x7f), nil, 1},
		"a segment of another kind": {append(append([]byte(magic), formDelta, 1, 3), 0, 2, 0), []byte("abc"), 1},
		"a delta without a base":    {append(append([]byte(magic), formDelta, 1, 3), 0, 1, 0), nil, 1},
		"a delta cut at a kind":     {append(append([]byte(magic), formDelta, 1, 3), 0), []byte("abc"), 1},
		"numbers without end":       {append([]byte(magic), bytes.Repeat([]byte{0xff}, 40)...), nil, 1},
	} {
		if got, err := decode(c.form, c.base, c.size); !isForm(err) {
			t.Errorf("%s: got %d bytes and %v", name, len(got), err)
		}
	}
	for n := range len(compressed) {
		if _, err := decode(compressed[:n], nil, len(module)); !isForm(err) {
			t.Fatalf("cut at %d of %d: %v", n, len(compressed), err)
		}
	}
}

func isForm(err error) bool {
	_, ok := errors.AsType[*FormError](err)
	return ok
}

// TestErrorsBelow: what the files say comes through, and an end that is asked for is one.
func TestErrorsBelow(t *testing.T) {
	broken := errors.New("the disk is gone")
	module := code(5, 1000)
	if err := Compress(t.Context(), io.Discard, iotest.ErrReader(broken), 10); !errors.Is(err, broken) {
		t.Errorf("the module's: %v", err)
	}
	if err := Encode(t.Context(), io.Discard, failing{broken}, 10, bytes.NewReader(module), 10); !errors.Is(err, broken) {
		t.Errorf("the base's: %v", err)
	}
	form := encode(t, module, module)
	r, err := NewReader(bytes.NewReader(form), 1000, failing{broken}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, broken) {
		t.Errorf("the base's, decoding: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Compress(ended, io.Discard, bytes.NewReader(module), 1000); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	for _, size := range []int64{0, -1, SizeMax + 1} {
		if Compress(t.Context(), io.Discard, bytes.NewReader(module), size) == nil ||
			Encode(t.Context(), io.Discard, bytes.NewReader(module), size, bytes.NewReader(module), 10) == nil {
			t.Errorf("a size of %d was accepted", size)
		}
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// TestFarPieces: the module is the base's end, beyond what a piece from the same place reaches. What a Reader holds for it is what
// small devices are promised, whatever the sizes.
func TestFarPieces(t *testing.T) {
	base := code(6, SegmentBytes+PieceBytes+1<<20)
	module := base[PieceBytes+1<<20-50_000:]
	kinds := []byte{formPatch, formDelta}
	if testing.Short() {
		kinds = kinds[1:] // each takes seconds under the race detector
	}
	for _, kind := range kinds {
		form := encodeForm(t, kind, base, module)
		if len(form) > 2000 {
			t.Errorf("form %d has %d bytes: its pieces were not found", kind, len(form))
		}
		r, err := NewReader(bytes.NewReader(form), int64(len(module)), bytes.NewReader(base), int64(len(base)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, module) {
			t.Fatalf("form %d: %d of %d bytes: %v", kind, len(got), len(module), err)
		}
		if held := cap(r.room) + cap(r.frame) + cap(r.piece); held > ApplyMemoryBytes {
			t.Errorf("form %d: buffers of %d bytes; %d were promised", kind, held, ApplyMemoryBytes)
		}
	}
}

// TestMarks: text is found where most of it went, and not where a copy makes it ambiguous.
func TestMarks(t *testing.T) {
	text := code(9, 300_000)
	base := append(code(10, 77_777), text...)
	m, err := marksOf(t.Context(), bytes.NewReader(base))
	if err != nil {
		t.Fatal(err)
	}
	if shift, ok := m.shift(text[100_000:], 100_000); !ok || shift != 77_777 {
		t.Errorf("found %d bytes away (%v); want 77777", shift, ok)
	}
	if _, ok := m.shift(noise(300_000), 0); ok {
		t.Error("noise was found")
	}
	if m, err = marksOf(t.Context(), bytes.NewReader(append(bytes.Clone(text), text...))); err != nil {
		t.Fatal(err)
	}
	if shift, ok := m.shift(text, 0); ok && shift != 0 && shift != int64(len(text)) {
		t.Errorf("a text that is there twice was found %d bytes away", shift)
	}
}

// FuzzDecode gives any bytes to the decoder, which must refuse or give exactly what was announced.
func FuzzDecode(f *testing.F) {
	base, module := code(7, 3000), code(7, 3500)
	f.Add(encode(f, base, module), true, uint32(len(module)))
	f.Add(encodeForm(f, formDelta, base, module), true, uint32(len(module)))
	f.Add(encode(f, nil, module), false, uint32(len(module)))
	f.Add(encode(f, nil, module[:1]), false, uint32(1))
	f.Add([]byte(magic+"\x01\x01\x01\x00"), false, uint32(1))
	f.Fuzz(func(t *testing.T, form []byte, patch bool, size uint32) {
		var with []byte
		if patch {
			with = base
		}
		got, err := decode(form, with, int(size%(4<<20)))
		if len(got) > int(size) || err == nil && len(got) != int(size%(4<<20)) {
			t.Fatalf("%d bytes for a form of %d: %v", len(got), size, err)
		}
	})
}
