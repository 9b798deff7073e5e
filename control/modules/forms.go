package modules

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/blob"
	"github.com/dunlin-edge/dunlin/wire/patch"
)

// Limits of the coded forms of one server.
const (
	FormsBytesMax = 2 << 30         // on disk; those used longest ago go first, and are made again when they are wanted
	FormsMax      = 10_000          // remembered
	FormsWaiting  = 64              // that are being made or wait for it; beyond, devices get what there is
	FormWaitMax   = 8 * time.Second // that a device waits for a form; then it gets the best there is
	// WholeBytesMax is what is not worth coding: about a dozen packets.
	WholeBytesMax = 16 << 10
	// GoodPatch is how many times smaller than what else would be sent a patch is when the compressed form is not even made.
	GoodPatch = 8
	// SlowPatchBytes is the size of a module whose patch may take longer than FormWaitMax (5 to 10 MB a second are done), so
	// that the compressed form is made first.
	SlowPatchBytes = 32 << 20
)

// Forms makes the coded forms in which modules go to devices, once each, and keeps them.
//
// The one idea: a form is a function of two modules, so it may be dropped at any time and is the same when it is made again; a
// cache, and no part of the region's state.
//
// One form is made at a time, because a fleet that is updated asks for one form a thousand times, and what is left of the
// server's cores belongs to others. Who waits for a form waits at most FormWaitMax.
//
// Threading: safe for concurrent use. It starts one goroutine per form being made; Close waits for them.
type Forms struct {
	source *Store
	blobs  *blob.Store
	index  *index
	log    *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	turn   chan struct{} // whose holder makes a form

	mu      sync.Mutex
	flights map[pair]chan struct{} // closed when the form is made, or cannot be
}

// pair names a form: the module, and the base of a patch or "". A delta is a patch for devices that understand it.
type pair struct {
	module, base string
	delta        bool
}

// made is a form on disk.
type made struct {
	Form  string // digest
	Bytes int64
}

// OpenForms opens the cache in a folder, which it makes if need be.
func OpenForms(dir string, source *Store, log *slog.Logger) (*Forms, error) {
	blobs, err := blob.Open(dir, blob.Options{MaxBytes: FormsBytesMax})
	if err != nil {
		return nil, err
	}
	f := &Forms{source: source, blobs: blobs, log: log, turn: make(chan struct{}, 1), flights: map[pair]chan struct{}{}}
	if f.index, err = openIndex(dir, blobs); err != nil {
		return nil, err
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f, nil
}

// Close gives up what is being made and waits for its end.
func (f *Forms) Close() error {
	f.cancel()
	f.wg.Wait()
	return nil
}

// offer is a way to send a module.
type offer struct {
	answer wire.ModuleAnswer
	pair   pair // of a coded form
	left   int64
}

// Form says in which form a device is sent a module, and opens it. It is the one of which the least is missing on the device,
// among those that are ready within FormWaitMax. The error is for the device.
func (f *Forms) Form(ctx context.Context, req *wire.ModuleRequest) (wire.ModuleAnswer, io.ReadSeekCloser, error) {
	whole, size, err := f.source.Open(req.Digest)
	if err != nil {
		return wire.ModuleAnswer{}, nil, err
	}
	best := offer{left: size - begun(req, req.Digest, size), answer: wire.ModuleAnswer{
		Encoding: wire.EncodingWhole, Size: uint64(size), Form: req.Digest, FormSize: uint64(size),
	}}
	if !req.WholeOnly && best.left > WholeBytesMax {
		best = f.best(ctx, req, best, size)
	}
	if best.answer.Encoding == wire.EncodingWhole {
		return best.answer, whole, nil
	}
	r, _, err := f.blobs.Open(blob.Digest(best.answer.Form))
	if err != nil { // evicted in between, or removed by hand: the module itself is always there
		f.log.Warn("a coded form has gone from the disk; the module is sent whole", "module", req.Digest, "error", err)
		best.answer = wire.ModuleAnswer{Encoding: wire.EncodingWhole, Size: uint64(size), Form: req.Digest, FormSize: uint64(size)}
		return best.answer, whole, nil
	}
	return best.answer, r, whole.Close()
}

// best waits for the forms that are worth a thought, one after the other, and gives the one of which the least is missing. A
// patch that does what patches are for ends the wait: nobody needs the module compressed then.
func (f *Forms) best(ctx context.Context, req *wire.ModuleRequest, best offer, size int64) offer {
	ctx, cancel := context.WithTimeout(ctx, FormWaitMax)
	defer cancel()
	whole := best.left
	for _, p := range f.pairs(req, size) {
		// What is not ready in time is finished all the same, for those who ask later.
		select {
		case <-f.start(p):
		case <-ctx.Done():
		}
		if o, ok := f.offer(req, p, size); ok && o.left < best.left {
			best = o
		}
		if p.base != "" && best.left <= whole/GoodPatch {
			break
		}
	}
	return best
}

// pairs are a patch of the likeliest base that the region holds, and the compressed form. What can be ready in time comes first.
func (f *Forms) pairs(req *wire.ModuleRequest, size int64) []pair {
	pairs := []pair{{module: req.Digest}}
	for _, base := range req.Holds {
		if base == req.Digest || !f.source.Has(base) {
			continue
		}
		pairs = append(pairs, pair{req.Digest, base, req.Takes >= wire.EncodingDelta})
		if size <= SlowPatchBytes {
			slices.Reverse(pairs)
		}
		return pairs
	}
	return pairs
}

func (f *Forms) offer(req *wire.ModuleRequest, p pair, size int64) (offer, bool) {
	m, ok := f.index.get(p)
	if !ok {
		return offer{}, false
	}
	a := wire.ModuleAnswer{Encoding: wire.EncodingCompressed, Base: p.base, Size: uint64(size), Form: m.Form, FormSize: uint64(m.Bytes)}
	switch {
	case p.delta:
		a.Encoding = wire.EncodingDelta
	case p.base != "":
		a.Encoding = wire.EncodingPatch
	}
	return offer{a, p, m.Bytes - begun(req, m.Form, m.Bytes)}, true
}

// begun is how much of a form the device has.
func begun(req *wire.ModuleRequest, form string, size int64) int64 {
	for _, b := range req.Begun {
		if b.Form == form && b.Bytes <= uint64(size) {
			return int64(b.Bytes)
		}
	}
	return 0
}

var already = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// start makes a form unless it is here, is being made, or too many wait. The channel is closed when there is nothing to wait for.
func (f *Forms) start(p pair) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if flight := f.flights[p]; flight != nil {
		return flight
	}
	if _, here := f.index.get(p); here || len(f.flights) >= FormsWaiting || f.ctx.Err() != nil {
		return already
	}
	flight := make(chan struct{})
	f.flights[p] = flight
	f.wg.Go(func() {
		defer func() {
			f.mu.Lock()
			delete(f.flights, p)
			f.mu.Unlock()
			close(flight)
		}()
		select {
		case f.turn <- struct{}{}:
			defer func() { <-f.turn }()
		case <-f.ctx.Done():
			return
		}
		if err := f.make(p); err != nil && f.ctx.Err() == nil {
			f.log.Warn("a module's coded form could not be made; devices get it in another", "module", p.module, "base", p.base, "error", err)
		}
	})
	return flight
}

