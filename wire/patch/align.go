package patch

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// run says how a stretch of a text comes from a base: bytes of it from a place on, each with what was added to it, and then bytes
// that are nowhere in the base.
type run struct{ from, bytes, fresh int }

const (
	anchorBytes = 16 // that must be equal before a place of the base is thought of
	anchorBits  = 22 // of the slots of a whole piece, which has as many places
	// anchorGain is how many bytes more a place must explain than the one that is followed already.
	anchorGain = 8
)

// anchors finds places of a base by the bytes there; the first of equal ones.
type anchors struct {
	base  []byte
	slots []int32 // place + 1
	shift int     // from a hash to a slot
}

func anchorsOf(base []byte) *anchors {
	n := min(anchorBits, bits.Len(uint(len(base))))
	a := &anchors{base, make([]int32, 1<<n), 64 - n}
	for i := 0; i+anchorBytes <= len(base); i++ {
		if s := &a.slots[a.slot(base[i:])]; *s == 0 {
			*s = int32(i + 1)
		}
	}
	return a
}

func (a *anchors) slot(b []byte) uint64 {
	x := binary.LittleEndian.Uint64(b)*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(b[8:])*0xbf58476d1ce4e5b9
	return (x ^ x>>29) * 0x94d049bb133111eb >> a.shift
}

// find is a place whose first bytes are those of b.
func (a *anchors) find(b []byte) (int, bool) {
	at := int(a.slots[a.slot(b)]) - 1
	return at, at >= 0 && bytes.Equal(a.base[at:at+anchorBytes], b[:anchorBytes])
}

// align finds where in the base each stretch of the text comes from. A stretch goes on over bytes that differ, as long as most are
// equal: a rebuilt program is the old one in which addresses have moved everywhere.
func align(base, text []byte) []run {
	a := aligner{anchors: anchorsOf(base), text: text}
	for at := 0; at+anchorBytes <= len(text); {
		if n := a.equal(at+a.offset, at); n >= anchorBytes {
			at += n
			continue
		}
		place, ok := a.find(text[at:])
		if !ok {
			at++
			continue
		}
		n := a.equal(place, at)
		if n <= a.agree(at+a.offset, at, n)+anchorGain {
			at++
			continue
		}
		a.turn(place, at)
		at += n
	}
	a.end()
	return a.runs
}

type aligner struct {
	*anchors
	text   []byte
	runs   []run
	from   int // where the open stretch begins in the base
	at     int // and in the text
	offset int // from the text to the base
}

// equal is how many bytes are the same from two places on.
func (a *aligner) equal(from, at int) int {
	if from < 0 || from >= len(a.base) {
		return 0
	}
	b, t := a.base[from:], a.text[at:]
	for i := range min(len(b), len(t)) {
		if b[i] != t[i] {
			return i
		}
	}
	return min(len(b), len(t))
}

// agree is how many of n bytes are the same.
func (a *aligner) agree(from, at, n int) int {
	same := 0
	for i := max(0, -from); i < n && from+i < len(a.base); i++ {
		if a.base[from+i] == a.text[at+i] {
			same++
		}
	}
	return same
}

// turn ends the open stretch and opens one whose bytes are equal from a place of the base on. The new one begins earlier if that
// explains more than it leaves open; where both want the same bytes, they part where most agree.
func (a *aligner) turn(place, at int) {
	ahead := a.forward(at)
	back := a.backward(place, at)
	if over := ahead + back - (at - a.at); over > 0 {
		best, score, keep := 0, 0, 0
		for i := range over {
			k := ahead - over + i
			if a.base[a.from+k] == a.text[a.at+k] {
				score++
			}
			if a.base[place-back+i] == a.text[at-back+i] {
				score--
			}
			if score > best {
				best, keep = score, i+1
			}
		}
		ahead += keep - over
		back -= keep
	}
	a.runs = append(a.runs, run{a.from, ahead, at - back - a.at - ahead})
	a.from, a.at, a.offset = place-back, at-back, place-at
}

func (a *aligner) end() {
	ahead := a.forward(len(a.text))
	a.runs = append(a.runs, run{a.from, ahead, len(a.text) - a.at - ahead})
}

// forward is how far the open stretch explains more than half of what follows, at most to a place of the text.
func (a *aligner) forward(to int) int {
	best, score, length := 0, 0, 0
	for i := 0; a.at+i < to && a.from+i < len(a.base); i++ {
		if a.base[a.from+i] == a.text[a.at+i] {
			score++
		} else {
			score--
		}
		if score > best {
			best, length = score, i+1
		}
	}
	return length
}

// backward is the same before two places, at most to where the open stretch begins.
func (a *aligner) backward(place, at int) int {
	best, score, length := 0, 0, 0
	for i := 1; at-i >= a.at && place-i >= 0; i++ {
		if a.base[place-i] == a.text[at-i] {
			score++
		} else {
			score--
		}
		if score > best {
			best, length = score, i
		}
	}
	return length
}
