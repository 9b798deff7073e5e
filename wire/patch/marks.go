package patch

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
)

// marks are places of a text that are found again wherever they have moved: a place is marked when the rolling hash of the 64
// bytes before it has a run of zeroes, about once per markEvery bytes. A hash that occurs twice marks nothing.
type marks map[uint64]int64

const (
	markShift = 53 // 11 bits of zeroes
	markEvery = 1 << (64 - markShift)
	nowhere   = -1
)

// gear gives each byte a random-looking word; the hash shifts left by one per byte, so that bytes leave it after 64.
var gear = func() (t [256]uint64) {
	for i := range t {
		x := uint64(i+1) * 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		t[i] = x ^ x>>31
	}
	return t
}()

func marksOf(ctx context.Context, r io.Reader) (marks, error) {
	m := marks{}
	b := bufio.NewReaderSize(r, 256<<10)
	var h uint64
	for at := int64(0); ; at++ {
		c, err := b.ReadByte()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return nil, err
		}
		if at&(1<<22-1) == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if h = h<<1 + gear[c]; h>>markShift == 0 {
			if _, again := m[h]; again {
				m[h] = nowhere
			} else {
				m[h] = at
			}
		}
	}
}

// shift is the median of how far the text's marks lie in m from where they are here.
func (m marks) shift(text []byte, at int64) (int64, bool) {
	shifts := make([]int64, 0, len(text)/markEvery+1)
	var h uint64
	for i, c := range text {
		if h = h<<1 + gear[c]; h>>markShift != 0 {
			continue
		}
		if there, ok := m[h]; ok && there != nowhere {
			shifts = append(shifts, there-(at+int64(i)))
		}
	}
	if len(shifts) == 0 {
		return 0, false
	}
	slices.Sort(shifts)
	return shifts[len(shifts)/2], true
}
