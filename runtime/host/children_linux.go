package host

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// children forks and reaps every child of the host. One reaper waits for any child, because orphans of tasks become our
// children too; os/exec, which waits for the processes it started, would fight with it over their ends.
type children struct {
	forks chan forkCall
	quit  chan struct{}
	wg    sync.WaitGroup

	mu    sync.Mutex // held while forking and registering, so that the reaper meets no child it does not know
	byPID map[int]*child
}

// child is a process that the host itself started. It stays registered until release, so that what it left behind can still
// be told by its session.
type child struct {
	pid    int
	owner  string
	start  uint64        // start time in clock ticks after boot; with pid it names one process for ever
	exited chan struct{} // closed by the reaper
	status unix.WaitStatus
	dead   bool // guarded by children.mu
}

// command is what to fork. Files become the child's descriptors from 0.
type command struct {
	owner, path, dir string
	argv, env        []string
	files            []int
	terminal         bool // file 0 is a terminal, to be the one that controls the process
}

type forkCall struct {
	cmd    command
	answer chan forkAnswer
}

type forkAnswer struct {
	child *child
	err   error
}

func newChildren() *children {
	c := &children{forks: make(chan forkCall), quit: make(chan struct{}), byPID: map[int]*child{}}
	c.wg.Add(2)
	sigs := make(chan os.Signal, 1) // one pending wake-up is enough: each reaps all
	signal.Notify(sigs, unix.SIGCHLD)
	go c.fork()
	go c.reap(sigs)
	return c
}

// close ends both goroutines. The forking thread ends with them, and so does every child that is left.
func (c *children) close() {
	close(c.quit)
	c.wg.Wait()
}

// fork runs on one thread for ever: the kernel sends PDEATHSIG when the thread that forked ends, and the Go runtime ends
// threads as it likes.
func (c *children) fork() {
	defer c.wg.Done()
	runtime.LockOSThread()
	for {
		select {
		case call := <-c.forks:
			ch, err := c.forkOne(call.cmd)
			call.answer <- forkAnswer{ch, err}
		case <-c.quit:
			return // without unlocking, so that the thread ends too
		}
	}
}

func (c *children) forkOne(cmd command) (*child, error) {
	files := make([]uintptr, len(cmd.files))
	for i, fd := range cmd.files {
		files[i] = uintptr(fd)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := syscall.ForkExec(cmd.path, cmd.argv, &syscall.ProcAttr{
		Dir:   cmd.dir,
		Env:   cmd.env,
		Files: files,
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: cmd.terminal, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return nil, err
	}
	ch := &child{pid: pid, owner: cmd.owner, exited: make(chan struct{})}
	if p, err := readProc(pid); err == nil { // a child that has ended is a zombie until we reap it, so its entry is there
		ch.start = p.start
	}
	c.byPID[pid] = ch
	return ch, nil
}

// start forks and execs. Its error is an *Error that says whether trying again can help.
func (c *children) start(cmd command) (*child, error) {
	call := forkCall{cmd, make(chan forkAnswer, 1)}
	select {
	case c.forks <- call:
	case <-c.quit:
		return nil, errClosing
	}
	a := <-call.answer
	if a.err != nil {
		return nil, startRefusal(cmd, a.err)
	}
	return a.child, nil
}

func startRefusal(cmd command, err error) *Error {
	for _, transient := range []error{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE, unix.ETXTBSY} {
		if errors.Is(err, transient) {
			return refuse(CodeResource, "start %s in %s: %v", cmd.path, cmd.dir, err)
		}
	}
	if errors.Is(err, unix.ENOENT) {
		if _, statErr := os.Stat(cmd.dir); statErr != nil {
			return refuse(CodeStart, "working directory %s: %v", cmd.dir, statErr)
		}
		if _, statErr := os.Stat(cmd.path); statErr == nil {
			return refuse(CodeStart, "start %s: its interpreter or loader is missing", cmd.path)
		}
	}
	return refuse(CodeStart, "start %s: %v", cmd.path, err)
}

func (c *children) reap(sigs chan os.Signal) {
	defer c.wg.Done()
	defer signal.Stop(sigs)
	for {
		select {
		case <-sigs:
			c.reapAll()
		case <-c.quit:
			return
		}
	}
}

func (c *children) reapAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ch := c.byPID[pid]; ch != nil && !ch.dead {
			ch.status, ch.dead = ws, true
			close(ch.exited)
		}
	}
}

// release drops a child that has ended and whose leftovers are gone.
func (c *children) release(ch *child) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byPID[ch.pid] == ch { // the kernel may have given the number to a newer child
		delete(c.byPID, ch.pid)
	}
}

// disown gives a child another owner: a spare guest becomes a task's.
func (c *children) disown(ch *child, owner string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch.owner = owner
}

// signalGroup signals a child's process group. The lock keeps the child from being reaped meanwhile, so the number is its own.
func (c *children) signalGroup(ch *child, sig unix.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch.dead {
		return unix.ESRCH
	}
	if err := unix.Kill(-ch.pid, sig); err != nil {
		return fmt.Errorf("signal process group %d: %w", ch.pid, err)
	}
	return nil
}

// owners is who owns each child that the host started, by PID.
func (c *children) owners() map[int]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := make(map[int]string, len(c.byPID))
	for pid, ch := range c.byPID {
		m[pid] = ch.owner
	}
	return m
}

// strangers reports whether the host has a living or dead child that it did not start: an orphan of some task. It is much
// cheaper than the process table. /proc documents the list as exact only while no child is reaped, which the lock sees to;
// children of a thread that ends move to the first one, which is therefore read last.
func (c *children) strangers() (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	const threads = "/proc/self/task"
	d, err := os.Open(threads)
	if err != nil {
		return false, fmt.Errorf("list threads: %w", err)
	}
	defer d.Close() //nolint:errcheck // read-only
	tids, err := d.Readdirnames(-1)
	if err != nil {
		return false, fmt.Errorf("list threads: %w", err)
	}
	first := strconv.Itoa(os.Getpid())
	tids = append(slices.DeleteFunc(tids, func(tid string) bool { return tid == first }), first)
	for _, tid := range tids {
		list, err := os.ReadFile(threads + "/" + tid + "/children")
		if err != nil && tid == first {
			return false, fmt.Errorf("list children: %w", err) // a kernel without CONFIG_PROC_CHILDREN
		}
		for word := range strings.FieldsSeq(string(list)) { // empty for a thread that has ended meanwhile
			pid, err := strconv.Atoi(word)
			if ch := c.byPID[pid]; err != nil || ch == nil || ch.dead {
				return true, nil
			}
		}
	}
	return false, nil
}
