package tasklog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
)

// Defaults keep a chatty task within 8 MiB per stream on a small device's flash.
const (
	DefaultMaxFiles     = 4
	DefaultMaxFileBytes = 2 << 20
)

// Options say where a Writer writes and how much it keeps.
type Options struct {
	Dir          string // folder; made when missing
	Task         string
	Stream       string // Stdout or Stderr
	MaxFiles     int    // files kept; 0 means DefaultMaxFiles
	MaxFileBytes int64  // size of one file, never exceeded; 0 means DefaultMaxFileBytes
	PackFrom     int64  // files of at least so many bytes are packed when they are full; 0: none is
	// Written counts the bytes handed to the disk, packed ones too; nil: nobody counts.
	Written *atomic.Int64
}

// Writer appends to a stream and rotates it. It holds one open file and no buffer: thousands of quiet tasks cost little.
type Writer struct {
	stream stream
	max    Options

	mu        sync.Mutex
	file      *os.File // nil until there is something to write
	n         int      // number of the newest file
	oldest    int      // no file below this number exists
	size      int64    // bytes in the newest file
	lineStart bool     // the newest file is empty or ends with a newline
	dropped   int64    // bytes, ever
	unsaid    int64    // of those, not yet told in the log
	cause     error    // of the latest drop
	closed    bool
}

// NewWriter continues the stream where an earlier Writer left it, or begins at file 0. It removes files beyond MaxFiles. It
// creates no file until something is written.
func NewWriter(o Options) (*Writer, error) {
	s, err := newStream(o.Dir, o.Task, o.Stream)
	if err != nil {
		return nil, err
	}
	if o.MaxFiles < 0 || o.MaxFileBytes < 0 {
		return nil, fmt.Errorf("task log limits (%d files of %d bytes) must not be negative", o.MaxFiles, o.MaxFileBytes)
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = DefaultMaxFiles
	}
	if o.MaxFileBytes == 0 {
		o.MaxFileBytes = DefaultMaxFileBytes
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("task logs: %w", err)
	}
	files, err := s.list()
	if err != nil {
		return nil, err
	}
	w := &Writer{stream: s, max: o, lineStart: true}
	if len(files) > 0 {
		newest := files[len(files)-1]
		w.oldest, w.n, w.size = files[0].n, newest.n, newest.size
		if newest.packed { // it is full, or was put away with its allocation
			w.n, w.size = newest.n+1, 0
		} else if w.lineStart, err = endsLine(s.path(newest.n), newest.size); err != nil {
			return nil, fmt.Errorf("task logs: %w", err)
		}
		w.prune()
	}
	return w, nil
}

func endsLine(path string, size int64) (bool, error) {
	if size == 0 {
		return true, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var last [1]byte
	_, err = f.ReadAt(last[:], size-1)
	return last[0] == '\n', err
}

// Write takes all of p, always: what the disk refuses is dropped and counted (see Dropped). The only error is a closed
// Writer.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, fmt.Errorf("task log %s: %w", w.stream.prefix, os.ErrClosed)
	}
	if w.unsaid > 0 {
		note := fmt.Sprintf("[dunlin: %d bytes of output were dropped here: %v]\n", w.unsaid, w.cause)
		if !w.lineStart {
			note = "\n" + note
		}
		if _, err := w.append([]byte(note)); err != nil {
			w.drop(len(p), err)
			return len(p), nil
		}
		w.unsaid = 0
	}
	if n, err := w.append(p); err != nil {
		w.drop(len(p)-n, err)
	}
	return len(p), nil
}

func (w *Writer) drop(n int, err error) {
	w.dropped += int64(n)
	w.unsaid += int64(n)
	var pathErr *fs.PathError
	if w.cause = err; errors.As(err, &pathErr) {
		w.cause = pathErr.Err // the path says nothing to the reader of that very file
	}
}

// append writes p over as many files as it takes and returns how much of it is stored.
func (w *Writer) append(p []byte) (int, error) {
	stored := 0
	for len(p) > 0 {
		n := w.fit(p)
		if n == 0 {
			w.rotate()
			continue
		}
		got, err := w.put(p[:n])
		stored += got
		if err != nil {
			return stored, err
		}
		p = p[n:]
	}
	return stored, nil
}

// fit is how much of p goes into the newest file: all that has room; else up to the last end of line that has; else, for a
// line that is too long or already begun here, as much as there is room. 0 asks for a new file.
func (w *Writer) fit(p []byte) int {
	room := max(w.max.MaxFileBytes-w.size, 0)
	if int64(len(p)) <= room {
		return len(p)
	}
	if line := bytes.LastIndexByte(p[:room], '\n') + 1; line > 0 {
		return line
	}
	if w.size > 0 && w.lineStart {
		return 0
	}
	return int(room)
}

func (w *Writer) put(p []byte) (int, error) {
	if w.file == nil {
		f, err := os.OpenFile(w.stream.path(w.n), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return 0, err
		}
		w.file = f
	}
	n, err := w.file.Write(p)
	w.size += int64(n)
	w.count(int64(n))
	if n > 0 {
		w.lineStart = p[n-1] == '\n'
	}
	return n, err
}

// rotate ends the newest file; the next one is made by the next put.
func (w *Writer) rotate() {
	w.closeFile()
	w.n++
	w.size, w.lineStart = 0, true
	w.prune()
	w.pack()
}

// pack packs what is full. It is done here and not beside: a task that prints faster than its logs can be packed would have them
// pile up otherwise. What cannot be packed (a full disk) stays as it is and is tried at the next rotation.
func (w *Writer) pack() {
	for n := w.oldest; n < w.n && w.max.PackFrom > 0; n++ {
		info, err := os.Lstat(w.stream.path(n))
		if err != nil || info.Size() < w.max.PackFrom {
			continue // packed already, or not worth it
		}
		written, err := pack(w.stream.path(n))
		w.count(written)
		if err != nil {
			return
		}
	}
}

func (w *Writer) count(n int64) {
	if w.max.Written != nil {
		w.max.Written.Add(n)
	}
}

// prune deletes the oldest files until the newest MaxFiles are left, counting the one that is about to be made. What cannot
// be deleted now is tried again at the next rotation.
func (w *Writer) prune() {
	for w.oldest <= w.n-w.max.MaxFiles {
		if err := w.stream.remove(w.oldest); err != nil {
			return
		}
		w.oldest++
	}
}

func (w *Writer) closeFile() {
	if w.file != nil {
		_ = w.file.Close() // nothing is buffered here; a late error of the disk cannot be told apart from a power cut
		w.file = nil
	}
}

// Dropped is the number of bytes that the disk refused since this Writer was made, and why the latest were.
func (w *Writer) Dropped() (bytes int64, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped, w.cause
}

// Close ends writing. It returns an error when output was dropped, for the one who keeps the task's events. Closing again
// does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	w.closeFile()
	if w.dropped > 0 {
		return fmt.Errorf("task log %s: %d bytes of output were dropped: %w", w.stream.prefix, w.dropped, w.cause)
	}
	return nil
}
