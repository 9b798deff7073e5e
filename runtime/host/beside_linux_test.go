package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// noStdio is for commands that neither read nor write.
func noStdio(t testing.TB) [3]*os.File {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	return [3]*os.File{null, null, null}
}

// shIn is a task in a folder of its own.
func (r *rig) shIn(name, script string) TaskSpec {
	spec := r.sh(name, script)
	spec.Dir = r.TempDir()
	return spec
}

// beside runs a shell script beside a task and returns what it wrote, and how it ended.
func (r *rig) beside(ctx context.Context, id, script, input string) (stdout, stderr string, res ExecResult, err error) {
	r.Helper()
	files := make([]*os.File, 0, 6) // read and write ends
	for range 3 {
		a, b, err := os.Pipe()
		if err != nil {
			r.Fatal(err)
		}
		files = append(files, a, b)
	}
	if _, err := io.WriteString(files[1], input); err != nil {
		r.Fatal(err)
	}
	files[1].Close()
	res, err = r.Exec(ctx, ExecSpec{ID: id, Argv: []string{"/bin/sh", "-c", script}}, [3]*os.File{files[0], files[3], files[5]})
	for _, i := range []int{0, 3, 5} {
		files[i].Close()
	}
	out, err1 := io.ReadAll(files[2])
	errs, err2 := io.ReadAll(files[4])
	if err := errors.Join(err1, err2); err != nil {
		r.Fatal(err)
	}
	files[2].Close()
	files[4].Close()
	return string(out), string(errs), res, err
}

func TestExec(t *testing.T) {
	r := newRig(t)
	spec := r.shIn("a", "sleep 3600")
	spec.Env = append(spec.Env, "GREETING=hello")
	r.start(spec)
	out, errs, res, err := r.beside(r.ctx, spec.ID, "pwd; echo $GREETING; cat; echo oops >&2; exit 5", "typed")
	if err != nil || out != spec.Dir+"\nhello\ntyped" || errs != "oops\n" || res != (ExecResult{Code: 5}) {
		t.Errorf("exec: %q, %q, %+v, %v", out, errs, res, err)
	}
	if _, _, res, err := r.beside(r.ctx, spec.ID, "kill -TERM $$", ""); err != nil || res != (ExecResult{Code: 143, Signal: "SIGTERM"}) {
		t.Errorf("a killed command: %+v, %v", res, err)
	}
	for want, argv := range map[string][]string{
		"no-such-program": {"no-such-program"}, "no command": {}, "is a directory": {"/"}, "zero byte": {"sh", "\x00"},
	} {
		if _, err := r.Exec(r.ctx, ExecSpec{ID: spec.ID, Argv: argv}, noStdio(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("exec of %q: %v, want %q", argv, err, want)
		}
	}
}

// TestExecInATerminal: the command is controlled by its terminal, sees its size, and is hung up on with it.
func TestExecInATerminal(t *testing.T) {
	r := newRig(t)
	spec := r.shIn("a", "sleep 3600")
	r.start(spec)
	term, err := OpenTerminal()
	if err != nil {
		t.Fatal(err)
	}
	if err := term.Resize(33, 111); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(term.Ours, "word\n"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		res, err := r.Exec(r.ctx, ExecSpec{ID: spec.ID, Argv: []string{"/bin/sh", "-c", "stty size; tty; echo $TERM; read x; echo got $x >/dev/tty"}, Terminal: true},
			[3]*os.File{term.Theirs, term.Theirs, term.Theirs})
		if err == nil && res.Code != 0 {
			err = fmt.Errorf("it ended with %+v", res)
		}
		done <- errors.Join(err, term.Theirs.Close())
	}()
	var text strings.Builder
	for buf := make([]byte, 100); ; {
		n, err := term.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("it ended with %v", err)
			}
			break
		}
	}
	if err := errors.Join(<-done, term.Ours.Close()); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"33 111\r\n", "/dev/pts/", "xterm\r\n", "got word\r\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in %q", want, text.String())
		}
	}
}

