package drivertest

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/drivertest/program"
)

// text collects output, for a reader that watches it grow.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// execs says whether the driver runs commands; if not, it checks that it refuses them in words.
func (f *fixture) execs(h driver.Handle) bool {
	f.Helper()
	if f.d.Capabilities().Exec {
		return true
	}
	_, err := f.d.Exec(f.ctx, h, driver.ExecRequest{Argv: []string{"/bin/true"}})
	f.wantRefused(err, driver.FacilityExec)
	return false
}

// shell starts a script beside a task.
func (f *fixture) shell(ctx context.Context, h driver.Handle, script string, req driver.ExecRequest) driver.Command {
	f.Helper()
	req.Argv = []string{"/bin/sh", "-c", script}
	c, err := f.d.Exec(ctx, h, req)
	if err != nil {
		f.Fatalf("exec: %v", err)
	}
	return c
}

// testExec: a command has the task's directory and environment, its streams apart, and its code; much output comes whole.
func testExec(f *fixture) {
	task, h := f.run(program.Spec{Linger: true})
	if !f.execs(h) {
		return
	}
	var stdout, stderr text
	c := f.shell(f.ctx, h, "pwd; echo $GREETING; echo oops >&2; exit 5", driver.ExecRequest{Stdout: &stdout, Stderr: &stderr})
	if code, err := c.Wait(); err != nil || code != 5 || stdout.String() != task.TaskDir+"\nhello from the job\n" || stderr.String() != "oops\n" {
		f.Errorf("exec: code %d, %v, stdout %q, stderr %q", code, err, stdout.String(), stderr.String())
	}
	var flood text
	c = f.shell(f.ctx, h, "head -c 3000000 /dev/zero", driver.ExecRequest{Stdout: &flood})
	if code, err := c.Wait(); err != nil || code != 0 || len(flood.String()) != 3_000_000 {
		f.Errorf("exec with much output: code %d, %v, %d bytes", code, err, len(flood.String()))
	}
	if code, err := f.shell(f.ctx, h, "kill -KILL $$", driver.ExecRequest{}).Wait(); err != nil || code != 137 {
		f.Errorf("a killed command: code %d, %v", code, err)
	}
	none, err := f.d.Exec(f.ctx, h, driver.ExecRequest{Argv: []string{"no-such-program"}})
	if err == nil {
		_, err = none.Wait()
	}
	if err == nil || !strings.Contains(err.Error(), "no-such-program") {
		f.Errorf("exec of a program that does not exist: %v", err)
	}
	if err := f.d.Stop(f.ctx, h, "", time.Second); err != nil {
		f.Fatal(err)
	}
	if _, err := f.d.Exec(f.ctx, h, driver.ExecRequest{Argv: []string{"/bin/true"}}); err == nil || !strings.Contains(err.Error(), "ended") {
		f.Errorf("exec in a task that has ended: %v", err)
	}
}

// testExecInput: what is given arrives, and its end too; a command that does not read it ends all the same.
func testExecInput(f *fixture) {
	_, h := f.run(program.Spec{Linger: true})
	if !f.execs(h) {
		return
	}
	var stdout text
	c := f.shell(f.ctx, h, "read x; echo got $x; cat", driver.ExecRequest{Stdout: &stdout})
	say := func(s string) {
		if _, err := io.WriteString(c, s); err != nil {
			f.Fatalf("input: %v", err)
		}
	}
	say("one\n")
	f.await("the command answers", func() bool { return stdout.String() == "got one\n" })
	say("two")
	if err := c.Resize(24, 80); err != nil {
		f.Errorf("a size without a terminal: %v", err)
	}
	if err := c.CloseInput(); err != nil {
		f.Errorf("the end of input: %v", err)
	}
	if code, err := c.Wait(); err != nil || code != 0 || stdout.String() != "got one\ntwo" {
		f.Errorf("code %d, %v, %q", code, err, stdout.String())
	}
	deaf := f.shell(f.ctx, h, "exec sleep 0.2", driver.ExecRequest{})
	written := make(chan error, 1)
	go func() {
		_, err := deaf.Write(make([]byte, 1<<20))
		written <- err
	}()
	if code, err := deaf.Wait(); err != nil || code != 0 {
		f.Errorf("a command that does not read: code %d, %v", code, err)
	}
	if err := <-written; err == nil {
		f.Error("a megabyte was taken by a command that does not read")
	}
	if err := errors.Join(deaf.CloseInput(), deaf.Resize(1, 1)); err != nil {
		f.Errorf("after the end: %v", err)
	}
}

