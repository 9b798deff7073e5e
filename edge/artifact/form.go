package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/blob"
	"github.com/dunlin-edge/dunlin/wire/patch"
)

// fromRegion asks the region for a module and takes it in the form that is offered.
func (c *Cache) fromRegion(ctx context.Context, d blob.Digest, bases []string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t, err := c.region.Module(ctx, c.request(d, bases))
	if err != nil {
		return explain(ctx, err)
	}
	begun, answer := time.Now(), t.Answer()
	came, err := c.take(ctx, d, t, cancel)
	err = errors.Join(explain(ctx, err), t.Close())
	if err != nil {
		return err
	}
	c.setWholeOnly(d, false)
	c.log.Info("module fetched", "digest", d.Short(), "bytes", answer.Size, "form", answer.Encoding.String(), "form_bytes", answer.FormSize,
		"came_now", came, "took", time.Since(begun).Round(time.Millisecond))
	return nil
}

// request says what is here that could save bytes.
func (c *Cache) request(d blob.Digest, bases []string) *wire.ModuleRequest {
	req := &wire.ModuleRequest{Digest: string(d), Takes: wire.EncodingDelta}
	c.mu.Lock()
	req.WholeOnly = c.wholeOnly[string(d)]
	c.mu.Unlock()
	hold := func(b string) {
		if len(req.Holds) < wire.ModuleHoldsMax && !slices.Contains(req.Holds, b) {
			req.Holds = append(req.Holds, b)
		}
	}
	if !req.WholeOnly {
		for _, b := range bases {
			if c.store.Has(blob.Digest(b)) {
				hold(b)
			}
		}
		for _, info := range slices.Backward(c.store.List()) { // used last first
			hold(string(info.Digest))
		}
	}
	for _, info := range c.store.Begun() {
		if len(req.Begun) < wire.ModuleBegunMax {
			req.Begun = append(req.Begun, wire.ModuleBegun{Form: string(info.Digest), Bytes: uint64(info.Size)})
		}
	}
	return req
}

func (c *Cache) setWholeOnly(d blob.Digest, whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if whole {
		c.wholeOnly[string(d)] = true
	} else {
		delete(c.wholeOnly, string(d))
	}
}

// take receives the form and makes the module of it. It returns how many bytes came.
func (c *Cache) take(ctx context.Context, d blob.Digest, t Transfer, cancel context.CancelCauseFunc) (came int64, err error) {
	a := t.Answer()
	if err := checkAnswer(d, &a); err != nil {
		return 0, err
	}
	var base blob.Reader // open from the start, so that it is not evicted meanwhile
	var baseSize int64
	if a.Encoding == wire.EncodingPatch || a.Encoding == wire.EncodingDelta {
		if base, baseSize, err = c.store.Open(blob.Digest(a.Base)); err != nil {
			return 0, fmt.Errorf("the region offers a patch: %w", err)
		}
		defer func() { err = errors.Join(err, base.Close()) }()
	}
	p, err := c.store.Begin(blob.Digest(a.Form), int64(a.FormSize))
	if errors.Is(err, fs.ErrExist) && a.Encoding == wire.EncodingWhole {
		return 0, nil // it came by another way
	}
	if err != nil {
		return 0, err
	}
	had := p.Offset()
	err = receive(p, t, cancel)
	came = p.Offset() - had
	switch {
	case err != nil:
		if wrong, ok := errors.AsType[*blob.SizeError](err); ok && wrong.Got > wrong.Want {
			return came, errors.Join(err, p.Abort()) // more than was announced: nothing about it can be believed
		}
		return came, errors.Join(explain(ctx, err), p.Close())
	case a.Encoding == wire.EncodingWhole:
		return came, judge(p.Commit(), had == 0)
	}
	return came, c.decode(d, p, &a, base, baseSize)
}

// checkAnswer refuses an answer that no honest region gives.
func checkAnswer(d blob.Digest, a *wire.ModuleAnswer) error {
	if a.Size > fleet.ModuleBytesMax || a.FormSize > fleet.ModuleBytesMax {
		return tooLong(int64(min(max(a.Size, a.FormSize), 1<<62)))
	}
	if _, err := blob.Parse(a.Form); err != nil {
		return fmt.Errorf("the region offers a form without a name: %w", err)
	}
	if whole := a.Encoding == wire.EncodingWhole; whole && (a.Form != string(d) || a.FormSize != a.Size) {
		return fmt.Errorf("the region offers module %s whole, and names it %s with %d of %d bytes", d, a.Form, a.FormSize, a.Size)
	}
	return nil
}

// receive asks for what is missing and writes it to the partial.
func receive(p *blob.Partial, t Transfer, cancel context.CancelCauseFunc) error {
	if p.Offset() == p.Size() && p.Size() > 0 {
		return nil
	}
	if err := t.From(uint64(p.Offset())); err != nil {
		return err
	}
	_, err := io.Copy(p, watch(t, cancel))
	return err
}

// decode makes the module of its coded form, which is gone afterwards. When that fails for another reason than a full disk,
// the fault is in the form or in the base, and the next try asks for the module whole.
func (c *Cache) decode(d blob.Digest, p *blob.Partial, a *wire.ModuleAnswer, base blob.Reader, baseSize int64) error {
	coded, err := p.Check()
	if err != nil {
		if _, short := errors.AsType[*blob.SizeError](err); !short {
			c.setWholeOnly(d, true)
		}
		return err
	}
	var at io.ReaderAt
	if base != nil {
		at = base
	}
	r, err := patch.NewReader(coded, int64(a.Size), at, baseSize)
	if err == nil {
		_, _, err = c.store.Put(r, d)
	}
	_, bad := errors.AsType[*patch.FormError](err)
	_, wrong := errors.AsType[*blob.MismatchError](err)
	if !bad && !wrong {
		if err != nil { // no room, or the disk failed: the form is good, and here
			return errors.Join(err, p.Close())
		}
		return p.Abort()
	}
	c.setWholeOnly(d, true)
	err = errors.Join(fmt.Errorf("its %s form does not give it: %w", a.Encoding, err), p.Abort())
	if base != nil {
		// A base that has rotted on disk must not spoil the next patch too; it is fetched again when it is needed.
		err = errors.Join(err, c.store.Verify(blob.Digest(a.Base)))
	}
	return err
}
