package engine

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// aheadNice is how much the compiling process gives way: it gets about a tenth of the share of what runs at the usual priority.
const aheadNice = 10

// yield makes this process give way to others. What a system refuses is left out: a compile without it is still right.
func yield() {
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

// memoryBytes is the machine's memory; 0 is unknown.
func memoryBytes() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(uint64(info.Totalram) * uint64(info.Unit))
}