// TestExecLeavesNothing: what a command started ends with it, in its session and out of it, and with whoever asked for it.
func TestExecLeavesNothing(t *testing.T) {
	const start = "sleep 3601 & setsid sleep 3602 & (setsid sh -c 'sleep 3603 & sleep 3604' &) ; "
	for _, tc := range []struct {
		name, script string
		end          func(r *rig, id string, cancel func())
	}{
		{"the command ends", start + "exit 0", nil},
		{"the operator leaves", start + "touch up; wait", func(_ *rig, _ string, cancel func()) { cancel() }},
		{"the operator leaves and the command does not care", "trap '' HUP; " + start + "touch up; while :; do sleep 1; done", func(_ *rig, _ string, cancel func()) { cancel() }},
		{"the agent leaves", start + "touch up; wait", func(r *rig, _ string, _ func()) {
			if err := r.Close(); err != nil {
				r.Error(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			spec := r.shIn("a", "sleep 3600")
			r.start(spec)
			ctx, cancel := context.WithCancel(r.ctx)
			defer cancel()
			done := make(chan struct{})
			stdio := noStdio(t)
			go func() {
				defer close(done)
				_, _ = r.Exec(ctx, ExecSpec{ID: spec.ID, Argv: []string{"/bin/sh", "-c", tc.script}}, stdio)
			}()
			if tc.end != nil {
				r.await("the command is up", func() bool { _, err := os.Stat(filepath.Join(spec.Dir, "up")); return err == nil })
				tc.end(r, spec.ID, cancel)
			}
			<-done
			beside := func(pid int) bool { return r.marked(pid) && markOf(pid, envExec) != "" }
			if left := settled(func() []string { return matching(beside) }); len(left) > 0 {
				t.Errorf("processes left: %v", left)
			}
			other := r.client(0)
			if s, err := other.Status(r.ctx, spec.ID); err != nil || s.Exit != nil {
				t.Errorf("the task itself: %+v, %v", s, err)
			}
		})
	}
}

// TestExecEndsWithTheTask: it does not keep a task that has ended from being reported.
func TestExecEndsWithTheTask(t *testing.T) {
	r := newRig(t)
	spec := r.shIn("a", "while ! [ -e up ]; do sleep 0.01; done; exit 3")
	r.start(spec)
	_, _, res, err := r.beside(r.ctx, spec.ID, "trap '' HUP TERM; touch up; while :; do sleep 1; done", "")
	if err != nil || res.Signal != "SIGKILL" {
		t.Errorf("the command: %+v, %v", res, err)
	}
	if e, err := r.Wait(r.ctx, spec.ID); err != nil || e.Code != 3 {
		t.Errorf("the task: %+v, %v", e, err)
	}
}

// TestExecsAreBoundedAndKeepNoDescriptors: the host holds none of what it is handed for longer than a start takes.
func TestExecsAreBoundedAndKeepNoDescriptors(t *testing.T) {
	r := newRig(t)
	spec := r.shIn("a", "sleep 3600")
	r.start(spec)
	host := r.hostPID()
	open := func() int {
		entries, err := os.ReadDir("/proc/" + strconv.Itoa(host) + "/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := open()
	stdio := noStdio(t)
	ctx, cancel := context.WithCancel(r.ctx)
	ended := make(chan error, ExecsMax)
	for range ExecsMax {
		go func() {
			_, err := r.Exec(ctx, ExecSpec{ID: spec.ID, Argv: []string{"/bin/sleep", "3600"}}, stdio)
			ended <- err
		}()
	}
	sleeping := func() []string {
		return matching(func(pid int) bool {
			exe, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
			return r.marked(pid) && markOf(pid, envExec) != "" && strings.Contains(string(exe), "sleep")
		})
	}
	r.await("all commands run", func() bool { return len(sleeping()) == ExecsMax })
	_, err := r.Exec(r.ctx, ExecSpec{ID: spec.ID, Argv: []string{"true"}}, stdio)
	if CodeOf(err) != CodeLimit || !strings.Contains(err.Error(), strconv.Itoa(ExecsMax)) {
		t.Errorf("one too many: %v", err)
	}
	cancel()
	for range ExecsMax {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a command ended with %v", err)
		}
	}
	r.await("the host lets go of all", func() bool { return len(sleeping()) == 0 && open() <= before })
}

// TestStrangeDescriptors: those that nobody asked for are closed, and a wrong number of them is refused.
func TestStrangeDescriptors(t *testing.T) {
	r := newRig(t)
	spec := r.shIn("a", "sleep 3600")
	r.start(spec)
	l, err := r.connect(r.ctx, true)
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := l.call(r.ctx, opList, nil, writer); err != nil {
		t.Errorf("a list with a descriptor: %v", err)
	}
	_, err = l.call(r.ctx, opExec, []byte(`{"ID":"`+spec.ID+`","Argv":["true"]}`), writer, writer)
	if CodeOf(err) != CodeBadRequest || !strings.Contains(err.Error(), "2 descriptors came along") {
		t.Errorf("two descriptors: %v", err)
	}
	if _, err := l.call(r.ctx, opExec, []byte(`nonsense`), writer, writer, writer); err == nil {
		t.Error("nonsense was carried out")
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(reader); err != nil || len(b) > 0 { // ends only when the host has closed all of its own
		t.Errorf("read %q, %v", b, err)
	}
}

func TestBesides(t *testing.T) {
	table := []proc{
		{pid: 100, ppid: 1, state: 'S'},
		{pid: 110, ppid: 100, session: 110, state: 'S'},                                                  // another task
		{pid: 121, ppid: 100, session: 120, state: 'S'}, {pid: 122, ppid: 121, session: 122, state: 'S'}, // of the session, and its child out of it
		{pid: 130, ppid: 100, session: 130, state: 'S'}, {pid: 131, ppid: 130, session: 130, state: 'Z'}, // marked, and a dead child
		{pid: 140, ppid: 1, session: 120, state: 'S'}, {pid: 111, ppid: 110, session: 110, state: byte('R')}, // not ours
	}
	var got []int
	for _, p := range besides(table, 100, 120, func(pid int) bool { return pid == 130 }) {
		got = append(got, p.pid)
	}
	if slices.Sort(got); !slices.Equal(got, []int{121, 122, 130}) {
		t.Errorf("got %v", got)
	}
}
