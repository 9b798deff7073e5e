package module

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

var errCut = errors.New("ends in the middle of an entry")

// cursor walks the bytes of one section. Its first error sticks, so that callers check once per entry, not per field.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
		c.b = nil
	}
}

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.fail(errCut)
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.fail(errCut)
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

// uint reads an unsigned LEB128 of at most the given bits.
func (c *cursor) uint(bits int) uint64 {
	var v uint64
	for shift := 0; shift < bits; shift += 7 {
		b := c.byte()
		if c.err != nil {
			return 0
		}
		if rest := bits - shift; rest < 7 && b&0x7f >= 1<<rest {
			break
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	c.fail(fmt.Errorf("has a number of more than %d bits", bits))
	return 0
}

func (c *cursor) u32() uint32 { return uint32(c.uint(32)) }

// count reads the length of a vector and holds it to its limit.
func (c *cursor) count(what string, limit uint32) int {
	n := c.u32()
	if n > limit {
		c.fail(fmt.Errorf("has %d %s, more than the limit of %d", n, what, limit))
		return 0
	}
	return int(n)
}

// name reads a length-prefixed UTF-8 string.
func (c *cursor) name() string {
	n := c.u32()
	if n > NameBytesMax {
		c.fail(fmt.Errorf("has a name of %d bytes, more than the limit of %d", n, NameBytesMax))
		return ""
	}
	b := c.take(uint64(n))
	if !utf8.Valid(b) {
		c.fail(errors.New("has a name that is not UTF-8"))
		return ""
	}
	return string(b)
}
