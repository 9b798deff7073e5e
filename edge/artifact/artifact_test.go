package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/blob"
)

// region serves one module in pieces: each opening gives at most piece bytes.
type region struct {
	mu      sync.Mutex
	module  []byte
	size    uint64 // announced
	piece   int
	opened  []uint64 // offsets asked for
	asked   []wire.ModuleRequest
	stalled bool
	refusal error
	forms   func(req *wire.ModuleRequest) (wire.ModuleAnswer, []byte) // nil: whole
}

func (r *region) Module(ctx context.Context, req *wire.ModuleRequest) (Transfer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, *req)
	if r.refusal != nil {
		return nil, r.refusal
	}
	t := &transfer{region: r, ctx: ctx, form: r.module, answer: wire.ModuleAnswer{
		Encoding: wire.EncodingWhole, Size: r.size, Form: req.Digest, FormSize: r.size,
	}}
	if r.forms != nil {
		t.answer, t.form = r.forms(req)
	}
	return t, nil
}

type transfer struct {
	io.Reader
	region *region
	ctx    context.Context
	answer wire.ModuleAnswer
	form   []byte
}

func (t *transfer) Answer() wire.ModuleAnswer { return t.answer }
func (t *transfer) Close() error              { return nil }

func (t *transfer) From(offset uint64) error {
	r := t.region
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened = append(r.opened, offset)
	rest := t.form[offset:]
	end := error(io.ErrUnexpectedEOF)
	if len(rest) <= r.piece {
		end = io.EOF
	}
	t.Reader = io.MultiReader(bytes.NewReader(rest[:min(r.piece, len(rest))]), ending{end})
	if r.stalled {
		t.Reader = io.MultiReader(bytes.NewReader(rest[:min(r.piece, len(rest))]), stall{t.ctx})
	}
	return nil
}

type ending struct{ err error }

func (e ending) Read([]byte) (int, error) { return 0, e.err }

type stall struct{ ctx context.Context }

func (s stall) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func ref(b []byte) config.ModuleRef {
	return config.ModuleRef{Kind: config.ModuleDigest, Digest: string(blob.DigestBytes(b))}
}

func newCache(s *blob.Store, r Region, client *http.Client) *Cache {
	return New(s, r, client, slog.New(slog.DiscardHandler))
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func open(t fataler, dir string) *blob.Store {
	t.Helper()
	s, err := blob.Open(dir, blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func isPermanent(err error) bool {
	p, ok := errors.AsType[*permanent](err)
	return ok && p.Permanent()
}

func check(t fataler, c *Cache, module []byte) {
	t.Helper()
	path, ok := c.Path(ref(module).Digest)
	if !ok {
		t.Fatal("the module is not here")
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, module) {
		t.Fatalf("the module's file has %d bytes (%v); want %d", len(got), err, len(module))
	}
}

// TestResume fetches over a link that breaks after every piece, with restarts of the agent in between.
func TestResume(t *testing.T) {
	root := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := fmt.Sprintf("%s/%d", root, n)
		module := rapid.SliceOfN(rapid.Byte(), 0, 4000).Draw(t, "module")
		r := &region{module: module, size: uint64(len(module)), piece: rapid.IntRange(500, 5000).Draw(t, "piece")}
		c := newCache(open(t, dir), r, nil)
		for try := 0; ; try++ {
			err := c.Fetch(context.Background(), ref(module), nil)
			if err == nil {
				break
			}
			if isPermanent(err) || try > 20 {
				t.Fatalf("try %d: %v", try, err)
			}
			if rapid.Bool().Draw(t, "restart") {
				c = newCache(open(t, dir), r, nil)
			}
		}
		check(t, c, module)
		before := len(r.opened)
		if err := c.Fetch(context.Background(), ref(module), nil); err != nil || len(r.opened) != before {
			t.Fatalf("a module that is here was fetched again: %v", err)
		}
	})
}

func TestRegionFaults(t *testing.T) {
	module := []byte("module")
	for name, c := range map[string]struct {
		region    *region
		permanent bool
	}{
		"other content":     {&region{module: []byte("evil!!"), size: 6, piece: 99}, true},
		"too long":          {&region{module: module, size: fleet.ModuleBytesMax + 1, piece: 99}, true},
		"longer than said":  {&region{module: module, size: 3, piece: 99}, false},
		"shorter than said": {&region{module: module, size: 9, piece: 99}, false},
		"not there":         {&region{refusal: errors.New("the region: no such module")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cache := newCache(open(t, t.TempDir()), c.region, nil)
			err := cache.Fetch(t.Context(), ref(module), nil)
			if err == nil || isPermanent(err) != c.permanent {
				t.Fatalf("got %v, permanent %v", err, isPermanent(err))
			}
			if _, here := cache.Path(ref(module).Digest); here {
				t.Fatal("it is in the cache")
			}
			good := &region{module: module, size: 6, piece: 99}
			cache.region = good
			for range 2 { // the first may find out that what was remembered of the other is wrong
				err = cache.Fetch(t.Context(), ref(module), nil)
			}
			if err != nil {
				t.Fatalf("and never again: %v", err)
			}
		})
	}
}

func TestStallIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &region{module: []byte("module"), size: 6, piece: 2, stalled: true}
		begun := time.Now()
		err := newCache(open(t, t.TempDir()), r, nil).Fetch(t.Context(), ref(r.module), nil)
		if err == nil || !strings.Contains(err.Error(), "nothing came") || time.Since(begun) != StallMax {
			t.Fatalf("after %s: %v", time.Since(begun), err)
		}
	})
}

