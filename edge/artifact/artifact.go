// Package artifact brings modules to a device: from its region, over the link, or from an https URL.
//
// The one idea: a module is named by its digest, so it does not matter where it came from, in how many pieces, or coded against
// what; the blob store checks the whole before anybody can use it.
//
// Invariants:
//   - One download per digest at a time; who asks meanwhile waits for it.
//   - What was received stays on disk over a lost link or a restart, and the next try goes on from there. A coded form is kept
//     under its own digest, so an offset in it can never be taken for one in another form.
//   - A coded form that does not give the module is dropped, and the module is asked for whole.
//   - A download that stalls is given up, and nothing longer than fleet.ModuleBytesMax is received.
//   - There are no files other than those of the blob store.
//
// Threading: a Cache is safe for concurrent use.
package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/blob"
)

// Limits of a download.
const (
	StallMax     = time.Minute // without one byte
	RedirectsMax = 5
)

// Region offers modules; *session.Session is behind it.
type Region interface {
	Module(ctx context.Context, req *wire.ModuleRequest) (Transfer, error)
}

// Transfer is one module that was offered, in one form. Close gives up what was not read.
type Transfer interface {
	Answer() wire.ModuleAnswer
	// From asks for the form's bytes from an offset on; Read gives them.
	From(offset uint64) error
	io.ReadCloser
}

// Cache is a device's modules.
type Cache struct {
	store  *blob.Store
	region Region
	http   *http.Client
	log    *slog.Logger

	mu        sync.Mutex
	flights   map[string]chan struct{} // closed when the download ends
	sizes     map[string]int64         // announced, of downloads from URLs that did not end well
	wholeOnly map[string]bool          // modules whose coded form has failed
}

// New returns a cache over a store, which others may share. client nil is one with sensible timeouts.
func New(store *blob.Store, region Region, client *http.Client, log *slog.Logger) *Cache {
	if client == nil {
		client = &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 2,
			TLSHandshakeTimeout: 15 * time.Second, ResponseHeaderTimeout: StallMax, IdleConnTimeout: 30 * time.Second,
		}}
	}
	c := *client
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		switch {
		case req.URL.Scheme != "https":
			return fmt.Errorf("it redirects to %s, which is not https", req.URL.Redacted())
		case len(via) > RedirectsMax:
			return fmt.Errorf("it redirects more than %d times", RedirectsMax)
		}
		return nil
	}
	return &Cache{
		store: store, region: region, http: &c, log: log,
		flights: map[string]chan struct{}{}, sizes: map[string]int64{}, wholeOnly: map[string]bool{},
	}
}

// Path is a module's file, if it is here. Whoever uses it must have pinned it.
func (c *Cache) Path(digest string) (string, bool) {
	d, err := blob.Parse(digest)
	if err != nil || !c.store.Has(d) {
		return "", false
	}
	return c.store.Path(d), true
}

// Digests lists what is here.
func (c *Cache) Digests() []string {
	var out []string
	for _, info := range c.store.List() {
		out = append(out, string(info.Digest))
	}
	return out
}

// Pin replaces the set of modules that are not evicted.
func (c *Cache) Pin(digests []string) {
	set := make([]blob.Digest, len(digests))
	for i, d := range digests {
		set[i] = blob.Digest(d)
	}
	c.store.Pin(set)
}

// Fetch brings a module here; nil if it is here already. bases are modules that it is likely to resemble, likeliest first.
func (c *Cache) Fetch(ctx context.Context, ref config.ModuleRef, bases []string) error {
	d, err := blob.Parse(ref.Digest)
	if err != nil {
		return &permanent{err}
	}
	for !c.store.Has(d) {
		c.mu.Lock()
		flight := c.flights[ref.Digest]
		if flight == nil {
			flight = make(chan struct{})
			c.flights[ref.Digest] = flight
			c.mu.Unlock()
			return c.fly(ctx, d, ref, bases, flight)
		}
		c.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (c *Cache) fly(ctx context.Context, d blob.Digest, ref config.ModuleRef, bases []string, flight chan struct{}) error {
	defer func() {
		c.mu.Lock()
		delete(c.flights, ref.Digest)
		c.mu.Unlock()
		close(flight)
	}()
	if c.store.Has(d) {
		return nil // it came between the look and the flight
	}
	if ref.Kind == config.ModuleURL {
		return c.download(ctx, d, func(ctx context.Context, offset int64) (source, error) { return c.openURL(ctx, ref.URL, offset) })
	}
	return c.fromRegion(ctx, d, bases)
}

// permanent is an error that another try would repeat.
type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }

// Permanent is true.
func (p *permanent) Permanent() bool { return true }

// judge marks a content that is not what its name says. One that was put together from several tries may have been damaged by a
// power cut in between, so only a whole one is judged.
func judge(err error, whole bool) error {
	if _, wrong := errors.AsType[*blob.MismatchError](err); wrong && whole {
		return &permanent{err}
	}
	return err
}

func tooLong(size int64) error {
	return &permanent{fmt.Errorf("it has %d bytes; a module may have at most %d", size, fleet.ModuleBytesMax)}
}
