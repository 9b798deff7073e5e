package server

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestTrimIsWorthIt(t *testing.T) {
	const mb = 1 << 20
	before := footprint{allocated: 1000 * mb}
	for name, c := range map[string]struct {
		now  footprint
		want bool
	}{
		"quiet, and much is unused":  {footprint{live: 200 * mb, unused: 100 * mb, allocated: 1010 * mb}, true},
		"at work":                    {footprint{live: 200 * mb, unused: 100 * mb, allocated: 1100 * mb}, false},
		"a small server":             {footprint{live: 20 * mb, unused: 20 * mb, allocated: 1001 * mb}, false},
		"a large one with few holes": {footprint{live: 900 * mb, unused: 100 * mb, allocated: 1001 * mb}, false},
	} {
		if got := c.now.worth(before); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestMeasure: garbage counts as unused, and what was given back does not.
func TestMeasure(t *testing.T) {
	const size = 64 << 20
	debug.FreeOSMemory()
	b := make([]byte, size)
	for i := range b {
		b[i] = 1
	}
	held := measure()
	runtime.KeepAlive(b)
	b = nil
	debug.FreeOSMemory()
	after := measure()
	if held.allocated < size || after.unused >= size || after.live+after.unused+size/2 > held.live+held.unused {
		t.Errorf("with %d bytes held: %+v; given back: %+v", size, held, after)
	}
}
