package patch

// moved guesses how the numbers in code have changed: when a program is rebuilt, its functions and data move, and each call and
// address in it is another number. All that lay together moves together, so what the last one from there became says what the
// next will be. Both ends learn it from what they have in common, and nothing of it is sent.
//
// It does not parse modules: an opcode and a number after it are taken for what they look like. Where they are something else the
// guess is wrong and costs a few bytes. A parser would need the module's beginning before any of its segments, and would tell the
// two ends apart at the first instruction that one of them does not know.
type moved struct {
	calls, places [movedSlots]int32
}

const (
	movedSlots = 1 << 14
	callsNear  = 4  // bits: functions that are thought to move together
	placesNear = 12 // bits: bytes of memory that are thought to move together
)

// What a byte may be the opcode of.
const (
	opOther  = iota
	opCall   // a function follows
	opConst  // a constant follows, which may be a place in memory
	opMemory // an alignment follows, and the place
)

var opcodes = func() (t [256]byte) {
	t[0x10], t[0x41], t[0x42] = opCall, opConst, opConst
	for op := 0x28; op <= 0x3e; op++ {
		t[op] = opMemory
	}
	return t
}()

// Numbers are LEB128; shorter ones than placeBytesMin are seldom places.
const (
	alignmentMax   = 4
	placeBytesMin  = 3
	numberBytesMax = 5
)

// number finds what looks like a number that may have moved after the opcode at b[0]: where it begins, its length (0: there is
// none), its value, and by how much its like moved last.
func (m *moved) number(b []byte) (at, n int, v uint64, last *int32) {
	kind := opcodes[b[0]]
	if at = 1; kind == opMemory {
		if len(b) == 1 || b[1] > alignmentMax {
			return 1, 0, 0, nil
		}
		at = 2
	}
	if v, n = readNumber(b[at:]); kind == opCall {
		return at, n, v, &m.calls[v>>callsNear%movedSlots]
	}
	if n < placeBytesMin {
		n = 0
	}
	return at, n, v, &m.places[v>>placesNear%movedSlots]
}

func readNumber(b []byte) (v uint64, n int) {
	for n < min(len(b), numberBytesMax) {
		v |= uint64(b[n]&0x7f) << (7 * n)
		if n++; b[n-1] < 0x80 {
			return v, n
		}
	}
	return 0, 0
}

// code replaces a text by what is left to say when its base is known; decode does the reverse. Both have the same length.
func (m *moved) code(base, text []byte)   { m.each(base, text, false) }
func (m *moved) decode(base, text []byte) { m.each(base, text, true) }

func (m *moved) each(base, text []byte, decode bool) {
	for i := 0; i < len(base); {
		at, n, v, last := 1, 0, uint64(0), (*int32)(nil)
		if opcodes[base[i]] != opOther {
			at, n, v, last = m.number(base[i:])
		}
		for end := i + at; i < end; i++ {
			if decode {
				text[i] += base[i]
			} else {
				text[i] -= base[i]
			}
		}
		if n == 0 {
			continue
		}
		part := text[i : i+n]
		is, length := readNumber(part)
		guess(part, v+uint64(int64(*last)), decode)
		if decode {
			is, length = readNumber(part)
		}
		if length == n {
			*last = int32(is - v)
		}
		i += n
	}
}

// guess adds the bytes of a number as long as part to it, or takes them away.
func guess(part []byte, v uint64, add bool) {
	for k := range part {
		c := byte(v & 0x7f)
		if v >>= 7; k < len(part)-1 {
			c |= 0x80
		}
		if add {
			part[k] += c
		} else {
			part[k] -= c
		}
	}
}
