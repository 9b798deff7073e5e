package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/blob"
)

// source is an open download. size is of the whole; offset is where body begins, which may be earlier than was asked.
type source struct {
	body   io.ReadCloser
	size   int64 // -1: unknown
	offset int64
}

type opener func(ctx context.Context, offset int64) (source, error)

// download receives what the store lacks of a blob.
func (c *Cache) download(ctx context.Context, d blob.Digest, open opener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p, src, err := c.begin(ctx, d, open)
	if err != nil || p == nil {
		return err
	}
	whole := p.Offset() == 0
	if src.body != nil {
		_, err = io.Copy(p, watch(src.body, cancel))
		err = errors.Join(explain(ctx, err), src.body.Close())
	}
	if err == nil {
		err = p.Commit()
	}
	size, wrongSize := errors.AsType[*blob.SizeError](err)
	switch {
	case err == nil, wrongSize && size.Got > size.Want: // more than was announced: nothing about it can be believed
		c.forgetSize(d)
		return errors.Join(err, p.Abort())
	}
	return errors.Join(judge(err, whole), p.Close())
}

func (c *Cache) forgetSize(d blob.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sizes, string(d))
}

// begin opens the source where the store's part ends. The store wants the size first: it is remembered from an earlier try, or
// asked for by opening the source at its beginning. A nil Partial with a nil error: the blob is here already.
func (c *Cache) begin(ctx context.Context, d blob.Digest, open opener) (*blob.Partial, source, error) {
	c.mu.Lock()
	size, known := c.sizes[string(d)]
	c.mu.Unlock()
	src := source{}
	if !known {
		var err error
		if src, err = open(ctx, 0); err != nil {
			return nil, src, err
		}
		if size = src.size; size < 0 {
			return nil, source{}, c.put(ctx, d, src)
		}
	}
	if size > fleet.ModuleBytesMax {
		return nil, source{}, errors.Join(tooLong(size), closeBody(src))
	}
	p, err := c.store.Begin(d, size)
	if err != nil {
		return nil, source{}, errors.Join(err, closeBody(src))
	}
	c.mu.Lock()
	c.sizes[string(d)] = size
	c.mu.Unlock()
	if src.body != nil && p.Offset() == 0 {
		return p, src, nil
	}
	if err := closeBody(src); err != nil {
		return nil, source{}, errors.Join(err, p.Close())
	}
	if p.Offset() == size {
		return p, source{}, nil // all is here and was not committed
	}
	return c.resume(ctx, p, open)
}

// resume opens the source at the Partial's end. A source whose size has changed, or that can only begin at its beginning, makes
// the part on disk worthless.
func (c *Cache) resume(ctx context.Context, p *blob.Partial, open opener) (*blob.Partial, source, error) {
	src, err := open(ctx, p.Offset())
	if err != nil {
		return nil, source{}, errors.Join(err, p.Close())
	}
	if src.offset == p.Offset() && src.size == p.Size() {
		return p, src, nil
	}
	c.forgetSize(p.Digest())
	return nil, source{}, errors.Join(errors.New("the source changed or cannot resume; the next try begins anew"), closeBody(src), p.Abort())
}

// put receives a blob whose size nobody tells. It cannot be resumed.
func (c *Cache) put(ctx context.Context, d blob.Digest, src source) error {
	stall, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(stall, func() { src.body.Close() })() //nolint:errcheck // wakes the reader
	limited := &io.LimitedReader{R: watch(src.body, cancel), N: fleet.ModuleBytesMax + 1}
	_, _, err := c.store.Put(limited, d)
	if limited.N == 0 {
		return tooLong(fleet.ModuleBytesMax + 1)
	}
	return errors.Join(judge(explain(stall, err), true), src.body.Close())
}

func closeBody(src source) error {
	if src.body == nil {
		return nil
	}
	return src.body.Close()
}

// explain prefers the reason for giving up to what it looked like from below.
func explain(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// watched is a reader that gives up when nothing comes for StallMax.
type watched struct {
	r     io.Reader
	timer *time.Timer
}

func watch(r io.Reader, cancel context.CancelCauseFunc) io.Reader {
	return &watched{r, time.AfterFunc(StallMax, func() {
		cancel(fmt.Errorf("nothing came for %s", StallMax))
	})}
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil {
		w.timer.Stop()
	} else {
		w.timer.Reset(StallMax)
	}
	return n, err
}

func (c *Cache) openURL(ctx context.Context, url string, offset int64) (source, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return source{}, &permanent{err}
	}
	// Without this a compressed answer would have another size than the module.
	req.Header.Set("Accept-Encoding", "identity")
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	res, err := c.http.Do(req)
	if err != nil {
		return source{}, err
	}
	src := source{body: res.Body, size: res.ContentLength}
	switch {
	case res.StatusCode == http.StatusOK:
		return src, nil
	case res.StatusCode == http.StatusPartialContent && offset > 0:
		src.offset, src.size = parseRange(res.Header.Get("Content-Range"))
		return src, nil
	}
	err = fmt.Errorf("%s answered %s", req.URL.Redacted(), res.Status)
	if retryable := res.StatusCode >= 500 || res.StatusCode == 408 || res.StatusCode == 425 || res.StatusCode == 429; !retryable {
		err = &permanent{err}
	}
	return source{}, errors.Join(err, res.Body.Close())
}

// parseRange reads "bytes FIRST-LAST/SIZE"; -1 for what it does not say.
func parseRange(s string) (first, size int64) {
	span, total, _ := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	from, _, _ := strings.Cut(span, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if err != nil {
		first = -1
	}
	if size, err = strconv.ParseInt(total, 10, 64); err != nil {
		size = -1
	}
	return first, size
}
