package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/sim/ports"
)

// Limits of a rig.
const (
	readyTimeout = 45 * time.Second     // for a process to say what it is waited for
	stopTimeout  = 45 * time.Second     // from the polite signal to the other one
	pollEvery    = 5 * time.Millisecond // of things that nobody tells
	outputMax    = 2 << 10              // of a failed process, shown in the error
)

// rig is the folder and the processes of one line.
type rig struct {
	program string
	dir     string // short, as Unix sockets live in it
	local   string // where the joined device's agent tells its state
	started []*process
}

func newRig(program string) (*rig, error) {
	dir, err := os.MkdirTemp("", "db-")
	if err != nil {
		return nil, err
	}
	return &rig{program: program, dir: dir}, nil
}

func (r *rig) path(parts ...string) string {
	return filepath.Join(append([]string{r.dir}, parts...)...)
}

// environ is that of all processes of the rig. The folder in it is also the mark
// by which processes that outlive their parent are found again.
func (r *rig) environ() []string {
	return append(os.Environ(), "TMPDIR="+r.dir, "XDG_RUNTIME_DIR="+r.dir, "DUNLIN_ADDR=", "NOMAD_ADDR=", "DUNLIN_TOKEN=", "NOMAD_TOKEN=")
}

// process is one that the rig started.
type process struct {
	name   string
	cmd    *exec.Cmd
	output string // file with what it prints
	ended  chan struct{}
}

// start runs the program until the rig is closed.
func (r *rig) start(name string, args ...string) (*process, error) {
	return r.startWith(name, nil, args...)
}

// startWith is start with more in the environment.
func (r *rig) startWith(name string, environ []string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(r.program, args...), output: r.path(name + ".out"), ended: make(chan struct{})}
	out, err := os.Create(p.output)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env, p.cmd.Dir = out, out, append(r.environ(), environ...), r.dir
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	r.started = append(r.started, p)
	go func() {
		_ = p.cmd.Wait() // how it ended shows in its output
		close(p.ended)
	}()
	return p, nil
}

// command runs the program to its end and returns what it printed.
func (r *rig) command(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, r.program, args...)
	c.Env, c.Dir = r.environ(), r.dir
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("dunlin %s: %w: %s", args[0], err, tail(out))
	}
	return string(out), nil
}

// says waits until the process has printed a text, and returns all it printed.
func (p *process) says(ctx context.Context, text string) (string, error) {
	var out []byte
	err := until(ctx, readyTimeout, func() (bool, error) {
		var err error
		if out, err = os.ReadFile(p.output); err != nil {
			return false, err
		}
		select {
		case <-p.ended:
			return false, fmt.Errorf("%s ended: %s", p.name, tail(out))
		default:
			return bytes.Contains(out, []byte(text)), nil
		}
	})
	if err != nil {
		return "", fmt.Errorf("wait for %q of %s: %w: %s", text, p.name, err, tail(out))
	}
	return string(out), nil
}

// stop ends the process and waits for it.
func (p *process) stop() error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may end by itself meanwhile
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.ended:
		return nil
	case <-timer.C:
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	return fmt.Errorf("%s did not stop within %s of SIGTERM and was killed", p.name, stopTimeout)
}

// close ends all processes, the newest first, then what outlived them, and
// removes the folder.
func (r *rig) close() error {
	var errs []error
	for i := len(r.started) - 1; i >= 0; i-- {
		errs = append(errs, r.started[i].stop())
	}
	left, err := r.processes()
	errs = append(errs, err)
	for _, p := range left {
		if q, err := os.FindProcess(p.pid); err == nil {
			_ = q.Kill() // a host or guest that outlives its agent by design
		}
	}
	return errors.Join(append(errs, os.RemoveAll(r.dir))...)
}

// until polls for something that nobody tells.
func until(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	late := time.NewTimer(limit)
	defer late.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-late.C:
			return fmt.Errorf("not within %s", limit)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// client of the region at an address, once it has a leader.
func client(ctx context.Context, address string) (*api.Client, error) {
	c, err := api.New(api.Config{Address: address})
	if err != nil {
		return nil, err
	}
	err = until(ctx, readyTimeout, func() (bool, error) {
		leader, err := c.Leader(ctx)
		return err == nil && leader != "", nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for a leader at %s: %w", address, err)
	}
	return c, nil
}

// freePorts gives n loopback addresses that nobody listens on now, by TCP or UDP, and that stay free while their server is away.
func freePorts(n int) ([]string, error) {
	var out []string
	for range n {
		addr, err := ports.Draw("tcp", "udp")
		if err != nil {
			return nil, err
		}
		out = append(out, addr)
	}
	return out, nil
}

func tail(out []byte) string {
	if len(out) > outputMax {
		out = append([]byte("…"), out[len(out)-outputMax:]...)
	}
	return strings.TrimSpace(string(out))
}
