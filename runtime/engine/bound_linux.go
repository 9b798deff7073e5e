//go:build !race

package engine

import "golang.org/x/sys/unix"

// bound makes the system refuse this process more memory than a compile ahead may hold. RLIMIT_DATA counts private writable
// memory, which is what a compile takes; it stands above the garbage collector's limit, because Go asks for its heap 64 MiB at a
// time and the collector's limit is not exact. The kernel refuses what follows the piece of heap that went over the limit, not that
// piece: Go maps it over space that it had reserved.
func bound() {
	limit := uint64(aheadMemory())
	limit += limit / 8
	_ = unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit})
}
