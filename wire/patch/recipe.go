package patch

import "encoding/binary"

// A recipe makes a segment of a piece of the base: how many runs; per run by how much its place differs from the end of the last
// run's, how many bytes come from there and how many follow; then, for each byte of the segment, what moved has left of it, or the
// byte itself. It is as long as the segment and a little, and the segment is made in its own bytes.

// RunsBytesMax bounds what of a recipe is not the segment; a segment that takes more has too little to do with the base.
const RunsBytesMax = 64 << 10

// write makes the recipe of a segment, or says that it would be too long.
func (m *moved) write(piece, segment []byte) ([]byte, bool) {
	runs := align(piece, segment)
	b := binary.AppendUvarint(nil, uint64(len(runs)))
	end := 0
	for _, r := range runs {
		b = binary.AppendVarint(b, int64(r.from-end))
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(r.bytes)), uint64(r.fresh))
		end = r.from + r.bytes
	}
	if len(b) > RunsBytesMax {
		return nil, false
	}
	at := len(b)
	b = append(b, segment...)
	for _, r := range runs {
		m.code(piece[r.from:r.from+r.bytes], b[at:at+r.bytes])
		at += r.bytes + r.fresh
	}
	return b, true
}

// follow makes the segment of want bytes in the recipe's own memory.
func (m *moved) follow(piece, recipe []byte, want int) ([]byte, error) {
	if len(recipe) < want || len(recipe) > want+RunsBytesMax {
		return nil, wrong("a recipe of %d bytes for %d", len(recipe), want)
	}
	segment := recipe[len(recipe)-want:]
	c := cursor{rest: recipe[:len(recipe)-want]}
	at, end := 0, 0
	for n := c.uint(); n > 0 && c.err == nil; n-- {
		from, length := end+c.int(), c.uint()
		fresh := c.uint()
		switch {
		case c.err != nil:
			return nil, c.err
		case from < 0 || from > len(piece) || length > len(piece)-from:
			return nil, wrong("a run of %d bytes from byte %d of a piece of %d", length, from, len(piece))
		case length > want-at || fresh > want-at-length:
			return nil, wrong("runs beyond the %d bytes of a segment", want)
		}
		m.decode(piece[from:from+length], segment[at:at+length])
		at, end = at+length+fresh, from+length
	}
	if c.err == nil && (at != want || len(c.rest) > 0) {
		c.err = wrong("runs for %d of %d bytes, and %d bytes after them", at, want, len(c.rest))
	}
	return segment, c.err
}

// cursor reads numbers that fit a segment or a piece; its first error sticks.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) take(n int) {
	if n <= 0 {
		c.rest, c.err = nil, wrong("the runs of a recipe end within a number")
		return
	}
	c.rest = c.rest[n:]
}

func (c *cursor) uint() int {
	v, n := binary.Uvarint(c.rest)
	if c.take(n); c.err == nil && v > PieceBytes {
		c.err = wrong("a run of %d bytes", v)
	}
	if c.err != nil {
		return 0
	}
	return int(v)
}

func (c *cursor) int() int {
	v, n := binary.Varint(c.rest)
	if c.take(n); c.err == nil && (v > PieceBytes || v < -PieceBytes) {
		c.err = wrong("a run %d bytes from the last", v)
	}
	if c.err != nil {
		return 0
	}
	return int(v)
}
