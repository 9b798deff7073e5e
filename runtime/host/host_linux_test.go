package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestHostDies(t *testing.T) {
	r := newRig(t)
	// A shell that has children in its session and out of it, a guest, and a task that has ended.
	tree := r.start(r.sh("tree", "sleep 3600 & setsid sleep 3600 & echo up; wait"))
	guest := r.start(r.guest("guest", guestSpec{Linger: true}))
	r.start(r.sh("ended", "exit 3"))
	r.wait(r.id("ended"))
	r.await("the tree stands", func() bool { return len(matching(r.marked)) == 3 })
	r.await("the guest runs", func() bool { return r.log("guest") != "" })
	ends := make(chan Exit, 1)
	go func() { // a wait that was there before sees it through to the next host
		e, err := r.Wait(r.ctx, r.id("tree"))
		if err != nil {
			e.Err = err.Error()
		}
		ends <- e
	}()
	before := r.hostPID()
	r.killHost()
	r.await("leaders die with their host", func() bool { return !lives(tree.PID) && !lives(guest.PID) })

	for _, id := range []string{r.id("tree"), r.id("guest")} {
		if e := r.wait(id); e.Err != HostDied || e.Code != 137 {
			t.Errorf("%s: exit is %+v", id, e)
		}
	}
	if e := <-ends; e.Err != HostDied {
		t.Errorf("the wait that was there before got %+v", e)
	}
	if e := r.wait(r.id("ended")); e.Code != 3 || e.Err != "" {
		t.Errorf("the end that was there before became %+v", e)
	}
	if now := r.hostPID(); now == before {
		t.Error("the host is the same")
	}
	if left := settled(func() []string { return matching(r.marked) }); len(left) > 0 {
		t.Errorf("the next host left %v", left)
	}
	r.start(r.sh("next", "echo works"))
	if e := r.wait(r.id("next")); e.Code != 0 || r.log("next") != "works\n" {
		t.Errorf("after all that: %+v, %q", e, r.log("next"))
	}
}

func TestHostIgnoresSignalsOfItsSurroundings(t *testing.T) {
	r := newRig(t)
	st := r.start(r.sh("a", "sleep 3600"))
	pid := r.hostPID()
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGTERM, unix.SIGINT} {
		if err := unix.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Status(r.ctx, r.id("a")); err != nil {
		t.Fatal(err)
	}
	p, err := readProc(pid)
	if err != nil || p.session == 0 || p.ppid == os.Getpid() {
		t.Errorf("the host is %+v, %v; want it in its own session and not our child", p, err)
	}
	if us, _ := readProc(os.Getpid()); us.session == p.session {
		t.Error("the host is in our session")
	}
	if !lives(st.PID) {
		t.Error("the task is gone")
	}
}

