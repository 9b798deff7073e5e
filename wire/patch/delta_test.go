package patch

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// program is code whose calls and addresses stand as a compiler writes them: functions and data that moved by some amount are in
// another place in each of them, and nothing else differs between two programs of the same seed.
func program(seed uint64, n, functions, data int) []byte {
	r := rand.New(rand.NewPCG(seed, 2))
	var out []byte
	for len(out) < n {
		switch r.IntN(6) {
		case 0:
			out = binary.AppendUvarint(append(out, 0x10), uint64(r.IntN(3000)+5000+functions))
		case 1:
			out = binary.AppendUvarint(append(out, 0x42), uint64(r.IntN(4000)*16+3<<20+data))
		case 2:
			out = binary.AppendUvarint(append(out, 0x29, 3), uint64(r.IntN(4000)*16+3<<20+data))
		default:
			for range 2 + r.IntN(12) {
				out = append(out, byte(r.Uint32())|0x80)
			}
		}
	}
	return out
}

// TestWhatMovedIsNotSaid: calls and addresses that all changed cost next to nothing in a delta, and much in a patch.
func TestWhatMovedIsNotSaid(t *testing.T) {
	before, after := program(1, 300_000, 0, 0), program(1, 300_000, 2, 48)
	patch, delta := len(encode(t, before, after)), len(encodeForm(t, formDelta, before, after))
	t.Logf("patch %d bytes, delta %d", patch, delta)
	if delta > 4000 || patch < 8*delta {
		t.Errorf("a delta of %d bytes beside a patch of %d", delta, patch)
	}
	got, err := decode(encodeForm(t, formDelta, before, after), before, len(after))
	if err != nil || !bytes.Equal(got, after) {
		t.Errorf("%d of %d bytes came back: %v", len(got), len(after), err)
	}
}

// TestDeltas: also where recipes are no good, and where segments end.
func TestDeltas(t *testing.T) {
	text := code(11, 200_000)
	whole := bytes.Repeat(text, SegmentBytes/len(text)+1)
	for name, c := range map[string]struct {
		base, module []byte
		most         int // bytes of the form
	}{
		"the same":                  {text, text, 200},
		"a byte in the middle":      {text, slices.Insert(slices.Clone(text), 100_000, 'x'), 300},
		"a part moved":              {text, slices.Concat(text[50_000:], text[:50_000]), 400},
		"a part inserted":           {text, slices.Insert(slices.Clone(text), 1000, noise(5000)...), 5600},
		"of something else":         {noise(200_000), text, 200_000},
		"grown from nearly nothing": {text[:100], text, 200_000},
		"over a segment's end":      {whole, whole[1:], 2000},
	} {
		if testing.Short() && len(c.module) >= SegmentBytes {
			continue // seconds under the race detector
		}
		form := encodeForm(t, formDelta, c.base, c.module)
		if len(form) > c.most {
			t.Errorf("%s: %d bytes became %d; want at most %d", name, len(c.module), len(form), c.most)
		}
		if got, err := decode(form, c.base, len(c.module)); err != nil || !bytes.Equal(got, c.module) {
			t.Errorf("%s: decoded %d of %d bytes: %v", name, len(got), len(c.module), err)
		}
		if again := encodeForm(t, formDelta, c.base, c.module); !bytes.Equal(again, form) {
			t.Errorf("%s: the same module gave other bytes", name)
		}
	}
}

// TestMovedIsItsOwnReverse: whatever the bytes, what one end takes away the other adds.
func TestMovedIsItsOwnReverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var coder, decoder moved
		b := rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{0x10, 0x28, 0x3e, 0x41, 0x42, 0x80, 0xff, 0x00, 0x02}))
		for range rapid.IntRange(1, 4).Draw(t, "runs") {
			base := rapid.SliceOfN(b, 0, 40).Draw(t, "base")
			text := rapid.SliceOfN(b, len(base), len(base)).Draw(t, "text")
			coded := slices.Clone(text)
			coder.code(base, coded)
			if decoder.decode(base, coded); !bytes.Equal(coded, text) {
				t.Fatalf("%x on %x became %x", text, base, coded)
			}
		}
		if coder != decoder {
			t.Fatal("the two ends learnt different things")
		}
	})
}

// TestAlign: runs cover the text in order, stay within the base, and find what is there.
func TestAlign(t *testing.T) {
	text := code(9, 20_000)
	rapid.Check(t, func(rt *rapid.T) {
		base := text[:rapid.IntRange(0, len(text)).Draw(rt, "base")]
		module := slices.Clone(base)
		for range rapid.IntRange(0, 6).Draw(rt, "edits") {
			at := rapid.IntRange(0, len(module)).Draw(rt, "at")
			if rapid.Bool().Draw(rt, "insert") {
				module = slices.Insert(module, at, rapid.SliceOfN(rapid.Byte(), 1, 80).Draw(rt, "new")...)
			} else {
				module = slices.Delete(module, at, min(len(module), at+rapid.IntRange(1, 3000).Draw(rt, "gone")))
			}
		}
		covered, fresh := 0, 0
		for _, r := range align(base, module) {
			if r.from < 0 || r.bytes < 0 || r.fresh < 0 || r.from+r.bytes > len(base) {
				rt.Fatalf("%+v of a base of %d", r, len(base))
			}
			covered, fresh = covered+r.bytes+r.fresh, fresh+r.fresh
		}
		if covered != len(module) || fresh > 6*(80+2*anchorBytes) {
			rt.Fatalf("%d of %d bytes are covered, %d of them fresh", covered, len(module), fresh)
		}
	})
}

// TestBadRecipes: what a hostile region could put into a recipe is refused in words.
func TestBadRecipes(t *testing.T) {
	base := []byte("a base of some bytes")
	numbers := func(n ...int64) []byte { // how many, and per run: place, bytes, fresh
		b := binary.AppendUvarint(nil, uint64(n[0]))
		for i, v := range n[1:] {
			if i%3 == 0 {
				b = binary.AppendVarint(b, v)
			} else {
				b = binary.AppendUvarint(b, uint64(v))
			}
		}
		return b
	}
	for name, c := range map[string]struct {
		head []byte
		bad  bool
	}{
		"good":                      {numbers(2, 0, 4, 1, -2, 3, 0), false},
		"no run":                    {numbers(0), true},
		"nothing":                   {nil, true},
		"before the base":           {numbers(1, -1, 8, 0), true},
		"beyond the base":           {numbers(1, 15, 8, 0), true},
		"more than the segment":     {numbers(1, 0, 9, 0), true},
		"more that is fresh":        {numbers(1, 0, 4, 5), true},
		"less than the segment":     {numbers(1, 0, 4, 3), true},
		"more runs than there are":  {numbers(3, 0, 4, 1, -2, 3, 0), true},
		"bytes after the runs":      {append(numbers(1, 0, 8, 0), 0), true},
		"a place beyond any piece":  {numbers(1, PieceBytes+1, 8, 0), true},
		"a length beyond any piece": {numbers(1, 0, 1<<60, 0), true},
		"a number without end":      {bytes.Repeat([]byte{0xff}, 12), true},
		"too many runs":             {append(numbers(1, 0, 8, 0), make([]byte, RunsBytesMax)...), true},
	} {
		recipe, err := zip(append(slices.Clone(c.head), make([]byte, 8)...), zstd.SpeedFastest)
		if err != nil {
			t.Fatal(err)
		}
		form := append([]byte(magic), formDelta, 8, byte(len(base)), 0, kindRecipe, byte(len(recipe)))
		if got, err := decode(append(form, recipe...), base, 8); isForm(err) != c.bad || (err != nil) != c.bad {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
