package modules

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/blob"
	"github.com/dunlin-edge/dunlin/wire/patch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// padded is a module that runs, with n bytes of a custom section at its end; flip changes some of them.
func padded(n, flip int) []byte {
	b := guests.TinyHello(0)
	body := append([]byte{3, 'p', 'a', 'd'}, make([]byte, n)...)
	for i := range n {
		body[4+i] = byte(i * i >> 3)
	}
	for i := range flip {
		body[4+i*97%n]++
	}
	b = append(b, 0)
	for v := len(body); ; v >>= 7 {
		if v < 0x80 {
			b = append(b, byte(v))
			break
		}
		b = append(b, byte(v)|0x80)
	}
	return append(b, body...)
}

func push(t *testing.T, s *Store, modules ...[]byte) (digests []string) {
	t.Helper()
	for _, m := range modules {
		if _, err := s.Put(t.Context(), digest(m), "m.wasm", int64(len(m)), bytes.NewReader(m)); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest(m))
	}
	return digests
}

func openForms(t *testing.T, dir string, s *Store) *Forms {
	t.Helper()
	f, err := OpenForms(dir, s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// ask takes a form and gives back what a device makes of it.
func ask(t *testing.T, f *Forms, req *wire.ModuleRequest, base []byte) (wire.ModuleAnswer, []byte) {
	t.Helper()
	a, r, err := f.Form(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	form, err := io.ReadAll(r)
	if err != nil || r.Close() != nil || uint64(len(form)) != a.FormSize || string(blob.DigestBytes(form)) != a.Form {
		t.Fatalf("%+v has %d bytes: %v", a, len(form), err)
	}
	if a.Encoding == wire.EncodingWhole {
		return a, form
	}
	var at io.ReaderAt
	if a.Base != "" {
		at = bytes.NewReader(base)
	} else {
		base = nil
	}
	p, err := patch.NewReader(bytes.NewReader(form), int64(a.Size), at, int64(len(base)))
	if err != nil {
		t.Fatal(err)
	}
	module, err := io.ReadAll(p)
	if err != nil {
		t.Fatal(err)
	}
	return a, module
}

func TestTheLeastIsSent(t *testing.T) {
	s, _ := newStore(t, 0)
	before, after, small := padded(100_000, 0), padded(100_000, 5), guests.TinyHello(0)
	d := push(t, s, before, after, small)
	f := openForms(t, t.TempDir(), s)
	defer f.Close()
	for name, c := range map[string]struct {
		req  wire.ModuleRequest
		want wire.Encoding
	}{
		"nothing held":               {wire.ModuleRequest{Digest: d[1]}, wire.EncodingCompressed},
		"the version before held":    {wire.ModuleRequest{Digest: d[1], Holds: []string{"sha256:unknown", d[0]}}, wire.EncodingPatch},
		"the same, and deltas taken": {wire.ModuleRequest{Digest: d[1], Holds: []string{d[0]}, Takes: wire.EncodingDelta}, wire.EncodingDelta},
		"itself held":                {wire.ModuleRequest{Digest: d[1], Holds: []string{d[1]}}, wire.EncodingCompressed},
		"only whole is taken":        {wire.ModuleRequest{Digest: d[1], Holds: []string{d[0]}, WholeOnly: true}, wire.EncodingWhole},
		"small":                      {wire.ModuleRequest{Digest: d[2], Holds: []string{d[0]}}, wire.EncodingWhole},
		"nearly here whole":          {wire.ModuleRequest{Digest: d[1], Begun: []wire.ModuleBegun{{Form: d[1], Bytes: 100_000}}}, wire.EncodingWhole},
		"more begun than there is": {wire.ModuleRequest{Digest: d[1], Begun: []wire.ModuleBegun{{Form: d[1], Bytes: 1 << 40}}},
			wire.EncodingCompressed},
	} {
		a, module := ask(t, f, &c.req, before)
		if a.Encoding != c.want || digest(module) != c.req.Digest || a.Size != uint64(len(module)) {
			t.Errorf("%s: %+v", name, a)
		}
		if a.Base != "" && (a.FormSize > 1000 || a.Base != d[0]) {
			t.Errorf("%s: a patch of %d bytes on %s", name, a.FormSize, a.Base)
		}
	}
	if _, _, err := f.Form(t.Context(), &wire.ModuleRequest{Digest: "sha256:no"}); err == nil {
		t.Error("a module that is not there was offered")
	}
	sizes, compressed, err := f.Sizes(t.Context(), d[1], d[:1])
	if err != nil || len(sizes) != 1 || sizes[0] > 1000 || compressed < sizes[0] {
		t.Errorf("sizes %d and %d: %v", sizes, compressed, err)
	}
}

// TestMadeOnce: many devices ask at the same time, the server is restarted, the cache's files vanish; the bytes stay the same.
func TestMadeOnce(t *testing.T) {
	s, _ := newStore(t, 0)
	before, after := padded(100_000, 0), padded(100_000, 5)
	d := push(t, s, before, after)
	dir := t.TempDir()
	f := openForms(t, dir, s)
	req := &wire.ModuleRequest{Digest: d[1], Holds: []string{d[0]}}
	var wg sync.WaitGroup
	answers := make([]wire.ModuleAnswer, 20)
	for i := range answers {
		wg.Go(func() { answers[i], _ = ask(t, f, req, before) })
	}
	wg.Wait()
	if n := len(slices.Compact(answers)); n != 1 || answers[0].Encoding != wire.EncodingPatch {
		t.Errorf("%d different answers, the first %+v", n, answers[0])
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	forms := func() int { return len(f.blobs.List()) }
	if forms() != 1 {
		t.Errorf("%d forms were made; want the patch alone", forms())
	}

	f = openForms(t, dir, s)
	if _, here := f.index.get(pair{module: d[1], base: d[0]}); !here {
		t.Error("after a restart the form is not known")
	}
	path := f.index.path(pair{module: d[1], base: d[0]})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, spoil := range []func() error{
		func() error { return os.Remove(f.blobs.Path(blob.Digest(answers[0].Form))) },
		func() error { return os.WriteFile(path, []byte("{"), 0o600) },
		func() error { return os.WriteFile(filepath.Join(dir, "index", "stray"), []byte("{}"), 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		f = openForms(t, dir, s)
		if again, _ := ask(t, f, req, before); again != answers[0] {
			t.Errorf("made again it is %+v, not %+v", again, answers[0])
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAFormThatTakesLong: the device gets what there is, and those who ask later the form.
func TestAFormThatTakesLong(t *testing.T) {
	s, _ := newStore(t, 0)
	before, after := padded(100_000, 0), padded(100_000, 5)
	d := push(t, s, before, after)
	synctest.Test(t, func(t *testing.T) {
		f := openForms(t, t.TempDir(), s)
		f.turn <- struct{}{} // somebody else's form is being made
		begun := time.Now()
		req := &wire.ModuleRequest{Digest: d[1], Holds: []string{d[0]}}
		if a, _ := ask(t, f, req, before); a.Encoding != wire.EncodingWhole || time.Since(begun) != FormWaitMax {
			t.Errorf("after %s: %+v", time.Since(begun), a)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, r, err := f.Form(ctx, req); err != nil || r.Close() != nil {
			t.Errorf("a device that left: %v", err)
		}
		<-f.turn
		if a, _ := ask(t, f, req, before); a.Encoding != wire.EncodingPatch {
			t.Errorf("later: %+v", a)
		}
		f.turn <- struct{}{}
		f.start(pair{module: d[0]})
		if err := f.Close(); err != nil { // returns while one waits for its turn
			t.Error(err)
		}
		if a, _ := ask(t, f, &wire.ModuleRequest{Digest: d[0]}, nil); a.Encoding != wire.EncodingWhole {
			t.Errorf("from a server that stops: %+v", a)
		}
	})
}
