package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// running is a process of the rig, started by it or by one of its processes.
type running struct {
	pid  int
	role string // "agent", "host", "guest"
}

// processes finds all processes that carry the rig's mark (see environ), or that
// descend from one: a guest is given an environment of its own.
func (r *rig) processes() ([]running, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	parent, role, ours := map[int]int{}, map[int]string{}, map[int]bool{}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if exe, err := os.Readlink(dir + "/exe"); err != nil || exe != r.program {
			continue // gone meanwhile, another user's, or no concern of ours
		}
		environ, _ := os.ReadFile(dir + "/environ") // an error is that of a process that ended
		cmdline, _ := os.ReadFile(dir + "/cmdline")
		if args := strings.Split(string(cmdline), "\x00"); len(args) > 1 {
			role[pid] = args[1]
		}
		parent[pid] = parentOf(dir)
		ours[pid] = bytes.Contains(environ, []byte(r.dir)) || bytes.Contains(cmdline, []byte(r.dir))
	}
	var out []running
	for pid := range parent {
		for p := pid; p > 1; p = parent[p] {
			if ours[p] {
				out = append(out, running{pid, role[pid]})
				break
			}
		}
	}
	return out, nil
}

func parentOf(dir string) int {
	b, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0
	}
	// The name stands in parentheses and may hold anything; state and parent follow.
	rest := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(rest) < 2 {
		return 0
	}
	n, err := strconv.Atoi(rest[1])
	if err != nil {
		return 0
	}
	return n
}

// memory is one of the kernel's figures on a process, in MB.
func memory(pid int, field string) (float64, error) {
	file := "status"
	if field == "Pss" {
		file = "smaps_rollup"
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	for _, l := range strings.Split(string(b), "\n") {
		name, value, _ := strings.Cut(l, ":")
		if name != field {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s of process %d: %w", field, pid, err)
		}
		return float64(kib) * 1024 / 1e6, nil
	}
	return 0, fmt.Errorf("the kernel does not tell %s of process %d", field, pid)
}

func (p *process) memory(field string) (float64, error) { return memory(p.cmd.Process.Pid, field) }

// cpuTime is the time on a core of all live threads of a process. The scheduler's
// own count is in nanoseconds; the one of /proc/PID/stat, in hundredths of a
// second, is too coarse for an idle agent.
func cpuTime(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	if len(files) == 0 {
		return 0, fmt.Errorf("the kernel does not count the CPU time of process %d's threads", pid)
	}
	var sum time.Duration
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the thread ended meanwhile
		}
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(b), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f, err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}
