package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Version is set by the build.
var Version = "dev"

// IO is what a command reads and writes.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Environ  func() []string
	Terminal bool // Out is a terminal: progress may redraw
}

// Std is the process's own.
func Std() IO {
	info, err := os.Stdout.Stat()
	return IO{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Environ: os.Environ,
		Terminal: err == nil && info.Mode()&os.ModeCharDevice != 0,
	}
}

// exitError carries an exit code; its text, if any, has been written for people.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitError{ExitUsage, fmt.Errorf(format, args...)}
}

// Main runs one command line and returns its exit code.
func Main(ctx context.Context, args []string, std IO) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(std)
	root.SetArgs(normalize(root, args))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	code := ExitFailed
	var e *exitError
	if errors.As(err, &e) {
		code, err = e.code, e.err
	}
	if err != nil {
		fmt.Fprintln(std.Err, "Error:", err)
	}
	return code
}

func newRoot(std IO) *cobra.Command {
	env := &env{IO: std}
	root := &cobra.Command{
		Use:           "dunlin",
		Short:         "Run Wasm modules and programs on fleets of small machines",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       Version,
	}
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError("%s; see: %s -help", singleDash(err.Error()), c.CommandPath())
	})
	root.PersistentFlags().StringVar(&env.address, "address", "", "address of the region's HTTP API (env DUNLIN_ADDR, NOMAD_ADDR)")
	root.PersistentFlags().StringVar(&env.region, "region", "", "region to talk to (env DUNLIN_REGION)")
	root.PersistentFlags().StringVar(&env.token, "token", "", "management token (env DUNLIN_TOKEN, NOMAD_TOKEN)")
	root.PersistentFlags().StringVar(&env.ca, "ca-cert", "", "CA certificate of the region (env DUNLIN_CACERT)")
	root.PersistentFlags().StringVar(&env.cert, "client-cert", "", "certificate of this client (env DUNLIN_CLIENT_CERT)")
	root.PersistentFlags().StringVar(&env.key, "client-key", "", "key of this client (env DUNLIN_CLIENT_KEY)")
	root.AddGroup(
		&cobra.Group{ID: "jobs", Title: "Jobs:"},
		&cobra.Group{ID: "fleet", Title: "Fleet:"},
		&cobra.Group{ID: "files", Title: "Job files:"},
	)
	commands(root, env)
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	root.InitDefaultVersionFlag()
	refuseStrangers(root)
	return root
}

// refuseStrangers makes every group command answer an unknown verb with the
// nearest one, where cobra would print its help and succeed.
func refuseStrangers(c *cobra.Command) {
	if c.HasSubCommands() && c.RunE == nil && c.Run == nil {
		c.SuggestionsMinimumDistance = 2 // letters; at cobra's zero only beginnings of names are suggested
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			hint := ""
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				hint = fmt.Sprintf("; did you mean %q?", near[0])
			}
			return usageError("unknown command %q for %s%s", args[0], c.CommandPath(), hint)
		}
	}
	for _, sub := range c.Commands() {
		refuseStrangers(sub)
	}
}

// normalize turns the field's one-dash flags ("-json", "-var x=1") into the two
// dashes that the flag library knows. A lone letter that is a shorthand and
// everything behind "--" stay as they are, and so does the command of alloc exec,
// whose flags are none of ours.
func normalize(root *cobra.Command, args []string) []string {
	ours := foreignFrom(root, args)
	return append(normalizeOurs(root, args[:ours]), args[ours:]...)
}

// foreignFrom is where words begin that belong to a command which takes all that
// comes behind its first argument.
func foreignFrom(root *cobra.Command, args []string) int {
	c := root
	for i := 0; i < len(args); i++ {
		word := args[i]
		if word == "--" {
			break
		}
		if len(word) > 1 && word[0] == '-' {
			name, _, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
			if f := flagOf(c, name); f != nil && !given && f.NoOptDefVal == "" {
				i++ // its value
			}
			continue
		}
		if sub := child(c, word); sub != nil {
			c = sub
			continue
		}
		if c.Name() == "exec" {
			return i + 1
		}
	}
	return len(args)
}

func child(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			return sub
		}
	}
	return nil
}

// flagOf finds a flag of a command by its name or letter.
func flagOf(c *cobra.Command, name string) *pflag.Flag {
	for _, set := range []*pflag.FlagSet{c.Flags(), c.InheritedFlags(), c.PersistentFlags()} {
		if f := set.Lookup(name); f != nil {
			return f
		}
		if len(name) == 1 {
			if f := set.ShorthandLookup(name); f != nil {
				return f
			}
		}
	}
	return nil
}

func normalizeOurs(root *cobra.Command, args []string) []string {
	long, short := map[string]bool{"help": true, "version": true}, map[string]bool{"h": true}
	collectFlags(root, long, short)
	out := make([]string, 0, len(args))
	for i, a := range args {
		if a == "--" {
			return append(out, args[i:]...)
		}
		if len(a) > 1 && a[0] == '-' && a[1] != '-' {
			name, _, _ := strings.Cut(a[1:], "=")
			// "-n5" and "-fn5" are shorthands, the library's business; any other
			// word is meant as a long name, known or not, so that the error names
			// what was typed.
			if long[name] || !shorthands(name, short) {
				a = "-" + a
			}
		}
		out = append(out, a)
	}
	return out
}

// shorthands reports whether a word is known letters, a number behind them.
func shorthands(name string, short map[string]bool) bool {
	letters := strings.TrimRight(name, "0123456789")
	for _, r := range letters {
		if !short[string(r)] {
			return false
		}
	}
	return letters != ""
}

func collectFlags(c *cobra.Command, long, short map[string]bool) {
	visit := func(f *pflag.Flag) {
		long[f.Name] = true
		if f.Shorthand != "" {
			short[f.Shorthand] = true
		}
	}
	c.Flags().VisitAll(visit)
	c.PersistentFlags().VisitAll(visit)
	for _, sub := range c.Commands() {
		collectFlags(sub, long, short)
	}
}

func singleDash(s string) string { return strings.ReplaceAll(s, "--", "-") }
