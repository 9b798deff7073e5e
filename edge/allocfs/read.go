package allocfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"
)

// Limits of a read.
const (
	PieceBytesMax = 32 << 10               // handed on at once
	TailBytesMax  = 1 << 20                // how far back the last lines are looked for
	FollowPoll    = 500 * time.Millisecond // how often a followed file is looked at
)

// Range is which bytes of a file are wanted.
type Range struct {
	FromEnd   bool  // Offset counts back from the end
	Offset    int64 // bytes; beyond the end: at the end
	Limit     int64 // bytes; 0: to the end
	TailLines int   // not 0: the last lines instead of an offset
	Follow    bool  // go on with what is written, until the file goes
}

// Event is what became of a file that is followed.
type Event int

// The events.
const (
	Grew      Event = iota // there are bytes
	Truncated              // it was cut or replaced; the next bytes are from its beginning
	Deleted                // it went; nothing follows
)

// File is a file being read.
type File struct {
	fs   *FS
	at   string
	name string // as asked for
	file *os.File
	want Range
	next int64 // offset of the next byte
}

// Read opens a file and finds where the wanted bytes begin. The file is the caller's to close, before the FS.
func (f *FS) Read(name string, want Range) (*File, error) {
	parts, err := split(name)
	if err != nil {
		return nil, err
	}
	if len(parts) < len(f.at) {
		return nil, refuse(ErrMisplaced, "%s is a folder; list it", shown(name))
	}
	at, info, err := f.find(name, parts)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, refuse(ErrMisplaced, "%s is a folder; list it", shown(name))
	case !info.Mode().IsRegular():
		return nil, refuse(ErrMisplaced, "%s is not a regular file (%s), and only those are read", shown(name), info.Mode())
	}
	file, err := f.openFile(at)
	if err != nil {
		return nil, plain(name, err)
	}
	r := &File{fs: f, at: at, name: name, file: file, want: want}
	if r.next, err = r.begin(); err != nil {
		return nil, errors.Join(plain(name, err), file.Close())
	}
	return r, nil
}

// Offset is where in the file the next byte is from.
func (r *File) Offset() int64 { return r.next }

// Close lets go of the file.
func (r *File) Close() error { return r.file.Close() }

func (r *File) begin() (int64, error) {
	info, err := r.file.Stat()
	if err != nil {
		return 0, err
	}
	switch size := info.Size(); {
	case r.want.TailLines > 0:
		return tailOffset(r.file, size, r.want.TailLines)
	case r.want.FromEnd:
		return size - min(size, r.want.Offset), nil
	default:
		return min(size, r.want.Offset), nil
	}
}

// tailOffset is where the last lines of a file begin, at most TailBytesMax before its end. A last line without newline counts.
func tailOffset(r io.ReaderAt, size int64, lines int) (int64, error) {
	buf := make([]byte, PieceBytesMax)
	for end := size; end > 0 && size-end < TailBytesMax; {
		piece := buf[:min(int64(len(buf)), end)]
		if _, err := r.ReadAt(piece, end-int64(len(piece))); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		from := end - int64(len(piece))
		for i := len(piece); ; {
			if i = bytes.LastIndexByte(piece[:i], '\n'); i < 0 {
				break
			}
			if from+int64(i) == size-1 {
				continue // it ends the last line
			}
			if lines--; lines == 0 {
				return from + int64(i) + 1, nil
			}
		}
		end = from
	}
	return max(0, size-TailBytesMax), nil
}

// Each hands on the file's bytes in order, piece by piece, until it ends, or when following until it went, ctx ends, or pass fails.
// A piece is valid until pass returns.
func (r *File) Each(ctx context.Context, pass func(piece []byte, what Event) error) error {
	buf := make([]byte, PieceBytesMax)
	left := r.want.Limit
	if left == 0 {
		left = math.MaxInt64
	}
	for left > 0 {
		n, err := r.file.ReadAt(buf[:min(int64(len(buf)), left)], r.next)
		if n > 0 {
			r.next, left = r.next+int64(n), left-int64(n)
			if err := pass(buf[:n], Grew); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF):
			return plain(r.name, err)
		case !r.want.Follow:
			return nil
		case n == 0:
			if gone, err := r.await(ctx, pass); gone || err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// await waits a moment at the end of a file, and notices when it is another one.
func (r *File) await(ctx context.Context, pass func([]byte, Event) error) (gone bool, err error) {
	select {
	case <-time.After(FollowPoll):
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	mine, err := r.file.Stat()
	if err != nil {
		return false, plain(r.name, err)
	}
	now, err := r.fs.root.Lstat(r.at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, pass(nil, Deleted)
	case err != nil:
		return false, plain(r.name, err)
	case os.SameFile(mine, now) && now.Size() >= r.next:
		return false, nil
	case !os.SameFile(mine, now):
		if err := r.reopen(); errors.Is(err, fs.ErrNotExist) {
			return true, pass(nil, Deleted)
		} else if err != nil {
			return false, plain(r.name, err)
		}
	}
	r.next = 0
	return false, pass(nil, Truncated)
}

func (r *File) reopen() error {
	file, err := r.fs.openFile(r.at)
	if err != nil {
		return err
	}
	old := r.file
	r.file = file
	if err := old.Close(); err != nil {
		return fmt.Errorf("close %s: %w", filepath.Base(r.at), err)
	}
	return nil
}