// make makes a form and keeps it.
func (f *Forms) make(p pair) error {
	begun := time.Now()
	module, size, err := f.source.Open(p.module)
	if err != nil {
		return err
	}
	defer module.Close()
	r, w := io.Pipe()
	f.wg.Go(func() { w.CloseWithError(f.encode(w, p, module, size)) })
	d, n, err := f.blobs.Put(r, "")
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	f.log.Info("module coded", "module", blob.Digest(p.module).Short(), "base", blob.Digest(p.base).Short(), "bytes", size, "form_bytes", n,
		"took", time.Since(begun).Round(time.Millisecond))
	return f.index.put(p, made{Form: string(d), Bytes: n})
}

func (f *Forms) encode(w io.Writer, p pair, module io.Reader, size int64) error {
	if p.base == "" {
		return patch.Compress(f.ctx, w, module, size)
	}
	base, baseSize, err := f.source.Blobs.Open(blob.Digest(p.base))
	if err != nil {
		return err
	}
	encode := patch.Encode
	if p.delta {
		encode = patch.EncodeDelta
	}
	return errors.Join(encode(f.ctx, w, base, baseSize, module, size), base.Close())
}

// Sizes makes the forms of a module for devices that hold each of the bases, and tells their sizes in bytes: for the bases, in
// their order, and compressed. It is for people who plan, so it takes its time within ctx.
func (f *Forms) Sizes(ctx context.Context, module string, bases []string) (patches []int64, compressed int64, err error) {
	pairs := []pair{{module: module}}
	for _, b := range bases {
		pairs = append(pairs, pair{module, b, true})
	}
	sizes := make([]int64, len(pairs))
	for i, p := range pairs {
		select {
		case <-f.start(p):
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
		m, ok := f.index.get(p)
		if !ok {
			return nil, 0, fmt.Errorf("the form of module %s could not be made; the server's log says why", p.module)
		}
		sizes[i] = m.Bytes
	}
	return slices.Clip(sizes[1:]), sizes[0], nil
}
