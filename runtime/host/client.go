package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// Options say where a host lives and how it is started.
type Options struct {
	// Dir is the host's directory: socket, lock, log, and the ends of tasks. It is made with mode 0700. A directory that is
	// cleared at boot (/run) is best: nothing in it means anything after one.
	Dir string
	// Self is the argv prefix that starts this program; "host" or "guest" follows it. Empty means the running executable.
	Self []string
	// Idle is how long a host without work stays; 0 is IdleTimeout.
	Idle time.Duration
	// Logger is used by the client, and by Main when it was not started by a client. nil discards.
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, fmt.Errorf("host: no directory given")
	}
	if len(o.Self) == 0 {
		o.Self = []string{selfExe}
	}
	if o.Idle <= 0 {
		o.Idle = IdleTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Client talks to the host of one directory, starting one when it is needed and there is none. It dials again when the host
// was replaced. A call whose link broke is repeated if that is safe, which is all but Signal and Exec.
type Client struct {
	opts    Options
	dialing chan struct{} // a semaphore of one, so that waiting for it ends with ctx
	link    *link         // guarded by dialing
	closed  bool          // guarded by dialing
}

// New makes a client. Nothing is dialled or started until the first call.
func New(opts Options) (*Client, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Client{opts: opts, dialing: make(chan struct{}, 1)}, nil
}

// Connect makes a client and reaches the host at once, starting it if there is none.
func Connect(ctx context.Context, opts Options) (*Client, error) {
	c, err := New(opts)
	if err != nil {
		return nil, err
	}
	if _, err := c.connect(ctx, true); err != nil {
		return nil, err
	}
	return c, nil
}

// Start starts a task, or answers with the one of that ID that is there.
func (c *Client) Start(ctx context.Context, spec TaskSpec) (TaskStatus, error) {
	if err := spec.Check(); err != nil {
		return TaskStatus{}, err
	}
	return call[TaskStatus](ctx, c, opStart, spec)
}

// Status reads what the host knows about a task; ErrTaskGone if nothing.
func (c *Client) Status(ctx context.Context, id string) (TaskStatus, error) {
	return call[TaskStatus](ctx, c, opStatus, idBody{id})
}

// Wait blocks until the task has ended, across restarts of the host, whose death ends the task with Err HostDied.
func (c *Client) Wait(ctx context.Context, id string) (Exit, error) {
	return call[Exit](ctx, c, opWait, idBody{id})
}

// Stop asks the task to end, kills it after grace, and returns when it has ended. signal "" is SIGTERM; Wasm tasks ignore it.
// When ctx ends first, the stop goes on.
func (c *Client) Stop(ctx context.Context, id, signal string, grace time.Duration) error {
	_, err := call[struct{}](ctx, c, opStop, stopBody{id, signal, grace})
	return err
}

// Signal sends a signal to the task's process group.
func (c *Client) Signal(ctx context.Context, id, signal string) error {
	_, err := call[struct{}](ctx, c, opSignal, signalBody{id, signal})
	return err
}

// Exec runs a command beside a process task until it ends; stdio becomes its standard input, output and error, and stays the
// caller's. When ctx ends, the command is hung up on, and then killed; when the task ends, or the host, it is killed. Whatever it
// started and left ends with it.
func (c *Client) Exec(ctx context.Context, spec ExecSpec, stdio [3]*os.File) (ExecResult, error) {
	return call[ExecResult](ctx, c, opExec, spec, stdio[:]...)
}

// Stats reads what the task uses; zero once it has ended.
func (c *Client) Stats(ctx context.Context, id string) (Stats, error) {
	return call[Stats](ctx, c, opStats, idBody{id})
}

// Forget kills the task if it runs and drops its end. Forgetting an unknown task is not an error.
func (c *Client) Forget(ctx context.Context, id string) error {
	_, err := call[struct{}](ctx, c, opForget, idBody{id})
	if errors.Is(err, ErrTaskGone) {
		return nil
	}
	return err
}

// List reads all tasks the host knows, sorted by ID.
func (c *Client) List(ctx context.Context) ([]TaskStatus, error) {
	list, err := call[[]TaskStatus](ctx, c, opList, struct{}{})
	if errors.Is(err, ErrTaskGone) {
		return nil, nil
	}
	return list, err
}

// Written reads what the host has written to disk. It starts none: without a host, or with one that is older than this question,
// there is nothing to tell.
func (c *Client) Written(ctx context.Context) (w Written, known bool, err error) {
	l, err := c.connect(ctx, false)
	if errors.Is(err, errNoHost) {
		return w, false, nil
	}
	if err != nil {
		return w, false, err
	}
	raw, err := l.call(ctx, opWritten, nil)
	if CodeOf(err) == CodeBadRequest {
		return w, false, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &w)
	}
	if err != nil {
		return w, false, fmt.Errorf("ask the host what it wrote: %w", err)
	}
	return w, true, nil
}

