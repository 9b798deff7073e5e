package session

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// errExecDisabled is what the owner of a device says to all operators.
var errExecDisabled = errors.New("commands beside tasks are switched off on this device: client { disable_remote_exec = true } in its configuration")

// serveExec runs a command beside a task for as long as its stream lasts. What is wrong with the request is said in the answer; the
// link stays.
func (s *Session) serveExec(ctx context.Context, st link.Stream) error {
	defer st.Close() //nolint:errcheck // the operator has all or is gone
	var req wire.ExecRequest
	if err := readSoon(st, &req); err != nil {
		if isReset(err) || ctx.Err() != nil {
			return nil
		}
		return protocolErrorf("a request to run a command cannot be read: %v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(st.Context(), cancel)() // the operator has gone
	out := &execOutput{st: st, answered: make(chan struct{})}
	cmd, err := s.startExec(ctx, &req, out)
	if err != nil {
		if err := wire.Write(st, &wire.ExecAnswer{Error: bounded(err)}); err != nil {
			s.opts.Log.Debug("nobody waits for the answer about a command any more", "error", err)
		}
		return nil
	}
	if err := wire.Write(st, &wire.ExecAnswer{}); err != nil {
		cancel()
	}
	close(out.answered)
	var wg sync.WaitGroup
	wg.Go(func() {
		if !s.feed(st, cmd) {
			cancel()
		}
	})
	code, err := cmd.Wait()
	_ = st.SetReadDeadline(time.Now()) // wakes feed; a stream that is gone has woken it
	wg.Wait()
	end := wire.ExecOutput{Stream: wire.ExecEnd, Code: int64(code)}
	if err != nil {
		end.Error = bounded(err)
	}
	if err := wire.Write(st, &end); err != nil {
		s.opts.Log.Debug("nobody waits for the end of a command any more", "alloc", fleet.UUID(req.Alloc), "error", err)
	}
	return nil
}

func (s *Session) startExec(ctx context.Context, req *wire.ExecRequest, out *execOutput) (driver.Command, error) {
	if s.opts.DisableExec {
		return nil, errExecDisabled
	}
	if len(req.Argv) == 0 {
		return nil, errors.New("no command was given")
	}
	cmd, err := s.opts.Device.Exec(ctx, req.Alloc, req.Task, driver.ExecRequest{
		Argv: req.Argv, Terminal: req.Terminal, Stdout: execWriter{out, wire.ExecStdout}, Stderr: execWriter{out, wire.ExecStderr},
	})
	if err == nil { // without the words behind the first: they may be secrets
		s.opts.Log.Info("an operator runs a command beside a task", "alloc", fleet.UUID(req.Alloc), "task", req.Task, "command", req.Argv[0], "terminal", req.Terminal)
	}
	return cmd, err
}

// feed gives a command what the operator sends, until the command has ended. It returns false when there is no operator any more.
func (s *Session) feed(st link.Stream, cmd driver.Command) (operator bool) {
	for {
		var in wire.ExecInput
		if err := wire.Read(st, &in); err != nil {
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
		var err error
		if len(in.Data) > 0 {
			_, err = cmd.Write(in.Data)
		}
		if in.Size != (wire.TerminalSize{}) {
			err = errors.Join(err, cmd.Resize(uint16(in.Size.Rows), uint16(in.Size.Columns)))
		}
		if in.End {
			err = errors.Join(err, cmd.CloseInput())
		}
		if err != nil { // it reads no more, or has ended
			s.opts.Log.Debug("a command did not take its input", "error", err)
		}
	}
}

// execOutput passes on what a command writes, behind the answer that it runs.
type execOutput struct {
	st       link.Stream
	answered chan struct{}
	mu       sync.Mutex
}

type execWriter struct {
	out    *execOutput
	stream wire.ExecStream
}

var _ io.Writer = execWriter{}

// Write waits while the operator's end takes no more, which makes the command wait.
func (w execWriter) Write(p []byte) (done int, err error) {
	<-w.out.answered
	w.out.mu.Lock()
	defer w.out.mu.Unlock()
	for done < len(p) {
		n := min(len(p)-done, wire.ExecDataBytesMax)
		if err := wire.Write(w.out.st, &wire.ExecOutput{Stream: w.stream, Data: p[done : done+n]}); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}
