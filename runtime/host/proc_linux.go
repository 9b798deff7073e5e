package host

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is USER_HZ, which Linux fixes at 100 for all that programs see.
const ticksPerSecond = 100

// proc is one line of the process table.
type proc struct {
	pid, ppid, session int
	state              byte
	start              uint64 // clock ticks after boot
	cpuTicks           int64  // own and of children waited for
	rssPages           int64
}

func (p proc) dead() bool { return p.state == 'Z' || p.state == 'X' }

// parseStat reads the text of /proc/PID/stat. The program's name stands in parentheses and may hold any byte, so fields are
// counted from the last one.
func parseStat(text []byte) (proc, error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 1 || end < open {
		return proc{}, fmt.Errorf("process table: no program name in %.80q", text)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:open])))
	if err != nil {
		return proc{}, fmt.Errorf("process table: %w", err)
	}
	f := strings.Fields(string(text[end+1:]))
	const fieldsMin = 22 // state is field 3 of proc(5), rss is field 24
	if len(f) < fieldsMin {
		return proc{}, fmt.Errorf("process table: %d fields after the name of %d, want %d", len(f), pid, fieldsMin)
	}
	var firstErr error
	num := func(field int) int64 { // field as numbered in proc(5)
		n, err := strconv.ParseInt(f[field-3], 10, 64)
		if err != nil && firstErr == nil {
			firstErr = fmt.Errorf("process table: field %d of %d: %w", field, pid, err)
		}
		return n
	}
	p := proc{
		pid: pid, state: f[0][0],
		ppid: int(num(4)), session: int(num(6)),
		cpuTicks: num(14) + num(15) + num(16) + num(17),
		start:    uint64(num(22)), rssPages: num(24),
	}
	return p, firstErr
}

func readProc(pid int) (proc, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return proc{}, err
	}
	return parseStat(text)
}

// readProcs reads the whole process table. Processes that end meanwhile are left out.
func readProcs() ([]proc, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("process table: %w", err)
	}
	defer d.Close() //nolint:errcheck // read-only
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("process table: %w", err)
	}
	var table []proc
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, err := readProc(pid); err == nil {
			table = append(table, p)
		}
	}
	return table, nil
}

// envTask marks every process of a task with the task's ID. It is how processes that left the task's session, and those of a
// host that died, are told to be ours.
const envTask = "DUNLIN_TASK_INSTANCE"

// envExec marks every process of a command beside a task with the command's number, next to the task's mark.
const envExec = "DUNLIN_EXEC_SERIAL"

// taskOf reads the mark of a process, "" if it has none or cannot be read.
func taskOf(pid int) string { return markOf(pid, envTask) }

func markOf(pid int, key string) string {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return ""
	}
	for kv := range bytes.SplitSeq(env, []byte{0}) {
		if v, ok := bytes.CutPrefix(kv, []byte(key+"=")); ok {
			return string(v)
		}
	}
	return ""
}

// killExact kills the process that p describes and no other: the number is checked again through a descriptor that cannot
// change its meaning.
func killExact(p proc) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		if now, err := readProc(p.pid); err == nil && now.start == p.start {
			_ = unix.Kill(p.pid, unix.SIGKILL) // a kernel without pidfd; who has ended meanwhile needs no kill
		}
		return
	}
	defer unix.Close(fd) //nolint:errcheck // read-only
	if now, err := readProc(p.pid); err == nil && now.start == p.start {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // who has ended meanwhile needs no kill
	}
}

// bootID tells one boot from the next; process numbers and start times mean nothing across.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
