package feasible

import (
	"cmp"
	"math/big"
	"strings"
)

// dimension is what a number measures.
type dimension uint8

const (
	plain dimension = iota
	bytesOf
	bytesPerSecond
	hertz
	watts
)

type unit struct {
	dimension dimension
	scale     *big.Rat // of the base unit: bytes, bytes per second, hertz, watts
}

// units are those that operators of the field write, by their exact spelling:
// mW and MW differ by nothing else.
var units = func() map[string]unit {
	out := map[string]unit{
		"Hz": {hertz, rat(1)}, "kHz": {hertz, rat(1e3)}, "KHz": {hertz, rat(1e3)}, "MHz": {hertz, rat(1e6)}, "GHz": {hertz, rat(1e9)},
		"mW": {watts, big.NewRat(1, 1000)}, "W": {watts, rat(1)}, "kW": {watts, rat(1e3)}, "KW": {watts, rat(1e3)}, "MW": {watts, rat(1e6)}, "GW": {watts, rat(1e9)},
	}
	sizes := map[string]*big.Rat{"B": rat(1), "kB": rat(1e3), "KB": rat(1e3), "KiB": rat(1 << 10)}
	for i, letter := range "MGTPE" {
		decimal, binary := rat(1e3), rat(1<<10)
		for range i + 1 {
			decimal.Mul(decimal, rat(1e3))
			binary.Mul(binary, rat(1<<10))
		}
		sizes[string(letter)+"B"], sizes[string(letter)+"iB"] = decimal, binary
	}
	for name, scale := range sizes {
		out[name], out[name+"/s"] = unit{bytesOf, scale}, unit{bytesPerSecond, scale}
	}
	return out
}()

func rat(n int64) *big.Rat { return big.NewRat(n, 1) }

// quantityDigitsMax bounds what is read as a number: longer text is a name.
const quantityDigitsMax = 40

// quantity is a number with a unit, in the base unit.
type quantity struct {
	value *big.Rat
	of    dimension
}

// parseQuantity reads "2", "-0.5", "2GiB" or "2 GiB". Exponents are not read: no
// attribute has them, and they would let a word of ten bytes fill the memory.
func parseQuantity(s string) (quantity, bool) {
	s = strings.TrimSpace(s)
	end, points := 0, 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.' || end == 0 && (s[end] == '-' || s[end] == '+')) {
		if s[end] == '.' {
			points++
		}
		end++
	}
	number, name := s[:end], strings.TrimSpace(s[end:])
	if end == 0 || end > quantityDigitsMax || points > 1 || strings.HasSuffix(number, ".") {
		return quantity{}, false
	}
	u, known := unit{plain, rat(1)}, true
	if name != "" {
		u, known = units[name]
	}
	v, ok := new(big.Rat).SetString(number)
	if !ok || !known {
		return quantity{}, false
	}
	return quantity{v.Mul(v, u.scale), u.dimension}, true
}

// beside reads a plain number in a unit if the number beside it has one.
func (q quantity) beside(other quantity, name string) quantity {
	if u, known := units[name]; known && q.of == plain && other.of != plain {
		return quantity{new(big.Rat).Mul(q.value, u.scale), u.dimension}
	}
	return q
}

// bareUnits are what attributes that are plain numbers count in, when it is not
// the base unit.
var bareUnits = map[string]string{"cpu.frequency": "MHz", "cpu.totalcompute": "MHz"}

// unit is what a plain number on this side of a rule counts in.
func (t target) unit() string {
	if t.kind != attribute {
		return ""
	}
	return bareUnits[t.text]
}

// compare orders two values: as quantities when both are, else as text. A number
// without a unit, beside one with, counts in the unit that its side is known for,
// else in the base unit. Quantities of different kinds have no order.
func compare(a, b, unitA, unitB string) (order int, ok bool) {
	x, isX := parseQuantity(a)
	y, isY := parseQuantity(b)
	if !isX || !isY {
		return strings.Compare(a, b), true
	}
	x, y = x.beside(y, unitA), y.beside(x, unitB)
	switch {
	case x.of != y.of && x.of != plain && y.of != plain:
		return cmp.Compare(x.of, y.of), false
	}
	return x.value.Cmp(y.value), true
}
