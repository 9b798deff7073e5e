package host

import (
	"bytes"
	"os"
	"strconv"
)

// written sums what the host and its children have written. The kernel adds the count of a child that was waited for to its
// parent's; those that run are asked one by one. A child that ends between the two questions is missing until the next time, so
// the sum may fall for a moment: whoever adds it up takes the highest.
func (s *server) written() Written {
	w := Written{Began: s.began, Logs: s.logBytes.Load()}
	all, ok := diskWrites("self")
	if !ok {
		return w
	}
	for _, pid := range s.children.alive() {
		if n, ok := diskWrites(strconv.Itoa(pid)); ok { // it may have ended, or belong to somebody else by now
			all += n
		}
	}
	w.All = &all
	return w
}

func (c *children) alive() (pids []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for pid, ch := range c.byPID {
		if !ch.dead {
			pids = append(pids, pid)
		}
	}
	return pids
}

// diskWrites is what the kernel says a process has sent to disks. Kernels without accounting have no such file.
func diskWrites(process string) (int64, bool) {
	b, err := os.ReadFile("/proc/" + process + "/io")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("write_bytes:")); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
