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
	return encodeAs(ctx, formPatch, w, base, baseSize, module, size)
}

// EncodeDelta is Encode in the form that follows what moved, which is a fraction of a patch for a program that was rebuilt.
func EncodeDelta(ctx context.Context, w io.Writer, base io.ReaderAt, baseSize int64, module io.Reader, size int64) error {
	return encodeAs(ctx, formDelta, w, base, baseSize, module, size)
}

func encodeAs(ctx context.Context, form byte, w io.Writer, base io.ReaderAt, baseSize int64, module io.Reader, size int64) error {
	if baseSize <= 0 || baseSize > SizeMax {
		return fmt.Errorf("a base of %d bytes is out of range; at most %d", baseSize, int64(SizeMax))
	}
	e := &encoder{ctx: ctx, w: w, module: module, size: size, base: base, baseSize: baseSize}
	var err error
	if e.marks, err = marksOf(ctx, io.NewSectionReader(base, 0, baseSize)); err != nil {
		return fmt.Errorf("read the base: %w", err)
	}
	e.piece = make([]byte, min(PieceBytes, baseSize))
	if form == formDelta {
		e.moved = &moved{}
	}
	return e.run(append([]byte(magic), form))
}

// goodRecipe is how many times smaller than its segment a recipe is when the piece is not even tried as a dictionary, which takes
// twice as long.
const goodRecipe = 64

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
	moved    *moved // nil: no recipes
	shift    int64  // of the segment before: where its code was in the base, from where it is
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
	var head []byte
	if e.base != nil {
		start := e.place(segment, at)
		if _, err := e.base.ReadAt(e.piece, start); err != nil && err != io.EOF {
			return fmt.Errorf("read the base: %w", err)
		}
		head = binary.AppendUvarint(head, uint64(start))
	}
	frame, kind, err := e.frame(segment)
	if err != nil {
		return err
	}
	if e.moved != nil {
		head = append(head, kind)
	}
	if _, err := e.w.Write(append(binary.AppendUvarint(head, uint64(len(frame))), frame...)); err != nil {
		return err
	}
	return nil
}

// frame is the segment in the shortest way that its form knows.
func (e *encoder) frame(segment []byte) (frame []byte, kind byte, err error) {
	// What is made for a base is made once and sent to many, so it is worth the slowest search: less than half the bytes of a
	// patch for a module that moved its data, at 80 ms/MB. For compression the gain is 6 % at six times the time, while a device
	// waits.
	level := zstd.SpeedBetterCompression
	if e.base != nil && len(segment) >= slowestFrom {
		level = zstd.SpeedBestCompression
	}
	var recipe []byte
	if e.moved != nil {
		if text, ok := e.moved.write(e.piece, segment); ok {
			if recipe, err = zip(text, level); err != nil || len(recipe) <= len(segment)/goodRecipe {
				return recipe, kindRecipe, err
			}
		}
	}
	if e.base == nil {
		frame, err = zip(segment, level)
	} else {
		frame, err = zip(segment, level, zstd.WithEncoderDictRaw(dictID, e.piece))
	}
	if recipe != nil && len(recipe) <= len(frame) {
		return recipe, kindRecipe, err
	}
	return frame, kindFrame, err
}

// zip makes a frame. The checksum is left out: the digest of the whole form was checked before it is decoded.
func zip(text []byte, level zstd.EncoderLevel, opts ...zstd.EOption) ([]byte, error) {
	z, err := zstd.NewWriter(nil, append(opts, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithWindowSize(windowBytes),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderLevel(level))...)
	if err != nil {
		return nil, fmt.Errorf("set up zstd: %w", err)
	}
	frame := z.EncodeAll(text, nil)
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("end zstd: %w", err)
	}
	return frame, nil
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