// Shutdown kills all tasks and ends the host; for agents that take their tasks with them, and for tests. It returns when the
// host has let go of its directory, with its end; without a host it does nothing.
func (c *Client) Shutdown(ctx context.Context) error {
	l, err := c.connect(ctx, false)
	if err != nil {
		if errors.Is(err, errNoHost) {
			return nil
		}
		return err
	}
	if _, err := l.call(ctx, opShutdown, nil); err != nil && !errors.Is(err, errLinkLost) && !errors.Is(err, errClosing) {
		return fmt.Errorf("shut host down: %w", err)
	}
	select {
	case <-l.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return awaitUnlocked(ctx, c.opts.Dir)
}

// HostPID is the process ID of the host, starting one if there is none.
func (c *Client) HostPID(ctx context.Context) (int, error) {
	l, err := c.connect(ctx, true)
	if err != nil {
		return 0, err
	}
	return l.hostPID, nil
}

// Close drops the link; calls in flight fail. Host and tasks go on.
func (c *Client) Close() error {
	c.dialing <- struct{}{}
	defer func() { <-c.dialing }()
	c.closed = true
	if c.link != nil {
		c.link.close()
		c.link = nil
	}
	return nil
}

// call sends one request, dialling or starting a host as needed, and repeats it over lost links where that is safe.
func call[T any](ctx context.Context, c *Client, o op, body any, files ...*os.File) (T, error) {
	var answer T
	raw, err := json.Marshal(body)
	if err != nil {
		return answer, fmt.Errorf("encode %s: %w", o, err)
	}
	raw, err = c.repeat(ctx, o, raw, files)
	if err != nil {
		return answer, err
	}
	if len(raw) == 0 {
		return answer, nil
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, fmt.Errorf("decode the host's answer to %s: %w", o, err)
	}
	return answer, nil
}

func (c *Client) repeat(ctx context.Context, o op, body json.RawMessage, files []*os.File) (json.RawMessage, error) {
	pause := retryBackoff
	for try := 1; ; try++ {
		begun := time.Now()
		answer, err := c.once(ctx, o, body, files)
		lost := errors.Is(err, errLinkLost) && o != opSignal && o != opExec
		if !lost && !errors.Is(err, errClosing) {
			return answer, err
		}
		if time.Since(begun) > time.Second {
			try, pause = 1, retryBackoff // a long Wait that lost its host is not a host that fails again and again
		}
		if try >= retriesMax {
			return nil, fmt.Errorf("host in %s, %s: gave up after %d tries: %w", c.opts.Dir, o, try, err)
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Client) once(ctx context.Context, o op, body json.RawMessage, files []*os.File) (json.RawMessage, error) {
	// A host is started for a task, or to answer for tasks that a host before it has left on disk; not to say that it
	// knows nothing.
	l, err := c.connect(ctx, o == opStart || hasRecords(c.opts.Dir))
	if errors.Is(err, errNoHost) {
		return nil, refuse(CodeGone, "no host runs in %s and none has left tasks there", c.opts.Dir)
	}
	if err != nil {
		return nil, err
	}
	return l.call(ctx, o, body, files...)
}

var errNoHost = errors.New("no host is running")

// connect returns the live link, dialling, and when start is set launching a host, if there is none.
func (c *Client) connect(ctx context.Context, start bool) (*link, error) {
	select {
	case c.dialing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.dialing }()
	if c.closed {
		return nil, fmt.Errorf("host client of %s: %w", c.opts.Dir, os.ErrClosed)
	}
	if c.link != nil {
		if c.link.alive() {
			return c.link, nil
		}
		c.link.close()
		c.link = nil
	}
	ctx, cancel := context.WithTimeout(ctx, launchTimeout)
	defer cancel()
	l, err := reach(ctx, c.opts, start)
	if err != nil {
		return nil, err
	}
	c.link = l
	return l, nil
}

// reach dials the host, launching it when allowed. A host that is just starting or just exiting holds the lock without
// serving; then it tries again until ctx ends.
func reach(ctx context.Context, opts Options, start bool) (*link, error) {
	pause := retryBackoff
	for {
		conn, err := dial(ctx, opts.Dir)
		if err == nil {
			l, err := newLink(conn, os.Getpid())
			if err == nil {
				return l, nil
			}
			conn.Close() //nolint:errcheck // the hello's error is the one to report
			if CodeOf(err) != CodeInternal {
				return nil, err
			}
		} else if !start || !isNoHost(err) {
			if isNoHost(err) {
				return nil, errNoHost
			}
			return nil, fmt.Errorf("dial host in %s: %w", opts.Dir, err)
		} else if err := launch(ctx, opts); err != nil && !errors.Is(err, errBusy) {
			return nil, fmt.Errorf("start host in %s: %w", opts.Dir, err)
		} else if err == nil {
			continue // it serves: dial at once
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, 16*retryBackoff)
		case <-ctx.Done():
			return nil, fmt.Errorf("host in %s does not answer: %w", opts.Dir, ctx.Err())
		}
	}
}

// errBusy says that another host holds the lock.
var errBusy = errors.New("another host holds the lock")
