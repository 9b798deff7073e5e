package tasklog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// FollowInterval is how often a following Reader looks for more. Polling was chosen over inotify: it needs no descriptor per
// stream, works on every system and file system, and this is seen by people only.
const FollowInterval = 200 * time.Millisecond

// ReadOptions say where a Reader begins and when it ends. Without any it reads all there is, then ends.
type ReadOptions struct {
	Offset    int64           // bytes from the beginning of what is kept, or back from the end
	FromEnd   bool            // Offset counts back from the end
	TailLines int             // begin this many lines before the end (at most TailBytesMax back); goes before Offset
	Follow    bool            // at the end, wait for more instead of io.EOF
	Done      <-chan struct{} // closed when nothing more will be written: a following Reader then reads the rest and ends
}

// Reader reads one stream over all its files as one text. It keeps up with rotation; when it is so slow that files are
// deleted before it gets to them, it goes on with the oldest that is left (the one it has open it can read to its end).
type Reader struct {
	ctx    context.Context
	stream stream
	opts   ReadOptions
	at     position
	begun  bool // at is in a file that was seen; before that, any file may come
	file   segment
}

// Open positions a Reader. The context ends a waiting Read with its error. A stream without any output yet is fine; a folder
// that does not exist is an error that wraps fs.ErrNotExist.
func Open(ctx context.Context, dir, task, streamName string, o ReadOptions) (*Reader, error) {
	s, err := newStream(dir, task, streamName)
	if err != nil {
		return nil, err
	}
	if o.Offset < 0 || o.TailLines < 0 {
		return nil, fmt.Errorf("log offset %d and tail %d must not be negative", o.Offset, o.TailLines)
	}
	files, err := s.list()
	if err != nil {
		return nil, err
	}
	r := &Reader{ctx: ctx, stream: s, opts: o}
	if len(files) == 0 {
		return r, nil
	}
	r.begun = true
	switch first := (position{n: files[0].n}); {
	case o.TailLines > 0:
		r.at, _, err = s.tail(files, o.TailLines, TailBytesMax)
	case o.FromEnd:
		r.at = s.forward(files, first, max(total(files)-o.Offset, 0))
	default:
		r.at = s.forward(files, first, o.Offset)
	}
	return r, err
}

func total(files []logFile) int64 {
	var n int64
	for _, f := range files {
		n += f.size
	}
	return n
}

// Position is the file (its base name) and the offset in it of the next byte to read.
func (r *Reader) Position() (file string, offset int64) {
	return fmt.Sprintf("%s%d", r.stream.prefix, r.at.n), r.at.offset
}

// Read returns what there is, waiting for it when it follows. It ends with io.EOF, or with the context's error.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		last := !r.opts.Follow || r.done() // asked before reading: what was written before done is then seen
		n, err := r.next(p)
		if n > 0 || err != nil {
			return n, err
		}
		if last {
			return 0, io.EOF
		}
		if err := r.wait(); err != nil {
			return 0, err
		}
	}
}

func (r *Reader) done() bool {
	select {
	case <-r.opts.Done: // nil never is
		return true
	default:
		return false
	}
}

func (r *Reader) wait() error {
	timer := time.NewTimer(FollowInterval)
	defer timer.Stop()
	select {
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-r.opts.Done:
	case <-timer.C:
	}
	return nil
}

// next reads from the current file or, where that has ended for good, from those after it. 0 bytes: nothing more for now.
func (r *Reader) next(p []byte) (int, error) {
	for {
		ok, err := r.open()
		if !ok || err != nil {
			return 0, err
		}
		// Whether there is a later file is asked before reading: only then is an end that follows final.
		later, err := r.later()
		if err != nil {
			return 0, err
		}
		n, err := r.file.ReadAt(p, r.at.offset)
		r.at.offset += int64(n)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) {
			return n, ignoreEOF(err)
		}
		if later < 0 {
			return 0, nil
		}
		r.closeFile()
		r.at = position{n: later}
	}
}

func ignoreEOF(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("task logs: %w", err)
}

// open opens the current file; when that is gone or none was seen yet, the oldest after it.
func (r *Reader) open() (bool, error) {
	if r.file != nil {
		return true, nil
	}
	for {
		if r.begun {
			f, err := r.stream.open(r.at.n)
			if err == nil {
				r.file = f
				return true, nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return false, fmt.Errorf("task logs: %w", err)
			}
		}
		oldest, err := r.oldestFrom(r.at.n)
		if oldest < 0 || err != nil {
			return false, err
		}
		if !r.begun || oldest != r.at.n {
			r.at = position{n: oldest}
		}
		r.begun = true
	}
}

// later is the number of the file after the current one, or -1.
func (r *Reader) later() (int, error) {
	if r.stream.exists(r.at.n + 1) {
		return r.at.n + 1, nil
	}
	if r.stream.exists(r.at.n) {
		return -1, nil // see the package's invariants: then no later one was deleted either
	}
	return r.oldestFrom(r.at.n + 1)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// oldestFrom is the lowest number of a file, not below n, or -1. A folder that was removed meanwhile has none.
func (r *Reader) oldestFrom(n int) (int, error) {
	files, err := r.stream.list()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return -1, err
	}
	for _, f := range files {
		if f.n >= n {
			return f.n, nil
		}
	}
	return -1, nil
}

func (r *Reader) closeFile() {
	if r.file != nil {
		_ = r.file.Close() // read-only
		r.file = nil
	}
}

// Close frees the file. It does not end a Read that waits in another goroutine: the context does.
func (r *Reader) Close() error {
	r.closeFile()
	return nil
}