func TestOneDownloadPerDigest(t *testing.T) {
	r := &region{module: []byte("module"), size: 6, piece: 99}
	c := newCache(open(t, t.TempDir()), r, nil)
	var wg sync.WaitGroup
	errs := make(chan error, 20)
	for range cap(errs) {
		wg.Go(func() { errs <- c.Fetch(t.Context(), ref(r.module), nil) })
	}
	wg.Wait()
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if len(r.opened) != 1 {
		t.Fatalf("it was downloaded %d times", len(r.opened))
	}
}

// site serves modules over https.
func site(t *testing.T, serve http.HandlerFunc) (*httptest.Server, func([]byte) config.ModuleRef) {
	s := httptest.NewTLSServer(serve)
	t.Cleanup(s.Close)
	return s, func(b []byte) config.ModuleRef {
		return config.ModuleRef{Kind: config.ModuleURL, URL: s.URL + "/m.wasm", Digest: string(blob.DigestBytes(b))}
	}
}

func TestURL(t *testing.T) {
	module := bytes.Repeat([]byte("wasm"), 2000)
	hits := 0
	s, refTo := site(t, func(w http.ResponseWriter, q *http.Request) {
		hits++
		if hits == 1 { // breaks in the middle
			w.Header().Set("Content-Length", fmt.Sprint(len(module)))
			_, _ = w.Write(module[:5000])
			return
		}
		http.ServeContent(w, q, "m.wasm", time.Time{}, bytes.NewReader(module))
	})
	c := newCache(open(t, t.TempDir()), nil, s.Client())
	if err := c.Fetch(t.Context(), refTo(module), nil); err == nil || isPermanent(err) {
		t.Fatalf("a broken download: %v", err)
	}
	if err := c.Fetch(t.Context(), refTo(module), nil); err != nil {
		t.Fatal(err)
	}
	check(t, c, module)
}

func TestURLFaults(t *testing.T) {
	module := []byte("module")
	for name, c := range map[string]struct {
		serve     http.HandlerFunc
		permanent bool
	}{
		"not found":  {http.NotFound, true},
		"overloaded": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, false},
		"other":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "evil!!") }, true},
		"other, size untold": {func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "evil!!")
		}, true},
		"plain http": {func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, "http://127.0.0.1:1/", http.StatusFound)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, refTo := site(t, c.serve)
			cache := newCache(open(t, t.TempDir()), nil, s.Client())
			if err := cache.Fetch(t.Context(), refTo(module), nil); err == nil || isPermanent(err) != c.permanent {
				t.Fatalf("got %v, permanent %v", err, isPermanent(err))
			}
		})
	}
}

func TestURLOfUntoldSize(t *testing.T) {
	module := []byte("module")
	s, refTo := site(t, func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		_, _ = w.Write(module)
	})
	c := newCache(open(t, t.TempDir()), nil, s.Client())
	if err := c.Fetch(t.Context(), refTo(module), nil); err != nil {
		t.Fatal(err)
	}
	check(t, c, module)
}
