package patch

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Compress writes the compressed form of a module of size bytes to w. ctx is seen between segments.
func Compress(ctx context.Context, w io.Writer, module io.Reader, size int64) error {
	e := &encoder{ctx: ctx, w: w, module: module, size: size}
	return e.run(append([]byte(magic), formCompressed))
}

// Encode writes the form of a module of size bytes as a patch of a base of baseSize bytes to w. It reads the base twice, once
// from front to back. ctx is seen between segments.
func Encode(ctx context.Context, w io.Writer, base io.ReaderAt, baseSize int64, module io.Reader, size int64) error {
	if baseSize <= 0 || baseSize > SizeMax {
		return fmt.Errorf("a base of %d bytes is out of range; at most %d", baseSize, int64(SizeMax))
	}
	e := &encoder{ctx: ctx, w: w, module: module, size: size, base: base, baseSize: baseSize}
	var err error
	if e.marks, err = marksOf(ctx, io.NewSectionReader(base, 0, baseSize)); err != nil {
		return fmt.Errorf("read the base: %w", err)
	}
	e.piece = make([]byte, min(PieceBytes, baseSize))
	return e.run(append([]byte(magic), formPatch))
}

// slowestFrom is the segment's size from which the slowest level is worth setting up its tables, which takes 100 ms.
const slowestFrom = 256 << 10

type encoder struct {
	ctx    context.Context
	w      io.Writer
	module io.Reader
	size   int64

	base     io.ReaderAt // nil: compress
	baseSize int64
	marks    marks
	piece    []byte
	shift    int64 // of the segment before: where its code was in the base, from where it is
}

func (e *encoder) run(head []byte) error {
	if e.size <= 0 || e.size > SizeMax {
		return fmt.Errorf("a module of %d bytes is out of range; at most %d", e.size, int64(SizeMax))
	}
	head = binary.AppendUvarint(head, uint64(e.size))
	if e.base != nil {
		head = binary.AppendUvarint(head, uint64(e.baseSize))
	}
	if _, err := e.w.Write(head); err != nil {
		return err
	}
	segment := make([]byte, min(SegmentBytes, e.size))
	for at := int64(0); at < e.size; at += int64(len(segment)) {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		segment = segment[:min(SegmentBytes, e.size-at)]
		if _, err := io.ReadFull(e.module, segment); err != nil {
			return fmt.Errorf("read the module: %w", err)
		}
		if err := e.segment(segment, at); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) segment(segment []byte, at int64) error {
	// The checksum of a frame is left out: the digest of the whole form was checked before it is decoded.
	opts := []zstd.EOption{
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithWindowSize(windowBytes),
		zstd.WithLowerEncoderMem(true),
	}
	// A patch is made once and sent to many, so it is worth the slowest search: less than half the bytes for a module that
	// moved its data, at 80 ms/MB. For compression the gain is 6 % at six times the time, while a device waits.
	level := zstd.SpeedBetterCompression
	var head []byte
	if e.base != nil {
		start := e.place(segment, at)
		if _, err := e.base.ReadAt(e.piece, start); err != nil && err != io.EOF {
			return fmt.Errorf("read the base: %w", err)
		}
		head = binary.AppendUvarint(head, uint64(start))
		opts = append(opts, zstd.WithEncoderDictRaw(dictID, e.piece))
		if len(segment) >= slowestFrom {
			level = zstd.SpeedBestCompression
		}
	}
	z, err := zstd.NewWriter(nil, append(opts, zstd.WithEncoderLevel(level))...)
	if err != nil {
		return fmt.Errorf("set up zstd: %w", err)
	}
	frame := z.EncodeAll(segment, nil)
	if err := z.Close(); err != nil {
		return fmt.Errorf("end zstd: %w", err)
	}
	if _, err := e.w.Write(append(binary.AppendUvarint(head, uint64(len(frame))), frame...)); err != nil {
		return err
	}
	return nil
}

// place says where the segment's piece of the base begins: around the place that most of the segment's marks have there, or,
// without any, around the place that the segment before would make likely.
func (e *encoder) place(segment []byte, at int64) int64 {
	if shift, ok := e.marks.shift(segment, at); ok {
		e.shift = shift
	}
	const margin = (PieceBytes - SegmentBytes) / 2
	return max(0, min(at+e.shift-margin, e.baseSize-int64(len(e.piece))))
}