func TestHostEndsWhenIdle(t *testing.T) {
	r := newRig(t)
	r.Client = r.client(50 * time.Millisecond)
	r.start(r.sh("a", "sleep 0.3; exit 5"))
	pid := r.hostPID()
	if e := r.wait(r.id("a")); e.Code != 5 {
		t.Fatalf("exit is %+v; the host must not end under a task", e)
	}
	r.await("the host ends", func() bool { return !lives(pid) })
	if e := r.wait(r.id("a")); e.Code != 5 {
		t.Errorf("the next host answers %+v", e)
	}
	if err := r.Forget(r.ctx, r.id("a")); err != nil {
		t.Fatal(err)
	}
	if err := r.Shutdown(r.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Wait(r.ctx, r.id("a")); !errors.Is(err, ErrTaskGone) {
		t.Errorf("without host and records: %v", err)
	}
	if list, err := r.List(r.ctx); len(list) != 0 || err != nil {
		t.Errorf("list: %v, %v", list, err)
	}
	if left := settled(func() []string { return matching(sameProgram) }); len(left) > 0 {
		t.Errorf("asking about nothing started %v", left) // a host would stay: it has launchTimeout to be asked
	}
}

func TestClientsStartOneHost(t *testing.T) {
	r := newRig(t)
	const n = 8
	found := make(chan int, n)
	for range n {
		c := r.client(0)
		go func() {
			pid, err := c.HostPID(r.ctx)
			if err != nil {
				t.Error(err)
			}
			found <- pid
		}()
	}
	first := <-found
	for range n - 1 {
		if pid := <-found; pid != first {
			t.Errorf("two hosts, %d and %d", first, pid)
		}
	}
	err := Main(r.ctx, Options{Dir: r.dir})
	if !errors.Is(err, errBusy) {
		t.Errorf("a host beside the host: %v", err)
	}
}

func TestDirectoryThatOthersMayEnter(t *testing.T) {
	r := newRig(t)
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Start(r.ctx, r.sh("a", "true")); err == nil || !strings.Contains(err.Error(), "must be 0700") {
		t.Errorf("start: %v", err)
	}
	if err := os.Chmod(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestLongDirectory(t *testing.T) {
	r := newRig(t)
	r.dir = filepath.Join(r.dir, strings.Repeat("long/", 40))
	r.Client = r.client(0)
	r.start(r.sh("a", "true"))
	r.wait(r.id("a"))
	if err := r.Shutdown(r.ctx); err != nil {
		t.Fatal(err)
	}
}

// The kill of a stop does not depend on who asked for it.
func TestStopGoesOnWithoutItsClient(t *testing.T) {
	r := newRig(t)
	r.start(r.sh("a", "trap 'echo asked' TERM; echo up; while :; do sleep 0.01; done"))
	r.await("the trap is set", func() bool { return r.log("a") != "" })
	ctx, cancel := context.WithCancel(r.ctx)
	stopped := make(chan error, 1)
	go func() { stopped <- r.Stop(ctx, r.id("a"), "", time.Second) }()
	r.await("the stop is under way", func() bool { return strings.Contains(r.log("a"), "asked") })
	cancel()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Fatalf("stop: %v", err)
	}
	if e := r.wait(r.id("a")); e.Signal != "SIGKILL" || e.Err != "" {
		t.Errorf("exit is %+v", e)
	}
}

func TestKilledFromOutside(t *testing.T) {
	r := newRig(t)
	st := r.start(r.sh("a", "sleep 3600"))
	if err := unix.Kill(st.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := r.wait(r.id("a")); !strings.Contains(e.Err, "from outside") {
		t.Errorf("exit is %+v", e)
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t)
	r.start(r.sh("ended", "true"))
	r.wait(r.id("ended"))
	bad := r.sh("bad", "true")
	bad.Dir = "/no/such/dir"
	_, startErr := r.Start(r.ctx, bad)
	_, execErr := r.Exec(r.ctx, ExecSpec{ID: r.id("ended"), Argv: []string{"sh"}}, noStdio(t))
	_, waitErr := r.Wait(r.ctx, r.id("none"))
	for _, c := range []struct {
		name string
		err  error
		code Code
		want string
	}{
		{"start in a missing directory", startErr, CodeStart, "/no/such/dir"},
		{"signal after the end", r.Signal(r.ctx, r.id("ended"), "HUP"), CodeBadRequest, "has ended"},
		{"exec after the end", execErr, CodeBadRequest, "has ended"},
		{"stop with a bad signal", r.Stop(r.ctx, r.id("ended"), "BAD", 0), CodeBadRequest, `"BAD" is not the name`},
		{"wait for nothing", waitErr, CodeGone, "not known"},
	} {
		if CodeOf(c.err) != c.code || c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: got %v, want code %s and %q", c.name, c.err, c.code, c.want)
		}
	}
	list, err := r.List(r.ctx)
	if err != nil || len(list) != 1 || list[0].ID != r.id("ended") || list[0].Exit == nil || list[0].PID != 0 {
		t.Errorf("list is %+v, %v", list, err)
	}
}

// A peer that does not speak the protocol is told or dropped, and harms nobody.
func TestStrangePeers(t *testing.T) {
	r := newRig(t)
	r.start(r.sh("a", "sleep 3600"))
	talk := func(send []byte) []byte {
		conn, err := dial(r.ctx, r.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(testTimeout)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(send); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(conn) // a reset is an answer too
		return answer
	}
	talk([]byte("GET / HTTP/1.1\r\n\r\n"))
	newer, _ := appendFrame(nil, hello{VersionMin: 99, VersionMax: 99})
	if answer := talk(newer); !bytes.Contains(answer, []byte("no common protocol version")) {
		t.Errorf("a newer client is told %q", answer)
	}
	frames, _ := appendFrame(nil, ourHello(1))
	frames, _ = appendFrame(frames, request{ID: 5, Op: "dance"})
	frames, _ = appendFrame(frames, request{ID: 6, Op: opStop, Body: json.RawMessage(`{"ID":7}`)})
	if answer := talk(frames); len(answer) == 0 {
		t.Error("no answer at all")
	}
	if _, err := r.Status(r.ctx, r.id("a")); err != nil {
		t.Errorf("the others are harmed: %v", err)
	}
}

func TestManyWaitsOnOneLink(t *testing.T) {
	r := newRig(t)
	r.start(r.sh("a", "sleep 3600"))
	const n = 300
	ends := make(chan error, n)
	for i := range n {
		ctx, cancel := context.WithCancel(r.ctx)
		defer cancel()
		if i%2 == 0 {
			time.AfterFunc(10*time.Millisecond, cancel)
		}
		go func() {
			_, err := r.Wait(ctx, r.id("a"))
			ends <- err
		}()
	}
	for range n / 2 {
		if err := <-ends; !errors.Is(err, context.Canceled) {
			t.Fatalf("a cancelled wait: %v", err)
		}
	}
	if err := r.Stop(r.ctx, r.id("a"), "", time.Second); err != nil {
		t.Fatal(err)
	}
	for range n / 2 {
		if err := <-ends; err != nil {
			t.Errorf("wait: %v", err)
		}
	}
}

func TestClosedClient(t *testing.T) {
	r := newRig(t)
	r.start(r.sh("a", "sleep 3600"))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Status(r.ctx, r.id("a")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

// From asking for a start to knowing the end of a small process.
func BenchmarkProcess(b *testing.B) {
	r := newRig(b)
	for i := range b.N {
		name := strconv.Itoa(i)
		r.start(r.sh(name, "exit 0"))
		r.wait(r.id(name))
	}
	b.ReportMetric(float64(r.residentBytes(r.hostPID()))/(1<<20), "host-MiB")
}

// Tasks that the host holds, and what holding one costs it.
func BenchmarkHostMemoryPerTask(b *testing.B) {
	r := newRig(b)
	empty := r.residentBytes(r.hostPID())
	const n = 200
	for b.Loop() {
		for i := range n {
			name := strconv.Itoa(i)
			s := r.sh(name, "")
			s.Argv = []string{"/bin/sleep", "3600"}
			r.start(s)
		}
		b.ReportMetric(float64(r.residentBytes(r.hostPID())-empty)/n/1024, "KiB/task")
		b.ReportMetric(float64(empty)/(1<<20), "empty-MiB")
		for i := range n {
			if err := r.Forget(r.ctx, r.id(strconv.Itoa(i))); err != nil {
				b.Fatal(err)
			}
		}
	}
}
