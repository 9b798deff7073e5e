package artifact

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/blob"
	"github.com/dunlin-edge/dunlin/wire/patch"
)

// versions are two modules that differ in a few bytes.
func versions() (before, after []byte) {
	before = make([]byte, 3_000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range before {
		before[i] = byte(r.Uint32())
	}
	after = slices.Insert(slices.Clone(before), 2_000, []byte("one line more")...)
	return before, after
}

// patches answers as a region does that holds both: a patch if the device holds the base.
func patches(t testing.TB, base, module []byte) func(*wire.ModuleRequest) (wire.ModuleAnswer, []byte) {
	var form, delta, compressed bytes.Buffer
	err := patch.Encode(t.Context(), &form, bytes.NewReader(base), int64(len(base)), bytes.NewReader(module), int64(len(module)))
	if err == nil {
		err = patch.EncodeDelta(t.Context(), &delta, bytes.NewReader(base), int64(len(base)), bytes.NewReader(module), int64(len(module)))
	}
	if err == nil {
		err = patch.Compress(t.Context(), &compressed, bytes.NewReader(module), int64(len(module)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(req *wire.ModuleRequest) (wire.ModuleAnswer, []byte) {
		a := wire.ModuleAnswer{Encoding: wire.EncodingWhole, Size: uint64(len(module))}
		b := module
		switch {
		case req.WholeOnly:
		case slices.Contains(req.Holds, ref(base).Digest) && req.Takes >= wire.EncodingDelta:
			a.Encoding, a.Base, b = wire.EncodingDelta, ref(base).Digest, delta.Bytes()
		case slices.Contains(req.Holds, ref(base).Digest):
			a.Encoding, a.Base, b = wire.EncodingPatch, ref(base).Digest, form.Bytes()
		default:
			a.Encoding, b = wire.EncodingCompressed, compressed.Bytes()
		}
		a.Form, a.FormSize = string(blob.DigestBytes(b)), uint64(len(b))
		return a, b
	}
}

func hold(t fataler, s *blob.Store, content []byte) blob.Digest {
	t.Helper()
	d, _, err := s.Put(bytes.NewReader(content), "")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestFormsResume cuts links and restarts agents within any form, while the base comes and goes.
func TestFormsResume(t *testing.T) {
	root, n := t.TempDir(), 0
	before, after := versions()
	forms := patches(t, before, after)
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := fmt.Sprintf("%s/%d", root, n)
		r := &region{module: after, forms: forms, piece: rapid.SampledFrom([]int{40, 90, 1000, 50_000}).Draw(t, "piece")}
		s := open(t, dir)
		base := hold(t, s, before)
		evict := rapid.IntRange(0, 3).Draw(t, "base goes after try")
		c := newCache(s, r, nil)
		sent := map[string][]uint64{}
		for try := 0; ; try++ {
			if try == evict {
				if err := s.Remove(base); err != nil {
					t.Fatal(err)
				}
			}
			asked := len(r.opened)
			err := c.Fetch(context.Background(), ref(after), nil)
			if len(r.opened) > asked {
				a, _ := forms(&r.asked[len(r.asked)-1])
				sent[a.Form] = append(sent[a.Form], r.opened[len(r.opened)-1])
			}
			if err == nil {
				break
			}
			if isPermanent(err) || try > 1000 {
				t.Fatalf("try %d: %v", try, err)
			}
			if rapid.Bool().Draw(t, "restart") {
				s = open(t, dir)
				c = newCache(s, r, nil)
			}
		}
		check(t, c, after)
		for form, offsets := range sent {
			for i, o := range offsets {
				if o != uint64(i*r.piece) {
					t.Fatalf("form %s was asked for from %v in pieces of %d", form, offsets, r.piece)
				}
			}
		}
	})
}

func TestPatchIsTakenAndNothingIsLeft(t *testing.T) {
	before, after := versions()
	s := open(t, t.TempDir())
	hold(t, s, []byte("something else"))
	base := hold(t, s, before)
	r := &region{module: after, forms: patches(t, before, after), piece: 1 << 20}
	c := newCache(s, r, nil)
	if err := c.Fetch(t.Context(), ref(after), []string{"sha256:not here", string(base)}); err != nil {
		t.Fatal(err)
	}
	check(t, c, after)
	if q := r.asked[0]; q.Holds[0] != string(base) || len(q.Holds) != 2 || q.WholeOnly {
		t.Errorf("asked %+v", q)
	}
	if len(s.Begun()) != 0 || len(s.List()) != 3 || s.Used() != int64(len(before)+len(after)+len("something else")) {
		t.Errorf("%d parts, %d blobs, %d bytes are left", len(s.Begun()), len(s.List()), s.Used())
	}
}

// TestBadFormsEndInAWholeModule: whatever is wrong with a coded form, the module comes.
func TestBadFormsEndInAWholeModule(t *testing.T) {
	before, after := versions()
	good := patches(t, before, after)
	for name, spoil := range map[string]func(a *wire.ModuleAnswer, form []byte) []byte{
		"another module's form": func(a *wire.ModuleAnswer, _ []byte) []byte {
			_, other := patches(t, before, before)(&wire.ModuleRequest{})
			a.Encoding, a.Base = wire.EncodingCompressed, ""
			return other
		},
		"no form at all":         func(_ *wire.ModuleAnswer, _ []byte) []byte { return []byte("nonsense") },
		"another size announced": func(a *wire.ModuleAnswer, f []byte) []byte { a.Size--; return f },
		"cut, and named so":      func(_ *wire.ModuleAnswer, f []byte) []byte { return f[:len(f)-1] },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			hold(t, s, before)
			r := &region{module: after, piece: 1 << 20, forms: func(req *wire.ModuleRequest) (wire.ModuleAnswer, []byte) {
				a, form := good(req)
				if a.Encoding != wire.EncodingWhole {
					form = spoil(&a, form)
					a.Form, a.FormSize = string(blob.DigestBytes(form)), uint64(len(form))
				}
				return a, form
			}}
			c := newCache(s, r, nil)
			if err := c.Fetch(t.Context(), ref(after), nil); err == nil || isPermanent(err) {
				t.Fatalf("a spoilt form: %v", err)
			}
			if err := c.Fetch(t.Context(), ref(after), nil); err != nil || !r.asked[1].WholeOnly {
				t.Fatalf("whole: %v, asked %+v", err, r.asked)
			}
			check(t, c, after)
			if len(s.Begun()) != 0 {
				t.Error("a spoilt form is left")
			}
		})
	}
}

// TestARottenBaseIsFound: the base's file has changed since it was checked.
func TestARottenBaseIsFound(t *testing.T) {
	before, after := versions()
	s := open(t, t.TempDir())
	base := hold(t, s, before)
	if err := os.WriteFile(s.Path(base), append([]byte("rot"), before[3:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &region{module: after, forms: patches(t, before, after), piece: 1 << 20}
	c := newCache(s, r, nil)
	if err := c.Fetch(t.Context(), ref(after), nil); err == nil || !strings.Contains(err.Error(), "check the disk") || s.Has(base) {
		t.Fatalf("got %v; the base is kept: %v", err, s.Has(base))
	}
	if err := c.Fetch(t.Context(), ref(after), nil); err != nil {
		t.Fatal(err)
	}
	check(t, c, after)
}

func TestNonsenseAnswers(t *testing.T) {
	d := ref([]byte("module")).Digest
	for name, a := range map[string]wire.ModuleAnswer{
		"whole under another name": {Encoding: wire.EncodingWhole, Size: 6, Form: ref([]byte("x")).Digest, FormSize: 6},
		"whole in two sizes":       {Encoding: wire.EncodingWhole, Size: 6, Form: d, FormSize: 5},
		"no name":                  {Encoding: wire.EncodingCompressed, Size: 6, Form: "../../etc/passwd", FormSize: 5},
		"a base that is not here":  {Encoding: wire.EncodingPatch, Base: ref([]byte("x")).Digest, Size: 6, Form: ref([]byte("y")).Digest, FormSize: 5},
	} {
		r := &region{forms: func(*wire.ModuleRequest) (wire.ModuleAnswer, []byte) { return a, nil }}
		s := open(t, t.TempDir())
		if err := newCache(s, r, nil).Fetch(t.Context(), ref([]byte("module")), nil); err == nil || len(r.opened) > 0 || s.Used() > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
