package engine

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// aheadNice is how much the compiling process gives way: it gets about a tenth of the share of what runs at the usual priority.
const aheadNice = 10

// yield makes this process give way to others and bounds its memory. What a system refuses is left out: a compile without it is
// still right. RLIMIT_DATA counts private writable memory, which is what a compile takes; it stands above the garbage
// collector's limit, because Go asks for its heap 64 MiB at a time and the collector's limit is not exact.
func yield() {
	limit := uint64(AheadMemoryMax + AheadMemoryMax/8)
	_ = unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit})
	// Linux keeps a priority for each thread, and a new one has that of the thread which made it. The second round is for what
	// was made during the first.
	for range 2 {
		threads, _ := os.ReadDir("/proc/self/task")
		for _, t := range threads {
			if id, err := strconv.Atoi(t.Name()); err == nil {
				_ = unix.Setpriority(unix.PRIO_PROCESS, id, aheadNice)
			}
		}
	}
}
