package road

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/sim/ports"
)

// Limits of waits. They are long, for slow and busy machines: a test that passes never waits for them.
const (
	startLimit   = time.Minute     // for a process to be ready
	settleLimit  = 2 * time.Minute // for a region to reach what was asked
	commandLimit = 3 * time.Minute // for one command line
	endLimit     = time.Minute     // for a process to end after SIGTERM, or after SIGKILL
	pollEvery    = 20 * time.Millisecond
	logTailBytes = 6 << 10 // shown of each log on failure
)

// binary is the program under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "dunlin-road-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "dunlin")
	build := exec.Command("go", "build", "-o", binary, "./cmd/dunlin")
	build.Dir = filepath.Join("..", "..")
	code := 1
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// longTest marks what the short run (under the race detector) leaves out.
func longTest(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out with -short")
	}
}

// rig is one test's folder, environment and processes.
type rig struct {
	testing.TB
	dir  string
	addr string   // what commands are told; empty: they find out by themselves
	logs []string // files shown on failure
}

func newRig(t testing.TB) *rig {
	r := &rig{TB: t, dir: t.TempDir()}
	t.Cleanup(func() {
		killBelow(t, r.dir)
		if t.Failed() {
			for _, path := range r.logs {
				t.Logf("%s:\n%s", filepath.Base(path), tail(path))
			}
		}
	})
	return r
}

func (r *rig) path(elem ...string) string { return filepath.Join(append([]string{r.dir}, elem...)...) }

func (r *rig) write(name, text string) string {
	r.Helper()
	path := r.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
	return path
}

func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(b) > logTailBytes {
		b = b[len(b)-logTailBytes:]
	}
	return string(b)
}

// environ is the user's, without what would lead a command to somebody else's region.
func (r *rig) environ() []string {
	env := []string{"XDG_RUNTIME_DIR=" + r.dir, "DUNLIN_ADDR=" + r.addr}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "DUNLIN_") && !strings.HasPrefix(kv, "NOMAD_") && !strings.HasPrefix(kv, "XDG_RUNTIME_DIR=") {
			env = append(env, kv)
		}
	}
	return env
}

// result is how a command line ended.
type result struct {
	args     []string
	out, err string
	code     int
	took     time.Duration
}

func (x result) String() string {
	return fmt.Sprintf("dunlin %s: exit %d\nstdout: %s\nstderr: %s", strings.Join(x.args, " "), x.code, x.out, x.err)
}

// dunlin runs a command line to its end.
func (r *rig) dunlin(args ...string) result {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Dir = r.environ(), r.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	err := cmd.Run()
	x := result{args: args, out: out.String(), err: errs.String(), took: time.Since(start)}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		r.Fatalf("%v\nnot ended after %s", x, commandLimit)
	case errors.As(err, &exit):
		x.code = exit.ExitCode()
	case err != nil:
		r.Fatalf("dunlin %v: %v", args, err)
	}
	return x
}

// ok runs a command line that must succeed and returns its output.
func (r *rig) ok(args ...string) string {
	r.Helper()
	x := r.dunlin(args...)
	if x.code != 0 {
		r.Fatal(x)
	}
	return x.out
}

// fails runs a command line that must end with that exit code and have these words on standard error (on standard output
// when the code is 3, which is an answer and no error).
func (r *rig) fails(code int, words []string, args ...string) result {
	r.Helper()
	x := r.dunlin(args...)
	if x.code != code {
		r.Errorf("want exit code %d: %v", code, x)
	}
	text := x.err
	if code == 3 {
		text = x.out
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			r.Errorf("want %q said: %v", w, x)
		}
	}
	return x
}

// readJSON runs a read with -json and decodes it.
func readJSON[T any](r *rig, args ...string) T {
	r.Helper()
	var v T
	text := r.ok(append(args, "-json")...)
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		r.Fatalf("dunlin %v -json: %v in:\n%s", args, err, text)
	}
	return v
}

// until polls until f has nothing more to complain of.
func until(t testing.TB, limit time.Duration, what string, f func() error) {
	t.Helper()
	if err := wait(limit, f); err != nil {
		t.Fatalf("waited %s for %s: %v", limit, what, err)
	}
}

func wait(limit time.Duration, f func() error) error {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-end.C:
			return err
		case <-tick.C:
		}
	}
}

// daemon is a running agent.
type daemon struct {
	r    *rig
	name string
	cmd  *exec.Cmd
	out  string // file of its standard output
	done chan struct{}
}

// start starts an agent. Its output goes on where the one of that name before it ended.
func (r *rig) start(name string, args ...string) *daemon {
	r.Helper()
	d := &daemon{r: r, name: name, out: r.path(name + ".out"), done: make(chan struct{})}
	d.cmd = exec.Command(binary, args...)
	d.cmd.Env, d.cmd.Dir = r.environ(), r.dir
	var files []*os.File
	for _, path := range []string{d.out, r.path(name + ".log")} {
		if _, err := os.Stat(path); err != nil {
			r.logs = append(r.logs, path)
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			r.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	d.cmd.Stdout, d.cmd.Stderr = files[0], files[1]
	if err := d.cmd.Start(); err != nil {
		r.Fatal(err)
	}
	go func() {
		defer close(d.done)
		_ = d.cmd.Wait() // how it ended is in its ProcessState
	}()
	r.Cleanup(d.kill)
	return d
}

// kill ends it with SIGKILL and waits until it is gone.
func (d *daemon) kill() {
	if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.r.Errorf("kill %s: %v", d.name, err)
	}
	<-d.done
}

// stop ends it as a service manager does, and wants exit code 0.
func (d *daemon) stop() {
	d.r.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.r.Fatalf("stop %s: %v; it ended by itself: %v", d.name, err, d.cmd.ProcessState)
	}
	select {
	case <-d.done:
		if code := d.cmd.ProcessState.ExitCode(); code != 0 {
			d.r.Errorf("%s ended with exit code %d", d.name, code)
		}
	case <-time.After(endLimit):
		d.kill()
		d.r.Fatalf("%s did not end within %s of SIGTERM", d.name, endLimit)
	}
}

func (d *daemon) ended() error {
	select {
	case <-d.done:
		return fmt.Errorf("%s has ended: %v", d.name, d.cmd.ProcessState)
	default:
		return nil
	}
}

// freeTCP and freeUDP are loopback addresses that stay free while their server is away.
func freeTCP(t testing.TB) string { return free(t, "tcp") }
func freeUDP(t testing.TB) string { return free(t, "udp") }

func free(t testing.TB, network string) string {
	t.Helper()
	addr, err := ports.Draw(network)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
