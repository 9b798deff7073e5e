// Package codec is the handful of primitives from which every hand-written
// binary form of Dunlin is made: messages on links, replicated commands, rows
// of a checkpoint.
//
// Integers are unsigned varints (LEB128, as in encoding/binary) unless a fixed
// width is said; strings and bytes are length-prefixed; time is Unix
// nanoseconds as a zig-zag varint. Writing appends to a byte slice and cannot
// fail. Reading goes through a [Reader] whose first error sticks, so a decoder
// reads field after field and asks once at the end.
//
// Invariant: no length that was read is trusted before it is compared with a
// limit given by the caller and with the bytes that are left, so a short hostile
// input cannot make a decoder allocate more than a small multiple of its size.
//
// Threading: values are not synchronised; a Reader belongs to one goroutine.
package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrShort says that the input ended within a value.
var ErrShort = errors.New("input ends within a value")

// AppendUint appends v as a varint.
func AppendUint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// AppendInt appends v as a zig-zag varint.
func AppendInt(b []byte, v int64) []byte { return binary.AppendVarint(b, v) }

// AppendBool appends one byte, 0 or 1.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendString appends the length and the bytes of s.
func AppendString[T ~string](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendBytes appends the length and the bytes of p.
func AppendBytes(b, p []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(p))), p...)
}

// Reader reads values from one byte slice. After its first error every read
// returns zero.
type Reader struct {
	rest []byte
	err  error
}

// NewReader reads from b, which must not change while it is read.
func NewReader(b []byte) *Reader { return &Reader{rest: b} }

// Fail records err as the reader's error, unless it has one already.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
		r.rest = nil
	}
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Left is how many bytes have not been read.
func (r *Reader) Left() int { return len(r.rest) }

// Close returns the first error, or an error when bytes are left over.
func (r *Reader) Close() error {
	if r.err == nil && len(r.rest) > 0 {
		return fmt.Errorf("%d bytes are left over after the last field", len(r.rest))
	}
	return r.err
}

// Uint reads a varint.
func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.Fail(ErrShort)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// UintMax reads a varint that may be at most limit.
func (r *Reader) UintMax(what string, limit uint64) uint64 { return r.within("", what, limit) }

// within is UintMax of a thing in two words, which are joined only for an error: a million statuses are read without one.
func (r *Reader) within(of, what string, limit uint64) uint64 {
	v := r.Uint()
	if v > limit {
		r.Fail(fmt.Errorf("%s%s is %d; at most %d is allowed", of, what, v, limit))
		return 0
	}
	return v
}

// Int reads a zig-zag varint.
func (r *Reader) Int() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.Fail(ErrShort)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.rest) == 0 {
		r.Fail(ErrShort)
		return 0
	}
	v := r.rest[0]
	r.rest = r.rest[1:]
	return v
}

// Bool reads one byte that must be 0 or 1, so that every value has one form.
func (r *Reader) Bool() bool {
	v := r.Byte()
	if v > 1 {
		r.Fail(fmt.Errorf("a boolean is %d, not 0 or 1", v))
	}
	return v == 1
}

// Raw reads n bytes. The result aliases the input.
func (r *Reader) Raw(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.Fail(ErrShort)
		return nil
	}
	v := r.rest[:n:n]
	r.rest = r.rest[n:]
	return v
}

// Bytes reads length-prefixed bytes, at most limit. The result aliases the
// input.
func (r *Reader) Bytes(what string, limit int) []byte {
	return r.Raw(int(r.within("the length of ", what, uint64(limit))))
}

// String reads a length-prefixed string of at most limit bytes.
func (r *Reader) String(what string, limit int) string {
	return string(r.Bytes(what, limit))
}

// Count reads the length of a list of at most limit items, each of which takes
// at least minBytes: a count that cannot fit in what is left is an error before
// anything is allocated for it.
func (r *Reader) Count(what string, limit, minBytes int) int {
	n := int(r.within("the number of ", what, uint64(limit)))
	if n*max(1, minBytes) > len(r.rest) {
		r.Fail(fmt.Errorf("%d %s cannot fit in the %d bytes left: %w", n, what, len(r.rest), ErrShort))
		return 0
	}
	return n
}

// List reads a list as Count bounds it; nil when it is empty.
func List[T any](r *Reader, what string, limit, minBytes int, read func(*Reader) T) []T {
	n := r.Count(what, limit, minBytes)
	if n == 0 {
		return nil
	}
	out := make([]T, n)
	for i := range out {
		out[i] = read(r)
	}
	return out
}

// UUID reads 16 bytes.
func (r *Reader) UUID() (u [16]byte) {
	copy(u[:], r.Raw(16))
	return u
}
