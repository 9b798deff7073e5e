package host

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// task is one task of the host, from the moment Start was asked for until it is forgotten.
type task struct {
	rec  record   // PID, Start and Exit change under mu
	spec TaskSpec // Guest is dropped once it was handed over

	ready chan struct{} // closed when the start has succeeded or failed
	err   error         // of the start; read after ready

	child  *child   // nil when the task ended under an earlier host
	stdin  *os.File // wasm: with StopStdin kept open until the task is asked to stop
	report *os.File // wasm: the guest process's report
	out    pumps

	mu       sync.Mutex
	done     chan struct{}   // closed when Exit is set and recorded
	waiters  map[any]func()  // called once at the end, in the task's goroutine
	stopping bool            // somebody asked it to end
	killAt   time.Time       // when it is killed; zero without a stop
	killer   *time.Timer     // kills at killAt
	execs    sync.WaitGroup  // commands running beside it
	execCtx  context.Context // ends with the task
	execEnd  context.CancelFunc
}

func newTask(spec TaskSpec, boot string, now time.Time) *task {
	t := &task{
		rec:     record{ID: spec.ID, Kind: spec.Kind, Boot: boot, StartedAt: now},
		spec:    spec,
		ready:   make(chan struct{}),
		done:    make(chan struct{}),
		waiters: map[any]func(){},
	}
	t.execCtx, t.execEnd = context.WithCancel(context.Background())
	return t
}

// endedTask is a task that ended under an earlier host.
func endedTask(rec record) *task {
	t := newTask(TaskSpec{ID: rec.ID, Kind: rec.Kind}, rec.Boot, rec.StartedAt)
	t.rec = rec
	t.execEnd()
	close(t.ready)
	close(t.done)
	return t
}

func (t *task) status() TaskStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rec.status()
}

func (t *task) running() bool {
	select {
	case <-t.done:
		return false
	default:
		return true
	}
}

// onExit calls f once the task has ended, at once if it has. The returned function takes it back.
func (t *task) onExit(f func()) (cancel func()) {
	t.mu.Lock()
	if t.running() {
		key := new(byte)
		t.waiters[key] = f
		t.mu.Unlock()
		return func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			delete(t.waiters, key)
		}
	}
	t.mu.Unlock()
	f()
	return func() {}
}

// stop asks the task to end and sees to it that it is killed after grace. It does not wait. A second stop can only bring the
// kill nearer.
func (t *task) stop(c *children, sig unix.Signal, grace time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.running() {
		return
	}
	t.stopping = true
	if t.stdin != nil {
		t.stdin.Close() //nolint:errcheck // a pipe has nothing to flush
		if t.spec.Stop != StopStdin {
			grace = 0
		}
	} else if grace > 0 {
		_ = c.signalGroup(t.child, sig) // ESRCH: it has just ended by itself
	}
	at := time.Now().Add(grace)
	if !t.killAt.IsZero() && t.killAt.Before(at) {
		return
	}
	t.killAt = at
	if t.killer != nil {
		t.killer.Stop()
	}
	kill := func() { _ = c.signalGroup(t.child, unix.SIGKILL) } // ESRCH: it has ended
	if grace <= 0 {
		kill()
		return
	}
	t.killer = time.AfterFunc(grace, kill)
}

// finish records the end and tells everybody.
func (t *task) finish(exit Exit, write func(record) error) error {
	t.mu.Lock()
	t.rec.Exit = &exit
	err := write(t.rec)
	if t.killer != nil {
		t.killer.Stop()
	}
	waiters := t.waiters
	t.waiters = nil
	close(t.done)
	t.mu.Unlock()
	for _, f := range waiters {
		f()
	}
	return err
}

// wasStopped reports whether the end was asked for.
func (t *task) wasStopped() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stopping
}

// guestReport is what a guest process writes at its end; the engine defines it.
type guestReport struct {
	ExitCode int
	Trap     string
	OOM      bool
	Error    string
}

// exitOf turns the end of a leader into the end of its task. report is what a guest process wrote, if it did.
func exitOf(ws unix.WaitStatus, report *guestReport, stopped bool, now time.Time) Exit {
	switch {
	case report != nil:
		return Exit{Code: report.ExitCode, Trap: report.Trap, OOM: report.OOM, Err: report.Error, At: now}
	case ws.Signaled():
		e := Exit{Code: 128 + int(ws.Signal()), Signal: signalName(ws.Signal()), At: now}
		if ws.Signal() == unix.SIGKILL && !stopped {
			e.Err = "killed from outside with SIGKILL; the kernel does that when memory runs out"
		}
		return e
	}
	return Exit{Code: ws.ExitStatus(), At: now}
}

// readReport reads a guest process's report after its end; nil if there is none, which is how a killed guest looks.
func readReport(f *os.File) (*guestReport, error) {
	defer f.Close() //nolint:errcheck // read end
	if err := f.SetReadDeadline(time.Now().Add(drainTimeout)); err != nil {
		return nil, fmt.Errorf("guest report: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, ReportBytesMax))
	if err != nil {
		return nil, fmt.Errorf("guest report: %w", err)
	}
	if len(text) == 0 {
		return nil, nil
	}
	var r guestReport
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("guest report: %w", err)
	}
	return &r, nil
}
