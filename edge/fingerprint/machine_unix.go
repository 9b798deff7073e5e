//go:build unix

package fingerprint

import (
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// disk is the size of the file system that holds dir, and what is free on it
// for others than root, in MiB.
func disk(dir string) (total, free int64, ok bool) {
	var s unix.Statfs_t
	if dir == "" || unix.Statfs(dir, &s) != nil {
		return 0, 0, false
	}
	block := uint64(s.Bsize)
	return int64(uint64(s.Blocks) * block >> 20), int64(uint64(s.Bavail) * block >> 20), true
}

// systemMemoryMB asks systems that have no /proc.
func systemMemoryMB() int64 {
	if runtime.GOOS != "darwin" {
		return 0
	}
	out, err := exec.Command("/usr/sbin/sysctl", "-n", "hw.memsize").Output()
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return 0
	}
	return n >> 20
}