// testExecTerminal: with a terminal a command knows its size and is interrupted by a key.
func testExecTerminal(f *fixture) {
	_, h := f.run(program.Spec{Linger: true})
	if !f.execs(h) {
		return
	}
	var screen text
	c := f.shell(f.ctx, h, `test -t 0 && test -t 1 && test -t 2 && echo all
		trap 'stty size' WINCH; trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.01; done`, driver.ExecRequest{Terminal: true, Stdout: &screen})
	f.await("the command is ready", func() bool { return strings.Contains(screen.String(), "ready\r\n") })
	if err := c.Resize(41, 137); err != nil {
		f.Errorf("resize: %v", err)
	}
	f.await("the new size arrives", func() bool { return strings.Contains(screen.String(), "41 137\r\n") })
	if _, err := c.Write([]byte{3}); err != nil { // control-C
		f.Errorf("input: %v", err)
	}
	if code, err := c.Wait(); err != nil || code != 9 || !strings.HasPrefix(screen.String(), "all\r\n") || !strings.Contains(screen.String(), "interrupted") {
		f.Errorf("code %d, %v, %q", code, err, screen.String())
	}
	screen = text{}
	c = f.shell(f.ctx, h, "cat; echo end", driver.ExecRequest{Terminal: true, Stdout: &screen})
	if err := c.CloseInput(); err != nil {
		f.Errorf("the end of input: %v", err)
	}
	if code, err := c.Wait(); err != nil || code != 0 || !strings.Contains(screen.String(), "end\r\n") {
		f.Errorf("code %d, %v, %q", code, err, screen.String())
	}
}

// broken is an operator who has gone.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("nobody is here") }

// testExecEnds: a command ends with its context, with who reads it, with the driver's instance and with the task. That nothing is
// left of it is what newFixture checks of every test.
func testExecEnds(f *fixture) {
	task, h := f.run(program.Spec{Linger: true})
	if !f.execs(h) {
		return
	}
	const stay = "sleep 3600 & setsid sleep 3600 & touch $0; wait"
	start := func(ctx context.Context, name string, req driver.ExecRequest) driver.Command {
		up := filepath.Join(task.TaskDir, name)
		req.Argv = []string{"/bin/sh", "-c", stay, up}
		c, err := f.d.Exec(ctx, h, req)
		if err != nil {
			f.Fatalf("exec: %v", err)
		}
		f.await("the command is up", func() bool { _, err := os.Stat(up); return err == nil })
		return c
	}
	ctx, cancel := context.WithCancel(f.ctx)
	c := start(ctx, "canceled", driver.ExecRequest{})
	cancel()
	if _, err := c.Wait(); !errors.Is(err, context.Canceled) {
		f.Errorf("beyond its context: %v", err)
	}
	if _, err := f.shell(f.ctx, h, "while :; do echo x; sleep 0.01; done", driver.ExecRequest{Stdout: broken{}}).Wait(); !errors.Is(err, context.Canceled) {
		f.Errorf("without a reader: %v", err)
	}
	c = start(f.ctx, "left", driver.ExecRequest{Terminal: true})
	f.restart()
	if _, err := c.Wait(); err == nil {
		f.Error("a command outlived the instance that started it")
	}
	c = start(f.ctx, "stopped", driver.ExecRequest{})
	if err := f.d.Stop(f.ctx, h, "", time.Second); err != nil {
		f.Fatal(err)
	}
	if code, err := c.Wait(); err != nil || code != 137 {
		f.Errorf("after the task's end: code %d, %v", code, err)
	}
	f.wait(h)
}

// await polls until ok, or fails the test.
func (f *fixture) await(what string, ok func() bool) {
	f.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-f.ctx.Done():
			f.Fatalf("it never came true: %s", what)
		}
	}
}
