// Package fake is a driver whose tasks are scripted: for unit tests and simulations.
//
// The one idea: it keeps the driver port's promises (it passes the same conformance suite) without processes, and reads time
// only through the clock it is given, so that a simulator can run hours of tasks in a moment.
//
// Tasks live in a Store, which several Drivers may share one after the other: that is how an agent's restart is played.
//
// Threading: safe for concurrent use. The clock's timers may call back on any goroutine, but not from inside AfterFunc.
package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
)

// Name is the driver's name.
const Name = "fake"

// Clock is the time that fake tasks live in.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f after d, unless stop is called first.
	AfterFunc(d time.Duration, f func()) (stop func())
}

// WallClock is the real time.
type WallClock struct{}

// Now is time.Now.
func (WallClock) Now() time.Time { return time.Now() }

// AfterFunc is time.AfterFunc.
func (WallClock) AfterFunc(d time.Duration, f func()) func() {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}

// Options configure a Driver.
type Options struct {
	Store *Store
	Clock Clock // nil is WallClock
	// OpenLog opens a task's log stream ("stdout", "stderr"); nil drops all output.
	OpenLog func(task driver.Task, stream string) (io.WriteCloser, error)
}

// Store holds tasks across Drivers.
type Store struct {
	mu    sync.Mutex
	tasks map[string]*task
}

// NewStore makes an empty store.
func NewStore() *Store { return &Store{tasks: map[string]*task{}} }

// Len is how many tasks are known, running or ended.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tasks)
}

// task is guarded by its store's mutex, except done.
type task struct {
	script  Script
	started time.Time
	stdout  io.WriteCloser
	stderr  io.WriteCloser
	timers  []func() // stop functions
	exit    driver.Exit
	done    chan struct{} // closed at the end
}

func (t *task) running() bool {
	select {
	case <-t.done:
		return false
	default:
		return true
	}
}

// Driver is the fake driver.
type Driver struct {
	opts Options
}

var _ driver.Driver = (*Driver)(nil)

