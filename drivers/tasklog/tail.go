package tasklog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// TailBytesMax limits what Tail returns and how far back TailLines of a Reader goes.
const TailBytesMax = 1 << 20

const tailBlockBytes = 16 << 10

// position is a place in a stream.
type position struct {
	n      int
	offset int64
}

// Tail returns the last lines of a stream: at most lines of them (0: any number) and at most maxBytes in all (0 or more than
// TailBytesMax: that). It begins at the start of a line, unless the last line alone is longer than maxBytes: then it is that
// line's end. A last line without newline counts. A stream that was never written to is empty; a folder that does not exist
// is an error that wraps fs.ErrNotExist.
func Tail(dir, task, streamName string, lines int, maxBytes int64) ([]byte, error) {
	s, err := newStream(dir, task, streamName)
	if err != nil {
		return nil, err
	}
	files, err := s.list()
	if err != nil {
		return nil, err
	}
	_, tail, err := s.tail(files, lines, maxBytes)
	return tail, err
}

// tail reads backwards, block by block, until it has enough, and also returns where that is.
func (s stream) tail(files []logFile, lines int, maxBytes int64) (position, []byte, error) {
	if maxBytes <= 0 || maxBytes > TailBytesMax {
		maxBytes = TailBytesMax
	}
	var blocks [][]byte // last one first
	var have int64
	newlines := 0
	at := position{}
	more := false // there is something before at
	for i := len(files) - 1; i >= 0 && !more; i-- {
		f, err := s.open(files[i].n)
		if errors.Is(err, fs.ErrNotExist) {
			break // rotated away meanwhile; what is older is gone too
		}
		if err != nil {
			return at, nil, fmt.Errorf("task logs: %w", err)
		}
		for end := files[i].size; end > 0 && !more; {
			// One byte beyond the limit tells whether the tail begins at the start of a line.
			n := min(tailBlockBytes, end, maxBytes+1-have)
			block := make([]byte, n)
			if _, err := f.ReadAt(block, end-n); err != nil && !errors.Is(err, io.EOF) {
				f.Close()
				return at, nil, fmt.Errorf("task logs: %w", err)
			}
			end -= n
			blocks = append(blocks, block)
			have += n
			newlines += bytes.Count(block, []byte{'\n'})
			at = position{files[i].n, end}
			more = have > maxBytes || lines > 0 && newlines > lines
		}
		f.Close()
	}
	all := make([]byte, 0, have)
	for i := len(blocks) - 1; i >= 0; i-- {
		all = append(all, blocks[i]...)
	}
	cut := cutTail(all, lines, maxBytes)
	return s.forward(files, at, int64(cut)), all[cut:], nil
}

// cutTail is where in b its tail begins.
func cutTail(b []byte, lines int, maxBytes int64) int {
	cut := 0
	if extra := int64(len(b)) - maxBytes; extra > 0 {
		cut = int(extra)
		// Back up to the byte before: when that is a newline, the cut is already at the start of a line.
		if i := bytes.IndexByte(b[cut-1:len(b)-1], '\n'); i >= 0 {
			cut += i
		}
	}
	if lines <= 0 {
		return cut
	}
	end := len(b)
	if end > 0 && b[end-1] == '\n' {
		end--
	}
	for range lines {
		i := bytes.LastIndexByte(b[:end], '\n')
		if i < cut {
			return cut
		}
		end = i
	}
	return end + 1
}

// forward moves a position by n bytes over the given files.
func (s stream) forward(files []logFile, p position, n int64) position {
	for _, f := range files {
		if f.n < p.n {
			continue
		}
		if f.n > p.n {
			p = position{n: f.n}
		}
		if left := f.size - p.offset; n > left {
			n -= left
			p.offset = f.size
			continue
		}
		p.offset += n
		return p
	}
	return p
}
