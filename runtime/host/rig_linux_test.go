package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// The test binary is also the host, and a stand-in for the engine's guest process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "host":
			if err := Main(context.Background(), Options{Dir: os.Args[3], Logger: slog.Default()}); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case "guest":
			os.Exit(guestMain())
		}
	}
	setRaceOptions()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if left := settled(func() []string { return matching(sameProgram) }); len(left) > 0 {
			fmt.Fprintln(os.Stderr, "processes leaked by the tests:", left)
			code = 1
		}
		os.Exit(code)
	}))
}

// setRaceOptions keeps the race detector from sleeping a second at the end of each process. Hosts and guests inherit it.
func setRaceOptions() {
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")); err != nil {
		panic(err)
	}
}

// guestSpec is what the stand-in for a guest is told.
type guestSpec struct {
	Report string // written as it is; "" writes none
	Code   int
	Linger bool
}

func guestMain() int {
	var s guestSpec
	if err := json.NewDecoder(os.NewFile(3, "spec")).Decode(&s); err != nil {
		return 0
	}
	fmt.Println("guest runs in", os.Getpid())
	if s.Linger {
		_, _ = io.Copy(io.Discard, os.Stdin)
		time.Sleep(time.Hour)
	}
	_, _ = io.WriteString(os.NewFile(4, "report"), s.Report)
	return s.Code
}

const testTimeout = 45 * time.Second

// rig is one test's host directory and client.
type rig struct {
	testing.TB
	ctx context.Context
	dir string
	*Client
}

func newRig(t testing.TB) *rig {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	r := &rig{TB: t, ctx: ctx, dir: filepath.Join(t.TempDir(), "host")}
	r.Client = r.client(0)
	t.Cleanup(func() {
		c, err := New(Options{Dir: r.dir})
		if err == nil {
			err = errors.Join(c.Shutdown(context.Background()), c.Close())
		}
		if err != nil {
			t.Error(err)
		}
		if left := settled(func() []string { return matching(r.marked) }); len(left) > 0 {
			t.Errorf("processes left: %v", left)
		}
	})
	return r
}

func (r *rig) client(idle time.Duration) *Client {
	r.Helper()
	c, err := New(Options{Dir: r.dir, Idle: idle})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	return c
}

// id makes a task ID that no other test has, so that processes can be found by it.
func (r *rig) id(name string) string { return r.dir + "/" + name }

// marked reports whether a process belongs to one of the rig's tasks.
func (r *rig) marked(pid int) bool { return strings.HasPrefix(taskOf(pid), r.dir) }

func (r *rig) sh(name, script string) TaskSpec {
	return TaskSpec{
		ID: r.id(name), Kind: KindProcess, Argv: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"},
		Dir: "/", Log: LogSpec{Dir: filepath.Join(r.dir, "logs"), Task: name},
	}
}

func (r *rig) guest(name string, s guestSpec) TaskSpec {
	raw, err := json.Marshal(s)
	if err != nil {
		r.Fatal(err)
	}
	return TaskSpec{ID: r.id(name), Kind: KindWasm, Guest: raw, Log: LogSpec{Dir: filepath.Join(r.dir, "logs"), Task: name}}
}

func (r *rig) start(s TaskSpec) TaskStatus {
	r.Helper()
	st, err := r.Start(r.ctx, s)
	if err != nil {
		r.Fatalf("start %s: %v", s.ID, err)
	}
	return st
}

func (r *rig) wait(id string) Exit {
	r.Helper()
	e, err := r.Wait(r.ctx, id)
	if err != nil {
		r.Fatalf("wait for %s: %v", id, err)
	}
	return e
}

func (r *rig) hostPID() int {
	r.Helper()
	pid, err := r.HostPID(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	return pid
}

func (r *rig) log(name string) string {
	text, _ := os.ReadFile(filepath.Join(r.dir, "logs", name+".stdout.0"))
	return string(text)
}

// await polls until ok, or fails the test.
func (r *rig) await(what string, ok func() bool) {
	r.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-r.ctx.Done():
			r.Fatalf("it never came true: %s", what)
		}
	}
}

func settled(list func() []string) []string {
	for deadline := time.Now().Add(testTimeout); ; <-time.After(5 * time.Millisecond) {
		if left := list(); len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

func sameProgram(pid int) bool {
	us, _ := os.Readlink("/proc/self/exe")
	exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	return err == nil && exe == us
}

func matching(match func(pid int) bool) []string {
	table, err := readProcs()
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, p := range table {
		if p.pid != os.Getpid() && !p.dead() && match(p.pid) {
			cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
			found = append(found, fmt.Sprintf("%d %q", p.pid, cmdline))
		}
	}
	return found
}

func lives(pid int) bool {
	p, err := readProc(pid)
	return err == nil && !p.dead()
}

// killHost kills the host as a crash would, and returns when it is gone.
func (r *rig) killHost() {
	r.Helper()
	pid := r.hostPID()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		r.Fatal(err)
	}
	r.await("the host is gone", func() bool { return !lives(pid) })
}

func (r *rig) residentBytes(pid int) int64 {
	r.Helper()
	p, err := readProc(pid)
	if err != nil {
		r.Fatal(err)
	}
	return p.rssPages * int64(os.Getpagesize())
}
