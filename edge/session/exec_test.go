package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/session"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// echo is a command that prints what it is told, and ends with its input or its context.
type echo struct {
	ctx   context.Context
	req   driver.ExecRequest
	in    *io.PipeReader
	typed *io.PipeWriter
	mu    sync.Mutex
	sizes []string
}

func (d *device) Exec(ctx context.Context, alloc fleet.UUID, task string, req driver.ExecRequest) (driver.Command, error) {
	if alloc != (fleet.UUID{3}) || task != "main" {
		return nil, fmt.Errorf("allocation %s has no task %q", alloc, task)
	}
	c := &echo{ctx: ctx, req: req}
	c.in, c.typed = io.Pipe()
	context.AfterFunc(ctx, func() { c.typed.CloseWithError(ctx.Err()) })
	return c, nil
}

func (c *echo) Write(p []byte) (int, error) { return c.typed.Write(p) }
func (c *echo) CloseInput() error           { return c.typed.Close() }

func (c *echo) Resize(rows, columns uint16) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sizes = append(c.sizes, fmt.Sprintf("%dx%d", rows, columns))
	return nil
}

func (c *echo) Wait() (int, error) {
	if _, err := fmt.Fprintf(c.req.Stderr, "%q terminal %v\n", c.req.Argv, c.req.Terminal); err != nil {
		return 0, err
	}
	_, err := io.Copy(c.req.Stdout, c.in)
	if err != nil {
		return 0, errors.Join(err, c.in.CloseWithError(err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = fmt.Fprint(c.req.Stdout, c.sizes)
	return 7, err
}

// run asks for a command and returns its stream, or why it does not run.
func (r *rig) run(l link.Link, req *wire.ExecRequest) (link.Stream, string) {
	r.t.Helper()
	st := r.open(l, wire.KindExec, req)
	var a wire.ExecAnswer
	if err := wire.Read(st, &a); err != nil {
		r.t.Fatal(err)
	}
	return st, a.Error
}

func TestExec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		l := r.serve(welcome())
		for want, req := range map[string]*wire.ExecRequest{
			"has no task": {Alloc: fleet.UUID{3}, Task: "web", Argv: []string{"sh"}}, "no command": {Alloc: fleet.UUID{3}, Task: "main"},
		} {
			if _, refusal := r.run(l, req); !strings.Contains(refusal, want) {
				t.Errorf("refused with %q, want %q", refusal, want)
			}
		}
		st, refusal := r.run(l, &wire.ExecRequest{Alloc: fleet.UUID{3}, Task: "main", Argv: []string{"sh", "-c", "x y"}, Terminal: true})
		if refusal != "" {
			t.Fatal(refusal)
		}
		big := strings.Repeat("x", wire.ExecDataBytesMax)
		for _, in := range []wire.ExecInput{
			{Data: []byte("one ")}, {Size: wire.TerminalSize{Rows: 24, Columns: 80}}, {}, {Data: []byte(big)},
			{Data: []byte(" two "), End: true, Size: wire.TerminalSize{Rows: 1, Columns: 2}},
		} {
			if err := wire.Write(st, &in); err != nil {
				t.Fatal(err)
			}
		}
		text := map[wire.ExecStream]string{}
		var o wire.ExecOutput
		for o.Stream != wire.ExecEnd {
			if err := wire.Read(st, &o); err != nil {
				t.Fatal(err)
			}
			text[o.Stream] += string(o.Data)
		}
		if o.Code != 7 || o.Error != "" || text[wire.ExecStdout] != "one "+big+" two [24x80 1x2]" || text[wire.ExecStderr] != "[\"sh\" \"-c\" \"x y\"] terminal true\n" {
			t.Errorf("ended %+v after %.100q", o, text)
		}
		if err := wire.Read(st, &o); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %v", err)
		}
		if ups, downs := r.device.counts(); ups != 1 || downs != 0 {
			t.Errorf("up %d times, down %d times", ups, downs)
		}
	})
}

// TestExecEndsWithItsOperator: a command ends when its stream does, also without a word, and when the link does: the bubble fails
// when a goroutine is left.
func TestExecEndsWithItsOperator(t *testing.T) {
	for name, leave := range map[string]func(l link.Link, st link.Stream) error{
		"reset": func(_ link.Link, st link.Stream) error { st.Reset(link.CodeCanceled); return nil },
		"end":   func(_ link.Link, st link.Stream) error { return st.CloseWrite() },
		"link":  func(l link.Link, _ link.Stream) error { return l.Close(link.CodeShutdown, "the server stops") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.stop()
				l := r.serve(welcome())
				st, refusal := r.run(l, &wire.ExecRequest{Alloc: fleet.UUID{3}, Task: "main", Argv: []string{"sh"}})
				if refusal != "" {
					t.Fatal(refusal)
				}
				if err := leave(l, st); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				var last wire.ExecOutput
				for err := error(nil); err == nil; {
					err = wire.Read(st, &last)
				}
				if name == "end" && (last.Stream != wire.ExecEnd || !strings.Contains(last.Error, "canceled")) {
					t.Errorf("it ended with %+v", last)
				}
			})
		})
	}
}

func TestExecsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		l := r.serve(welcome())
		req := &wire.ExecRequest{Alloc: fleet.UUID{3}, Task: "main", Argv: []string{"sh"}}
		for range session.ExecStreamsMax {
			st, refusal := r.run(l, req)
			if refusal != "" {
				t.Fatal(refusal)
			}
			defer st.Reset(link.CodeCanceled)
		}
		err := wire.Read(r.open(l, wire.KindExec, req), &wire.ExecAnswer{})
		if reset, ok := errors.AsType[*link.ResetError](err); !ok || reset.Code != link.CodeBusy {
			t.Errorf("one too many: %v", err)
		}
	})
}

// TestExecIsForTheOwnerToAllow: a device whose owner switched it off refuses by the name of the switch.
func TestExecIsForTheOwnerToAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, func(o *session.Options) { o.DisableExec = true })
		defer r.stop()
		l := r.serve(welcome())
		if _, refusal := r.run(l, &wire.ExecRequest{Alloc: fleet.UUID{3}, Task: "main", Argv: []string{"sh"}}); !strings.Contains(refusal, "disable_remote_exec = true") {
			t.Errorf("refused with %q", refusal)
		}
	})
}
