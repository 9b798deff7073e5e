// Package tasklog writes and reads what tasks print: files DIR/TASK.STREAM.N, where STREAM is stdout or stderr and N rises. A file
// that is full may be packed (zstd): it is then DIR/TASK.STREAM.N.zst, and reads as before.
//
// The one idea: the files alone are the protocol. Writer and readers share no memory and no lock, so that the writer can be
// another process (the host, which outlives the agent), and logs can be read when both are gone.
//
// Invariants, on which readers rely:
//   - Only the highest N is written to, and only by appending. When N+1 exists, what N says never changes again; its form may.
//   - A packed file has its name before the plain one goes. Where both are, the plain one counts.
//   - Files are deleted in rising order. So while N exists and N+1 does not, nothing was missed.
//   - Joined in order, the files are what the task printed: no header, no line added or left out except as said next.
//
// What is dropped, and when: per stream at most MaxFiles files of at most MaxFileBytes are kept, the oldest goes first. When
// the disk refuses (full, read-only, folder gone) the output of that moment is dropped and counted, the task is neither
// stopped nor slowed, and the first output that fits again is preceded by one line that says how much is missing.
//
// Files are cut at the end of a line where there is one within the limit. Nothing is synced to disk: a power cut may cost
// the last seconds of a log, while a sync per line would wear out flash.
//
// Threading: a Writer may be used by several goroutines; there is one Writer per stream in the whole system. A Reader
// belongs to one goroutine. Nothing here starts goroutines.
package tasklog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The two streams of a task.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// logFile is one file of a stream.
type logFile struct {
	n      int
	size   int64 // of what it says
	packed bool
}

// segment is a file of either form, open for reading.
type segment interface {
	io.ReaderAt
	io.Closer
}

// stream names one task's output in one folder.
type stream struct{ dir, prefix string }

func newStream(dir, task, name string) (stream, error) {
	if name != Stdout && name != Stderr {
		return stream{}, fmt.Errorf("log stream %q is neither stdout nor stderr", name)
	}
	if task == "" || task == "." || task == ".." || strings.ContainsAny(task, "/\\\x00") {
		return stream{}, fmt.Errorf("task name %q cannot be part of a log file's name", task)
	}
	return stream{dir: dir, prefix: task + "." + name + "."}, nil
}

func (s stream) path(n int) string { return filepath.Join(s.dir, s.prefix+strconv.Itoa(n)) }

// open opens file n in whichever form it has. While it is packed, both are there or one is; plain first is therefore sure.
func (s stream) open(n int) (segment, error) {
	f, err := os.Open(s.path(n))
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	p, err := openPacked(s.path(n) + packSuffix)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (s stream) exists(n int) bool { return exists(s.path(n)) || exists(s.path(n)+packSuffix) }

// remove deletes file n in every form, and what a packing that was cut short has left of it.
func (s stream) remove(n int) error {
	for _, suffix := range []string{"", packSuffix, packTempSuffix} {
		if err := os.Remove(s.path(n) + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// number reads a file's name.
func (s stream) number(name string) (n int, packed, ok bool) {
	digits, ok := strings.CutPrefix(name, s.prefix)
	digits, packed = strings.CutSuffix(digits, packSuffix)
	n, err := strconv.Atoi(digits)
	return n, packed, ok && err == nil && n >= 0 && strconv.Itoa(n) == digits
}

// list returns the stream's files in rising order. A folder that is not there is an error, files that vanish meanwhile are
// left out.
func (s stream) list() ([]logFile, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("task logs: %w", err)
	}
	var files []logFile
	for _, e := range entries {
		n, packed, ok := s.number(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		size, err := s.size(e, n, packed)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("task logs: %w", err)
		}
		files = append(files, logFile{n, size, packed})
	}
	slices.SortFunc(files, func(a, b logFile) int {
		if a.n == b.n && a.packed != b.packed { // the plain one comes first, and stays
			if b.packed {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.n, b.n)
	})
	return slices.CompactFunc(files, func(a, b logFile) bool { return a.n == b.n }), nil
}

func (s stream) size(e fs.DirEntry, n int, packed bool) (int64, error) {
	if packed {
		return packedSize(s.path(n) + packSuffix)
	}
	info, err := e.Info()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
