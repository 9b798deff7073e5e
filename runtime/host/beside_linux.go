package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Commands beside tasks. The host only forks and watches: standard input, output and error are descriptors of whoever asked, so a
// slow reader at the far end of a link costs the host no memory, and what is typed does not pass through it.

// stdioFiles is how many descriptors come with an exec.
const stdioFiles = 3

// defaultTerm is what a command in a terminal is told that it is, when the task's environment does not say.
const defaultTerm = "xterm"

// exec runs a command beside a process task until it ends. It closes files as soon as the command has its own.
func (s *server) exec(ctx context.Context, b ExecSpec, files []*os.File) (ExecResult, error) {
	t, err := s.find(b.ID)
	switch {
	case err != nil:
		return ExecResult{}, err
	case t.rec.Kind == KindWasm:
		return ExecResult{}, refuse(CodeNotSupported, "task %q is a Wasm guest, which cannot run commands", b.ID)
	case len(b.Argv) == 0 || b.Argv[0] == "":
		return ExecResult{}, refuse(CodeBadRequest, "exec in task %q: no command", b.ID)
	case slices.ContainsFunc(b.Argv, func(word string) bool { return strings.ContainsRune(word, 0) }):
		return ExecResult{}, refuse(CodeBadRequest, "exec in task %q: a word of the command contains a zero byte", b.ID)
	case len(files) != stdioFiles:
		return ExecResult{}, refuse(CodeBadRequest, "exec in task %q: %d descriptors came along; want %d", b.ID, len(files), stdioFiles)
	}
	serial, err := s.beginExec(t)
	if err != nil {
		return ExecResult{}, err
	}
	defer s.endExec(t)
	c, err := s.startBeside(t, b, files, serial)
	if err != nil {
		return ExecResult{}, err
	}
	closeFiles(files) // ours would keep its readers from the end of its output
	select {
	case <-c.exited:
	case <-ctx.Done():
		s.hangUp(t, c)
	case <-t.execCtx.Done(): // the end of a task does not wait for anybody's manners
	}
	_ = s.children.signalGroup(c, unix.SIGKILL) // ESRCH: it has ended
	<-c.exited
	if err := s.killBeside(c, serial); err != nil {
		s.log.Warn("a command beside a task left processes behind", "task", b.ID, "err", err)
	}
	s.children.release(c)
	if ctx.Err() != nil {
		return ExecResult{}, ctx.Err()
	}
	exit := exitOf(c.status, nil, true, s.now())
	return ExecResult{Code: exit.Code, Signal: exit.Signal}, nil
}

// beginExec counts a command, and gives it a number that no other of this host has.
func (s *server) beginExec(t *task) (serial uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.execs >= ExecsMax {
		return 0, refuse(CodeLimit, "%d commands run beside tasks here, which is the limit; end one", s.execs)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.running() || t.execCtx.Err() != nil {
		return 0, refuse(CodeBadRequest, "exec in task %q: it has ended", t.rec.ID)
	}
	t.execs.Add(1)
	s.execs++
	s.execSerial++
	return s.execSerial, nil
}

func (s *server) endExec(t *task) {
	s.mu.Lock()
	s.execs--
	s.mu.Unlock()
	t.execs.Done()
}

func (s *server) startBeside(t *task, b ExecSpec, files []*os.File, serial uint64) (*child, error) {
	path, err := lookUp(b.Argv[0], t.spec.Dir, t.spec.Env)
	if err != nil {
		return nil, err
	}
	env := slices.Clone(t.spec.Env)
	if b.Terminal && !slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "TERM=") }) {
		env = append(env, "TERM="+defaultTerm)
	}
	env = append(env, envTask+"="+b.ID, envExec+"="+strconv.FormatUint(serial, 10))
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd()) // in blocking mode, as programs expect
	}
	return s.children.start(command{owner: b.ID, path: path, argv: b.Argv, env: env, dir: t.spec.Dir, files: fds, terminal: b.Terminal})
}

// hangUp tells a command that whoever asked for it is gone, as the end of a terminal line does, and gives it a moment.
func (s *server) hangUp(t *task, c *child) {
	if s.children.signalGroup(c, unix.SIGHUP) != nil {
		return // it has just ended
	}
	grace := time.NewTimer(execGrace)
	defer grace.Stop()
	select {
	case <-c.exited:
	case <-grace.C:
	case <-t.execCtx.Done():
	}
}

// killBeside kills what a command that has ended left running: what is in its session, carries its number, or descends from such a
// process. Nobody would be there to see it, and a task's own end would come too late.
func (s *server) killBeside(c *child, serial uint64) error {
	if found, err := s.children.strangers(); err == nil && !found {
		return nil // what it left are orphans, and there are none
	}
	mark := strconv.FormatUint(serial, 10)
	deadline := time.Now().Add(strayTimeout)
	for pause := strayPause; ; pause = min(2*pause, 50*time.Millisecond) {
		table, err := readProcs()
		if err != nil {
			return err
		}
		left := besides(table, os.Getpid(), c.pid, func(pid int) bool { return markOf(pid, envTask) == c.owner && markOf(pid, envExec) == mark })
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes survive SIGKILL, the first is %d in state %c", len(left), left[0].pid, left[0].state)
		}
		for _, p := range left {
			killExact(p)
		}
		time.Sleep(pause)
	}
}

// besides picks the descendants of the host that belong to the command whose first process, now ended and not yet released, had
// the number leader: its number is still the name of its session alone.
func besides(table []proc, host, leader int, marked func(pid int) bool) []proc {
	byParent := map[int][]proc{}
	for _, p := range table {
		byParent[p.ppid] = append(byParent[p.ppid], p)
	}
	type item struct {
		proc
		ours bool
	}
	var queue []item
	for _, p := range byParent[host] {
		queue = append(queue, item{proc: p})
	}
	var left []proc
	seen := map[int]bool{host: true} // a table read piece by piece may show a parent twice
	for len(queue) > 0 {
		it := queue[0]
		queue = queue[1:]
		if seen[it.pid] {
			continue
		}
		seen[it.pid] = true
		it.ours = it.ours || it.session == leader || marked(it.pid)
		if it.ours && !it.dead() {
			left = append(left, it.proc)
		}
		for _, p := range byParent[it.pid] {
			queue = append(queue, item{p, it.ours})
		}
	}
	return left
}

// handed reads a connection and keeps the descriptors that come along with its bytes. The kernel gives those of one message with
// its first bytes, and never bytes of the next message with them: so after a frame was read, what is here is that frame's.
type handed struct {
	conn *net.UnixConn
	oob  [oobBytes]byte
	fds  []int
}

// oobBytes has room for the descriptors of one exec; the kernel drops more than fit.
const oobBytes = 64

func (h *handed) Read(p []byte) (int, error) {
	n, oobn, _, _, err := h.conn.ReadMsgUnix(p, h.oob[:])
	if oobn > 0 {
		messages, parseErr := unix.ParseSocketControlMessage(h.oob[:oobn])
		for i := range messages {
			fds, rightsErr := unix.ParseUnixRights(&messages[i])
			h.fds, parseErr = append(h.fds, fds...), errors.Join(parseErr, rightsErr)
		}
		if err == nil && parseErr != nil {
			err = fmt.Errorf("descriptors from a client: %w", parseErr)
		}
	}
	return n, err
}

// take gives the descriptors of the last frame to the caller.
func (h *handed) take() []*os.File {
	var files []*os.File
	for _, fd := range h.fds {
		files = append(files, os.NewFile(uintptr(fd), "stdio"))
	}
	h.fds = nil
	return files
}
