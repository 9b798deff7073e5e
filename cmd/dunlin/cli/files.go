package cli

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/dunlin-edge/dunlin/jobspec"
	"github.com/spf13/cobra"
)

func (e *env) validate() *cobra.Command {
	var f jobFlags
	c := &cobra.Command{
		Use: "validate FILE", Short: "Check a job file without a region", Args: exactly("a job file"),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := e.load(args[0], &f)
			if err != nil {
				return err
			}
			e.warn(l.Warnings)
			fmt.Fprintf(e.Out, "%s is valid\n", args[0])
			return nil
		},
	}
	f.add(c)
	return c
}

func (e *env) fmtCmd() *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use: "fmt FILE...", Short: "Bring job files into the canonical style", Args: cobra.ArbitraryArgs,
		Long: `Rewrites job files in place. "-" formats standard input onto standard output.
With -check nothing is written and exit code 1 says that some file would change.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("dunlin fmt needs a job file; see: dunlin fmt -help")
			}
			changed := false
			for _, p := range args {
				did, err := e.format(p, check)
				if err != nil {
					return err
				}
				changed = changed || did
			}
			if check && changed {
				return &exitError{ExitFailed, nil}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&check, "check", false, "only say which files would change")
	return c
}

func (e *env) format(path string, check bool) (bool, error) {
	src, name, err := e.readFile(path)
	if err != nil {
		return false, err
	}
	out, err := jobspec.Format(src)
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	if path == "-" {
		_, err := e.Out.Write(out)
		return false, err
	}
	if bytes.Equal(src, out) {
		return false, nil
	}
	fmt.Fprintln(e.Out, path)
	if check {
		return true, nil
	}
	return true, os.WriteFile(path, out, 0o644)
}

//go:embed all:templates
var templates embed.FS

func (e *env) initCmd() *cobra.Command {
	var lang string
	c := &cobra.Command{
		Use: "init [DIR]", Short: "Make an example: source, build command and job file", Args: between(0, "a folder"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return e.initExample(dir, lang)
		},
	}
	c.Flags().StringVar(&lang, "lang", "go", "language of the example: go or c")
	return c
}

func (e *env) initExample(dir, lang string) error {
	root := path.Join("templates", lang)
	if _, err := fs.Stat(templates, root); err != nil {
		return usageError("-lang %q: there are examples in go and c", lang)
	}
	entries, err := fs.ReadDir(templates, root)
	if err != nil {
		return err
	}
	for _, en := range entries { // nothing is written over: check all before the first
		if _, err := os.Stat(filepath.Join(dir, exampleName(en.Name()))); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already; choose an empty folder: dunlin init NAME", filepath.Join(dir, exampleName(en.Name())))
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, en := range entries {
		b, err := fs.ReadFile(templates, path.Join(root, en.Name()))
		if err != nil {
			return err
		}
		name := filepath.Join(dir, exampleName(en.Name()))
		if err := os.WriteFile(name, b, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(e.Out, "wrote", name)
	}
	fmt.Fprintf(e.Out, "build:  %s\nrun:    dunlin run %s\n", buildCommands[lang], filepath.Join(dir, "app.hcl"))
	return nil
}

// exampleName is a template's name in the user's folder; sources carry a suffix
// that keeps the Go toolchain from reading them as part of this package.
func exampleName(name string) string {
	const suffix = ".txt"
	if filepath.Ext(name) == suffix {
		return name[:len(name)-len(suffix)]
	}
	return name
}

var buildCommands = map[string]string{
	"go": "GOOS=wasip1 GOARCH=wasm go build -o app.wasm .",
	"c":  "clang --target=wasm32-wasip1 -O2 -o app.wasm app.c",
}
