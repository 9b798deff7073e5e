// Package tasklog writes and reads what tasks print: files DIR/TASK.STREAM.N, where STREAM is stdout or stderr and N rises.
//
// The one idea: the files alone are the protocol. Writer and readers share no memory and no lock, so that the writer can be
// another process (the host, which outlives the agent), and logs can be read when both are gone.
//
// Invariants, on which readers rely:
//   - Only the highest N is written to, and only by appending. When N+1 exists, N never changes again.
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
	n    int
	size int64
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

// list returns the stream's files in rising order. A folder that is not there is an error, files that vanish meanwhile are
// left out.
func (s stream) list() ([]logFile, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("task logs: %w", err)
	}
	var files []logFile
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), s.prefix)
		n, err := strconv.Atoi(digits)
		if !ok || err != nil || n < 0 || strconv.Itoa(n) != digits || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("task logs: %w", err)
		}
		files = append(files, logFile{n, info.Size()})
	}
	slices.SortFunc(files, func(a, b logFile) int { return cmp.Compare(a.n, b.n) })
	return files, nil
}
