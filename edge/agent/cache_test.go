package agent

import "testing"

func TestModuleCacheBytes(t *testing.T) {
	for free, want := range map[int64]int64{0: 512 << 20, 10: 64 << 20, 1000: 250 << 20, 100_000: 2 << 30} {
		if got := moduleCacheBytes(free); got != want {
			t.Errorf("with %d MiB free: %d bytes, want %d", free, got, want)
		}
	}
}
