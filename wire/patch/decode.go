package patch

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Reader gives the module that a coded form stands for.
type Reader struct {
	coded *bufio.Reader
	base  io.ReaderAt // nil: a compressed form

	size     int64 // of the module
	baseSize int64
	made     int64 // bytes of the module decoded so far

	segment []byte // decoded and not yet read
	room    []byte
	frame   []byte
	piece   []byte
	pieceAt int64  // where in the base piece begins; -1: nothing is in it
	moved   *moved // nil: there are no recipes
	err     error
}

// NewReader reads the head of a coded form whose module must have size bytes. base, of baseSize bytes, is nil for a compressed
// form. The error is a *FormError when the bytes are not what was announced.
func NewReader(coded io.Reader, size int64, base io.ReaderAt, baseSize int64) (*Reader, error) {
	if size <= 0 || size > SizeMax || baseSize < 0 || baseSize > SizeMax {
		return nil, wrong("sizes of %d and %d bytes are out of range (at most %d)", size, baseSize, int64(SizeMax))
	}
	r := &Reader{coded: bufio.NewReader(coded), base: base, size: size, baseSize: baseSize, pieceAt: -1}
	var head [len(magic) + 1]byte
	if _, err := io.ReadFull(r.coded, head[:]); err != nil {
		return nil, cut(err)
	}
	form := head[len(magic)]
	if known := base == nil && form == formCompressed || base != nil && (form == formPatch || form == formDelta); string(head[:len(magic)]) != magic || !known {
		return nil, wrong("it begins with %q; want %q and form %d without a base, or %d or %d with one", head, magic, formCompressed, formPatch, formDelta)
	}
	if err := r.expect("module", size); err != nil {
		return nil, err
	}
	if base != nil {
		if err := r.expect("base", baseSize); err != nil {
			return nil, err
		}
		r.piece = make([]byte, min(PieceBytes, baseSize))
	}
	room := min(SegmentBytes, size)
	if form == formDelta {
		r.moved = &moved{}
		room += RunsBytesMax
	}
	r.room = make([]byte, 0, room)
	return r, nil
}

func (r *Reader) expect(what string, size int64) error {
	got, err := r.number()
	if err == nil && got != uint64(size) {
		err = wrong("it is for a %s of %d bytes, and this one has %d", what, got, size)
	}
	return err
}

func (r *Reader) number() (uint64, error) {
	v, err := binary.ReadUvarint(r.coded)
	if err != nil {
		return 0, cut(err)
	}
	return v, nil
}

// Read implements io.Reader. It ends with io.EOF after exactly the announced size; a form with bytes left over is refused.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.segment) == 0 && r.err == nil {
		r.err = r.next()
	}
	if len(r.segment) == 0 {
		return 0, r.err
	}
	n := copy(p, r.segment)
	r.segment = r.segment[n:]
	return n, nil
}

// next decodes a segment, or says that there is none.
func (r *Reader) next() error {
	if r.made == r.size {
		if _, err := r.coded.ReadByte(); !errors.Is(err, io.EOF) {
			return wrong("bytes follow its end")
		}
		return io.EOF
	}
	want, kind := int(min(SegmentBytes, r.size-r.made)), byte(kindFrame)
	if r.base != nil {
		err := r.load()
		if err == nil && r.moved != nil {
			kind, err = r.coded.ReadByte()
		}
		if err != nil {
			return cut(err)
		}
	}
	err := r.readFrame()
	if err != nil {
		return err
	}
	var out []byte
	switch {
	case kind == kindFrame && r.base != nil:
		out, err = r.unzip(zstd.WithDecoderDictRaw(dictID, r.piece))
	case kind == kindFrame:
		out, err = r.unzip()
	case kind == kindRecipe:
		if out, err = r.unzip(); err == nil {
			out, err = r.moved.follow(r.piece, out, want)
		}
	default:
		err = wrong("a segment of kind %d", kind)
	}
	if err != nil {
		return fmt.Errorf("segment at byte %d: %w", r.made, err)
	}
	if len(out) != want {
		return wrong("segment at byte %d has %d bytes; want %d", r.made, len(out), want)
	}
	r.segment, r.made = out, r.made+int64(want)
	return nil
}

func (r *Reader) unzip(opts ...zstd.DOption) ([]byte, error) {
	z, err := zstd.NewReader(nil, append(opts,
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(windowBytes), zstd.WithDecoderMaxMemory(SegmentBytes+RunsBytesMax), zstd.WithDecodeAllCapLimit(true))...)
	if err != nil {
		return nil, fmt.Errorf("set up zstd: %w", err)
	}
	defer z.Close()
	out, err := z.DecodeAll(r.frame, r.room[:0])
	if err != nil {
		return nil, wrong("%v", err)
	}
	return out, nil
}

// load reads the segment's piece of the base.
func (r *Reader) load() error {
	start, err := r.number()
	if err != nil {
		return err
	}
	if start > uint64(r.baseSize-int64(len(r.piece))) {
		return wrong("a piece begins at byte %d of a base of %d", start, r.baseSize)
	}
	if int64(start) == r.pieceAt {
		return nil
	}
	if n, err := r.base.ReadAt(r.piece, int64(start)); n < len(r.piece) {
		return fmt.Errorf("read the base: %w", err)
	}
	r.pieceAt = int64(start)
	return nil
}

func (r *Reader) readFrame() error {
	n, err := r.number()
	if err != nil {
		return err
	}
	if n > FrameBytesMax {
		return wrong("a frame of %d bytes; at most %d", n, FrameBytesMax)
	}
	if cap(r.frame) < int(n) {
		r.frame = make([]byte, n)
	}
	r.frame = r.frame[:n]
	if _, err := io.ReadFull(r.coded, r.frame); err != nil {
		return cut(err)
	}
	return nil
}

// cut names the end of the input for what it is; the errors of the reader below stay what they are.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return wrong("it ends too early")
	}
	return err
}