// New makes a driver over opts.Store.
func New(opts Options) *Driver {
	if opts.Clock == nil {
		opts.Clock = WallClock{}
	}
	if opts.OpenLog == nil {
		opts.OpenLog = func(driver.Task, string) (io.WriteCloser, error) { return discard{}, nil }
	}
	return &Driver{opts: opts}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

// Name is "fake".
func (d *Driver) Name() string { return Name }

// Capabilities says what the driver can do.
func (d *Driver) Capabilities() driver.Capabilities {
	const words = "a fake task is only a script"
	return driver.Capabilities{Signals: true, Words: map[driver.Facility]string{
		driver.FacilityExec: words, driver.FacilityMemoryLimit: words, driver.FacilityCPULimit: words,
	}}
}

// Fingerprint is always healthy.
func (d *Driver) Fingerprint(context.Context) driver.Fingerprint {
	return driver.Fingerprint{Detected: true, Healthy: true, Description: "scripted tasks", Attributes: map[string]string{"driver.fake": "1"}}
}

// Prepare does nothing: a script is ready as it is.
func (d *Driver) Prepare(context.Context, driver.Task) error { return nil }

// Start begins a script.
func (d *Driver) Start(_ context.Context, dt driver.Task) (driver.Handle, error) {
	fail := func(recoverable bool, err error) (driver.Handle, error) {
		return driver.Handle{}, &driver.StartError{Task: dt.ID, Recoverable: recoverable, Err: err}
	}
	if err := dt.Check(); err != nil {
		return fail(false, err)
	}
	script, runFor, err := parseScript(dt.Config)
	if err != nil {
		return fail(false, err)
	}
	if script.StartError != "" {
		return fail(true, errors.New(script.StartError))
	}
	h := driver.Handle{Version: driver.HandleVersion, Driver: Name, ID: dt.InstanceID()}
	s := d.opts.Store
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[h.ID]; t != nil {
		h.StartedAt = t.started.UnixNano()
		return h, nil
	}
	t := &task{script: script, started: d.opts.Clock.Now(), done: make(chan struct{})}
	if err := d.open(t, dt); err != nil {
		return fail(true, err)
	}
	s.tasks[h.ID], h.StartedAt = t, t.started.UnixNano()
	if runFor >= 0 {
		d.after(t, runFor, driver.Exit{Code: int(script.ExitCode)})
	}
	return h, nil
}

// open opens the task's logs and writes what the script says at the start.
func (d *Driver) open(t *task, dt driver.Task) (err error) {
	if t.stdout, err = d.opts.OpenLog(dt, "stdout"); err != nil {
		return err
	}
	if t.stderr, err = d.opts.OpenLog(dt, "stderr"); err != nil {
		return errors.Join(err, t.stdout.Close())
	}
	_, errOut := io.WriteString(t.stdout, t.script.Stdout)
	_, errErr := io.WriteString(t.stderr, t.script.Stderr)
	for i := range t.script.FloodLines {
		if _, err := fmt.Fprintf(t.stdout, "line %d\n", i); err != nil {
			return errors.Join(err, t.stdout.Close(), t.stderr.Close())
		}
	}
	return errors.Join(errOut, errErr)
}

// after ends t later. The store is locked.
func (d *Driver) after(t *task, wait time.Duration, exit driver.Exit) {
	t.timers = append(t.timers, d.opts.Clock.AfterFunc(wait, func() {
		d.opts.Store.mu.Lock()
		defer d.opts.Store.mu.Unlock()
		d.end(t, exit)
	}))
}

// end ends t now. The store is locked.
func (d *Driver) end(t *task, exit driver.Exit) {
	if !t.running() {
		return
	}
	for _, stop := range t.timers {
		stop()
	}
	if err := errors.Join(t.stdout.Close(), t.stderr.Close()); err != nil {
		exit.Err = err.Error()
	}
	exit.At = d.opts.Clock.Now()
	t.exit = exit
	close(t.done)
}

func (d *Driver) find(h driver.Handle) (*task, error) {
	if err := driver.CheckHandle(Name, h); err != nil {
		return nil, err
	}
	t := d.opts.Store.tasks[h.ID]
	if t == nil {
		return nil, fmt.Errorf("task %q: %w", h.ID, driver.ErrTaskGone)
	}
	return t, nil
}

func (d *Driver) lockedFind(h driver.Handle) (*task, error) {
	d.opts.Store.mu.Lock()
	defer d.opts.Store.mu.Unlock()
	return d.find(h)
}

// Wait blocks until the script has ended.
func (d *Driver) Wait(ctx context.Context, h driver.Handle) (driver.Exit, error) {
	t, err := d.lockedFind(h)
	if err != nil {
		return driver.Exit{}, err
	}
	select {
	case <-t.done:
		return t.exit, nil
	case <-ctx.Done():
		return driver.Exit{}, ctx.Err()
	}
}

var killed = driver.Exit{Code: 128 + 9, Signal: "SIGKILL"}

// Stop ends the script as it says, or kills it after grace.
func (d *Driver) Stop(ctx context.Context, h driver.Handle, signal string, grace time.Duration) error {
	d.opts.Store.mu.Lock()
	t, err := d.find(h)
	if err != nil {
		d.opts.Store.mu.Unlock()
		return err
	}
	switch {
	case !t.running():
	case grace <= 0:
		d.end(t, killed)
	case t.script.IgnoreStop:
		d.after(t, grace, killed)
	case t.script.StopCode != 0:
		d.end(t, driver.Exit{Code: int(t.script.StopCode)})
	default:
		d.end(t, driver.Exit{Code: 128 + 15, Signal: "SIGTERM"})
	}
	d.opts.Store.mu.Unlock()
	_, err = d.Wait(ctx, h)
	return err
}

// Signal writes the signal's name to standard output if the script says so.
func (d *Driver) Signal(_ context.Context, h driver.Handle, signal string) error {
	d.opts.Store.mu.Lock()
	defer d.opts.Store.mu.Unlock()
	t, err := d.find(h)
	switch {
	case err != nil:
		return err
	case !t.running():
		return fmt.Errorf("signal %q: it has ended", h.ID)
	case len(signal) < 4 || signal[:3] != "SIG":
		return fmt.Errorf("signal %q: %q is not the name of a signal", h.ID, signal)
	case t.script.EchoSignal:
		_, err = fmt.Fprintf(t.stdout, "got %s\n", signal)
	}
	return err
}

// Exec refuses.
func (d *Driver) Exec(context.Context, driver.Handle, driver.ExecRequest) (driver.Command, error) {
	return nil, driver.Refuse(d, driver.FacilityExec)
}

// Stats makes up what a small task would use: all of one CPU, a megabyte, one process.
func (d *Driver) Stats(_ context.Context, h driver.Handle) (driver.Stats, error) {
	t, err := d.lockedFind(h)
	if err != nil {
		return driver.Stats{}, err
	}
	now := d.opts.Clock.Now()
	s := driver.Stats{At: now, Unenforced: []driver.Facility{driver.FacilityCPULimit, driver.FacilityMemoryLimit}}
	if t.running() {
		s.CPUNanos, s.MemoryBytes, s.Pids = int64(now.Sub(t.started)), 1<<20, 1
	}
	return s, nil
}

// Recover checks that the task is known.
func (d *Driver) Recover(_ context.Context, h driver.Handle) error {
	_, err := d.lockedFind(h)
	return err
}

// Destroy kills the task and forgets it.
func (d *Driver) Destroy(_ context.Context, h driver.Handle) error {
	if err := driver.CheckHandle(Name, h); err != nil {
		return err
	}
	s := d.opts.Store
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[h.ID]; t != nil {
		d.end(t, killed)
		delete(s.tasks, h.ID)
	}
	return nil
}
