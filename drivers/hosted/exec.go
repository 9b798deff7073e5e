package hosted

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/runtime/host"
)

// Limits of a command beside a task.
const (
	execPieceBytes = 32 << 10        // of its output, passed on at once
	execDrain      = 2 * time.Second // without output after its end, while something that is not ours any more holds its output open
)

// endOfInput is what control-D sends: in a terminal the end of input is a character, because its other end stays open for output.
const endOfInput = 4

// Exec starts a command beside the task. The host forks it, with pipes or a terminal of this process for its input and output: so
// what is typed and printed does not pass through the host, and ends with this process.
func (t Tasks) Exec(ctx context.Context, h driver.Handle, req driver.ExecRequest) (driver.Command, error) {
	if err := driver.CheckHandle(t.Name, h); err != nil {
		return nil, err
	}
	status, err := t.Host.Status(ctx, h.ID)
	if err != nil {
		return nil, translate("exec in", h, err)
	}
	if status.Exit != nil {
		return nil, fmt.Errorf("exec in %q: it has ended", h.ID)
	}
	c := &command{done: make(chan struct{})}
	if err := c.open(req.Terminal); err != nil {
		return nil, fmt.Errorf("exec in %q: %w", h.ID, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var pumps sync.WaitGroup
	for i, w := range []io.Writer{req.Stdout, req.Stderr} {
		if i < len(c.outputs) {
			pumps.Go(func() { c.pump(c.outputs[i], w, cancel) })
		}
	}
	go func() {
		defer close(c.done)
		defer cancel()
		r, err := t.Host.Exec(ctx, host.ExecSpec{ID: h.ID, Argv: req.Argv, Terminal: req.Terminal}, c.theirs)
		c.drain()
		pumps.Wait()
		c.close()
		c.code, c.err = r.Code, translate("exec in", h, err)
	}()
	return c, nil
}

// output is our end of a command's output.
type output interface {
	io.Reader
	SetReadDeadline(time.Time) error
}

// screen is the output side of a terminal.
type screen struct{ host.Terminal }

func (s screen) SetReadDeadline(t time.Time) error { return s.Ours.SetReadDeadline(t) }

type command struct {
	theirs   [3]*os.File
	outputs  []output
	input    *os.File
	terminal *host.Terminal // nil: pipes
	ended    atomic.Bool
	once     sync.Once // closes input

	done chan struct{} // closed when the rest is set
	code int
	err  error
}

// open makes the command's standard input, output and error.
func (c *command) open(terminal bool) (err error) {
	if terminal {
		term, err := host.OpenTerminal()
		if err != nil {
			return err
		}
		c.terminal, c.input, c.outputs = &term, term.Ours, []output{screen{term}}
		c.theirs = [3]*os.File{term.Theirs, term.Theirs, term.Theirs}
		return nil
	}
	var pipes [3][2]*os.File
	for i := range pipes {
		if pipes[i][0], pipes[i][1], err = os.Pipe(); err != nil {
			for _, p := range pipes[:i] {
				err = errors.Join(err, p[0].Close(), p[1].Close())
			}
			return err
		}
	}
	c.input, c.outputs = pipes[0][1], []output{pipes[1][0], pipes[2][0]}
	c.theirs = [3]*os.File{pipes[0][0], pipes[1][1], pipes[2][1]}
	return nil
}

// pump passes output on until all that write it are gone. When nobody takes it, it ends the command.
func (c *command) pump(r output, w io.Writer, cancel func()) {
	buf := make([]byte, execPieceBytes)
	for {
		n, err := r.Read(buf)
		if n > 0 && w != nil {
			if _, err := w.Write(buf[:n]); err != nil {
				cancel()
				w = nil // what it still prints is dropped, so that it does not wait
			}
		}
		if err != nil {
			return
		}
		if c.ended.Load() {
			_ = r.SetReadDeadline(time.Now().Add(execDrain)) // fails on what is closed, and so does the next read
		}
	}
}

// drain lets the pumps end: once all of the command is gone there is a last of its output, and our copies of its ends are closed.
func (c *command) drain() {
	c.ended.Store(true)
	for i, f := range c.theirs {
		if i == 0 || f != c.theirs[0] {
			f.Close() //nolint:errcheck // nothing of ours was written to it
		}
	}
	for _, r := range c.outputs {
		_ = r.SetReadDeadline(time.Now().Add(execDrain)) // as above
	}
}

func (c *command) close() {
	c.closeInput()
	for _, r := range c.outputs {
		if f, ok := r.(*os.File); ok {
			f.Close() //nolint:errcheck // read end
		}
	}
}

func (c *command) closeInput() {
	c.once.Do(func() { c.input.Close() }) //nolint:errcheck // a pipe has nothing to flush
}

// Write implements [driver.Command].
func (c *command) Write(p []byte) (int, error) { return c.input.Write(p) }

// CloseInput implements [driver.Command].
func (c *command) CloseInput() error {
	if c.terminal != nil {
		_, err := c.input.Write([]byte{endOfInput})
		return err
	}
	c.closeInput()
	return nil
}

// Resize implements [driver.Command].
func (c *command) Resize(rows, columns uint16) error {
	if c.terminal == nil {
		return nil
	}
	return c.terminal.Resize(rows, columns)
}

// Wait implements [driver.Command].
func (c *command) Wait() (int, error) {
	<-c.done
	return c.code, c.err
}
