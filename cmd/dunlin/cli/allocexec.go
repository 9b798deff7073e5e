package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// inputBytes is how much of the operator's input is read at once.
const inputBytes = 4 << 10

// execOptions are the flags of alloc exec.
type execOptions struct {
	task   string
	input  bool
	tty    bool
	escape string
}

func (e *env) allocExec() *cobra.Command {
	var o execOptions
	c := &cobra.Command{
		Use: "exec [-i] [-t] [-task TASK] ALLOC|JOB COMMAND [ARG...]", Short: "Run a command beside a task",
		Long: `Runs a command on the device of a task, in the task's directory and
environment, over the device's own link, and exits with the command's code. The
command ends when it ends by itself, when you leave, when the link goes and when
the task ends; so does all that it has started.

In a terminal, ~. at the beginning of a line leaves.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usageError("%s needs an allocation or a job, and a command; see: %s -help", c.CommandPath(), c.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			in, _ := e.In.(*os.File)
			terminal := in != nil && term.IsTerminal(int(in.Fd()))
			if !cmd.Flags().Changed("tty") {
				o.tty = terminal && o.input && e.Terminal
			}
			escape, err := o.check(terminal)
			if err != nil {
				return err
			}
			c, ids, err := e.clientAndAllocs(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			code, err := e.runBeside(cmd.Context(), c, ids[0], args[1:], o, in, escape)
			if err != nil {
				return e.explain(c, err)
			}
			if code != 0 {
				return &exitError{code & 0xff, nil}
			}
			return nil
		},
	}
	c.Flags().SetInterspersed(false) // what comes behind the allocation is the command's
	c.Flags().StringVar(&o.task, "task", "", "the task, if the group has several")
	c.Flags().BoolVarP(&o.input, "interactive", "i", true, "pass standard input on; -i=false gives the command none")
	c.Flags().BoolVarP(&o.tty, "tty", "t", false, "give the command a terminal (without the flag: when this is one)")
	c.Flags().StringVarP(&o.escape, "escape", "e", "~", "the character that with a dot behind it leaves; none: there is none")
	return c
}

func (o *execOptions) check(terminal bool) (escape byte, err error) {
	if o.tty && !o.input {
		return 0, usageError("a command in a terminal needs input; leave out -i=false, or give -t=false")
	}
	switch {
	case o.escape == "none" || !o.tty || !terminal:
		return 0, nil
	case len(o.escape) == 1 && o.escape[0] < utf8.RuneSelf:
		return o.escape[0], nil
	}
	return 0, usageError("-e %q: give one character of ASCII, or none", o.escape)
}

// errLeft says that the operator has left by the escape character.
var errLeft = errors.New("left; the command is ended")

// runBeside runs a command to its end. in is nil when input is no file.
func (e *env) runBeside(ctx context.Context, c *api.Client, id fleet.AllocID, argv []string, o execOptions, in *os.File, escape byte) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run, err := c.Exec(ctx, id, api.ExecOptions{Task: o.task, Command: argv, TTY: o.tty})
	if err != nil {
		return 0, err
	}
	if o.tty && in != nil && term.IsTerminal(int(in.Fd())) {
		restore, err := rawTerminal(ctx, in, run)
		if err != nil {
			return 0, err
		}
		defer restore()
	}
	// Nobody waits for this goroutine: a read of a terminal cannot be ended. It ends with the program, which is about to.
	go func() {
		if err := feed(run, e.In, o.input, escape); err != nil {
			cancel(err)
		}
	}()
	code, err := run.Wait(e.Out, e.Err)
	if errors.Is(err, errLeft) {
		fmt.Fprintln(e.Err) // behind what stands on the command's last line
	}
	return code, err
}

// feed gives a command the operator's input, if it is to have any, and then its end. A command that takes no more has ended, which is
// told otherwise; the error is what the operator did.
func feed(run *api.Execution, in io.Reader, wanted bool, escape byte) error {
	if wanted {
		leave := escaping{char: escape, fresh: true}
		for buf := make([]byte, inputBytes); ; {
			n, err := in.Read(buf)
			send, left := leave.filter(buf[:n])
			if left {
				return errLeft
			}
			if len(send) > 0 {
				if _, err := run.Write(send); err != nil {
					return nil
				}
			}
			if err != nil {
				break
			}
		}
	}
	_ = run.CloseInput()
	return nil
}

// rawTerminal passes the operator's terminal through key by key, and its sizes as they change. Restore ends that.
func rawTerminal(ctx context.Context, in *os.File, run *api.Execution) (restore func(), err error) {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("set up this terminal: %w (-t=false does without)", err)
	}
	resize := func() {
		if width, height, err := term.GetSize(int(in.Fd())); err == nil {
			_ = run.Resize(api.TerminalSize{Height: height, Width: width}) // Wait sees a connection that is gone
		}
	}
	resize()
	ctx, cancel := context.WithCancel(ctx)
	done := onResize(ctx, resize)
	return func() {
		cancel()
		<-done
		_ = term.Restore(int(in.Fd()), before) // nothing can be done about it
	}, nil
}

// escaping finds the escape character and a dot at the beginning of a line. It is what ssh has, and what operators' fingers know.
type escaping struct {
	char  byte // 0: none
	fresh bool // at the beginning of a line
	held  bool // the character was typed there, and is not passed on yet
}

// filter returns what is to be passed on of the input, and whether the operator leaves. The character typed twice is passed on once.
func (s *escaping) filter(in []byte) (out []byte, left bool) {
	if s.char == 0 {
		return in, false
	}
	out = make([]byte, 0, len(in)+1)
	for _, b := range in {
		switch {
		case s.held && b == '.':
			return out, true
		case s.held && b == s.char:
			s.held, s.fresh = false, false
			out = append(out, b)
			continue
		case s.held:
			s.held = false
			out = append(out, s.char)
		case s.fresh && b == s.char:
			s.held = true
			continue
		}
		out = append(out, b)
		s.fresh = b == '\r' || b == '\n'
	}
	return out, false
}
