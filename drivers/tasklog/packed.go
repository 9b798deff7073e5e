package tasklog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A packed file is zstd in the published seekable form: independent frames of at most PackChunkBytes each, then a table of their
// lengths in a frame that decoders skip. So `zstd -d` reads it, and a reader that wants its end decodes one frame and not all.
const (
	// PackChunkBytes is how much of a log one frame holds: the memory that packing and reading take, and what is decoded to read
	// one byte.
	PackChunkBytes = 128 << 10
	// PackBytesMin is how long a file must be for packing to save anything on flash, which is written in blocks.
	PackBytesMin = 8 << 10

	packSuffix     = ".zst"
	packTempSuffix = ".zst.tmp"

	skippableMagic  = 0x184D2A5E
	seekMagic       = 0x8F92EAB1
	seekEntryBytes  = 8
	seekHeadBytes   = 8
	seekFooterBytes = 9
	packFramesMax   = 1 << 16 // 8 GiB of log
)

// packing lets one file at a time be packed in a process: it takes memory and a core.
var packing sync.Mutex

// pack replaces the file of that name by its packed form and returns how many bytes that took. When it fails, the plain file is
// still there. It is synced before the plain one goes: a rename that outlives its content would cost the whole file.
func pack(path string) (written int64, err error) {
	packing.Lock()
	defer packing.Unlock()
	from, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer from.Close() //nolint:errcheck // read only
	tmp := path + packTempSuffix
	to, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return 0, err
	}
	written, err = writePacked(to, from)
	if err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err == nil {
		err = os.Rename(tmp, path+packSuffix)
	}
	if err != nil {
		return written, errors.Join(err, os.Remove(tmp))
	}
	return written, os.Remove(path)
}

func writePacked(to io.Writer, from io.Reader) (written int64, err error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(PackChunkBytes), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return 0, err
	}
	defer enc.Close() //nolint:errcheck // it writes nowhere
	chunk, out := make([]byte, PackChunkBytes), []byte(nil)
	var table []byte
	for frames := uint32(0); ; frames++ {
		n, err := io.ReadFull(from, chunk)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return written, err
		}
		if n == 0 {
			m, err := to.Write(seekTable(table, frames))
			return written + int64(m), err
		}
		if frames == packFramesMax {
			return written, fmt.Errorf("a log file of more than %d bytes is not packed", int64(packFramesMax)*PackChunkBytes)
		}
		out = enc.EncodeAll(chunk[:n], out[:0])
		m, err := to.Write(out)
		written += int64(m)
		if err != nil {
			return written, err
		}
		table = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(table, uint32(len(out))), uint32(n))
	}
}

func seekTable(entries []byte, frames uint32) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(le.AppendUint32(nil, skippableMagic), uint32(len(entries)+seekFooterBytes))
	b = le.AppendUint32(append(b, entries...), frames)
	return le.AppendUint32(append(b, 0), seekMagic)
}

// frame is one frame of a packed file: where its content begins, and where it is.
type frame struct {
	begin, end int64 // of the content
	at, length int64 // in the file
}

var errPacked = errors.New("it is not a packed log")

// readSeekTable reads where the frames of a packed file are. Every length is checked against the file's before it is used.
func readSeekTable(f io.ReaderAt, size int64) ([]frame, error) {
	var foot [seekFooterBytes]byte
	if size < seekHeadBytes+seekFooterBytes {
		return nil, errPacked
	}
	if _, err := f.ReadAt(foot[:], size-seekFooterBytes); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	le := binary.LittleEndian
	n := int64(le.Uint32(foot[:]))
	start := size - seekFooterBytes - n*seekEntryBytes
	if le.Uint32(foot[5:]) != seekMagic || foot[4] != 0 || n > packFramesMax || start < seekHeadBytes {
		return nil, errPacked
	}
	table := make([]byte, n*seekEntryBytes)
	if _, err := f.ReadAt(table, start); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	frames := make([]frame, n)
	var at, begin int64
	for i := range frames {
		length, content := int64(le.Uint32(table[i*seekEntryBytes:])), int64(le.Uint32(table[i*seekEntryBytes+4:]))
		if content > PackChunkBytes || content == 0 {
			return nil, errPacked
		}
		frames[i] = frame{begin: begin, end: begin + content, at: at, length: length}
		at, begin = at+length, begin+content
	}
	if at != start-seekHeadBytes {
		return nil, errPacked
	}
	return frames, nil
}

