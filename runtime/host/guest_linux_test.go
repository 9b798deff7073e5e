package host

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestGuestReports(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name string
		spec guestSpec
		want Exit
	}{
		{"ok", guestSpec{Report: `{"ExitCode":0}`}, Exit{}},
		{"code", guestSpec{Report: `{"ExitCode":300}`, Code: 255}, Exit{Code: 300}},
		{"trap", guestSpec{Report: `{"ExitCode":134,"Trap":"unreachable","OOM":true,"MemoryBytes":1}`, Code: 134}, Exit{Code: 134, Trap: "unreachable", OOM: true}},
		{"error", guestSpec{Report: `{"ExitCode":127,"Error":"no module"}`, Code: 127}, Exit{Code: 127, Err: "no module"}},
		{"none", guestSpec{Code: 2}, Exit{Code: 2, Err: "the guest process ended with code 2 without a report"}},
	} {
		r.start(r.guest(c.name, c.spec))
		e := r.wait(r.id(c.name))
		if e.At = (time.Time{}); e != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, e, c.want)
		}
	}
}

// After the first start a spare waits, and the second start takes it.
func TestSpareGuest(t *testing.T) {
	r := newRig(t)
	r.start(r.guest("first", guestSpec{Report: `{}`}))
	r.wait(r.id("first"))
	host := r.hostPID()
	guests := func() []string {
		return matching(func(pid int) bool { p, err := readProc(pid); return err == nil && p.ppid == host && sameProgram(pid) })
	}
	r.await("a spare waits", func() bool { return len(guests()) == 1 })
	spare := strings.Fields(guests()[0])[0]
	st := r.start(r.guest("second", guestSpec{Linger: true}))
	if strconv.Itoa(st.PID) != spare {
		t.Errorf("the second task runs in %d, the spare was %s", st.PID, spare)
	}
	r.await("another spare waits", func() bool { return len(guests()) == 2 })
	// A spare that has died is not taken.
	for _, g := range guests() {
		if pid, _ := strconv.Atoi(strings.Fields(g)[0]); pid != st.PID {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			r.await("the host has seen it die", func() bool { _, err := readProc(pid); return err != nil })
		}
	}
	r.start(r.guest("third", guestSpec{Report: `{}`}))
	if e := r.wait(r.id("third")); e.Code != 0 || e.Err != "" {
		t.Errorf("third: %+v", e)
	}
}

func TestGuestStops(t *testing.T) {
	r := newRig(t)
	kill, stdin := r.guest("kill", guestSpec{Linger: true}), r.guest("stdin", guestSpec{Linger: true})
	stdin.Stop = StopStdin
	for _, c := range []struct {
		spec     TaskSpec
		grace    time.Duration
		min, max time.Duration
	}{
		{kill, testTimeout, 0, testTimeout / 2},
		{stdin, 200 * time.Millisecond, 200 * time.Millisecond, testTimeout / 2},
	} {
		r.start(c.spec)
		begin := time.Now()
		if err := r.Stop(r.ctx, c.spec.ID, "", c.grace); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < c.min || took > c.max {
			t.Errorf("%s took %v", c.spec.ID, took)
		}
		if e := r.wait(c.spec.ID); e.Signal != "SIGKILL" || e.Err != "" {
			t.Errorf("%s: exit is %+v", c.spec.ID, e)
		}
	}
	if err := r.Signal(r.ctx, kill.ID, "SIGHUP"); !errors.Is(err, ErrNotSupported) {
		t.Errorf("signal: %v", err)
	}
	if _, err := r.Exec(r.ctx, ExecSpec{ID: kill.ID, Argv: []string{"sh"}}, noStdio(t)); !errors.Is(err, ErrNotSupported) {
		t.Errorf("exec: %v", err)
	}
}

// From asking for a start to knowing the end, with a spare guest process.
func BenchmarkGuest(b *testing.B) {
	r := newRig(b)
	for i := range b.N {
		name := strconv.Itoa(i)
		r.start(r.guest(name, guestSpec{Report: `{}`}))
		r.wait(r.id(name))
	}
}