// packedFile reads a packed file as if it were plain. It belongs to one goroutine and keeps one frame's content.
type packedFile struct {
	file    *os.File
	frames  []frame
	decoder *zstd.Decoder
	have    int // which frame is in content; -1: none
	content []byte
}

// openPacked opens a packed file. One that is damaged reads as empty: what is around it is still worth reading.
func openPacked(path string) (*packedFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	p := &packedFile{file: f, have: -1}
	info, err := f.Stat()
	if err == nil {
		p.frames, err = readSeekTable(f, info.Size())
	}
	if err != nil && !errors.Is(err, errPacked) {
		f.Close() //nolint:errcheck // read only
		return nil, err
	}
	return p, nil
}

// packedSize is the length of what a packed file holds.
func packedSize(path string) (int64, error) {
	p, err := openPacked(path)
	if err != nil {
		return 0, err
	}
	defer p.Close() //nolint:errcheck // read only
	return p.size(), nil
}

func (p *packedFile) size() int64 {
	if len(p.frames) == 0 {
		return 0
	}
	return p.frames[len(p.frames)-1].end
}

// ReadAt implements io.ReaderAt.
func (p *packedFile) ReadAt(b []byte, at int64) (int, error) {
	n := 0
	for n < len(b) {
		i := sort.Search(len(p.frames), func(i int) bool { return p.frames[i].end > at })
		if i == len(p.frames) {
			return n, io.EOF
		}
		if err := p.load(i); err != nil {
			return n, err
		}
		got := copy(b[n:], p.content[at-p.frames[i].begin:])
		n, at = n+got, at+int64(got)
	}
	return n, nil
}

func (p *packedFile) load(i int) error {
	if p.have == i {
		return nil
	}
	if p.decoder == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(PackChunkBytes))
		if err != nil {
			return err
		}
		p.decoder = d
	}
	f := p.frames[i]
	raw := make([]byte, f.length)
	if _, err := p.file.ReadAt(raw, f.at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	p.have = -1
	content, err := p.decoder.DecodeAll(raw, slices.Grow(p.content[:0], PackChunkBytes))
	if err != nil || int64(len(content)) != f.end-f.begin {
		// A damaged piece must not hide the rest: its room is kept, so that positions stay right.
		content = append(content[:0], fmt.Sprintf("[dunlin: %d bytes of this log are damaged]\n", f.end-f.begin)...)
		for int64(len(content)) < f.end-f.begin {
			content = append(content, '\n')
		}
		content = content[:f.end-f.begin]
	}
	p.content, p.have = content, i
	return nil
}

// Close frees the file.
func (p *packedFile) Close() error {
	if p.decoder != nil {
		p.decoder.Close()
	}
	return p.file.Close()
}

// PackAll packs every file of a folder that is worth it, the newest too: for streams that nobody writes to any more. It returns
// how many bytes that took. What could not be packed is as it was.
func PackAll(dir string) (written int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("task logs: %w", err)
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() < PackBytesMin || !plainName(e.Name()) {
			continue
		}
		n, err := pack(filepath.Join(dir, e.Name()))
		written += n
		errs = append(errs, err)
	}
	return written, errors.Join(errs...)
}

// plainName tells files of streams from others: TASK.STREAM.N.
func plainName(name string) bool {
	head, digits, _ := cutLast(name)
	_, streamName, ok := cutLast(head)
	n, err := strconv.Atoi(digits)
	return ok && (streamName == Stdout || streamName == Stderr) && err == nil && strconv.Itoa(n) == digits
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
