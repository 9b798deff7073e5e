package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/jobspec"
	"github.com/dunlin-edge/dunlin/runtime/module"
	"github.com/dunlin-edge/dunlin/wire/blob"
	"github.com/spf13/cobra"
)

// jobFlags are the flags of every command that reads a job file.
type jobFlags struct {
	vars     []string
	varFiles []string
}

func (f *jobFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.vars, "var", nil, "value of a variable, NAME=VALUE; may be repeated")
	c.Flags().StringArrayVar(&f.varFiles, "var-file", nil, "file of variable values; may be repeated")
}

// localModule is a module that a job file names by a path on this machine.
type localModule struct {
	Path   string // as opened
	Digest string
	Size   int64
	Info   module.Info
}

// loaded is a job file that is right, as far as this machine can tell.
type loaded struct {
	Job      *fleet.Job // canonical; modules by digest
	Modules  []localModule
	Warnings jobspec.Diagnostics
}

// load parses and validates a job file and inspects the modules it names. All
// that is wrong is in the error, with file and line.
func (e *env) load(path string, f *jobFlags) (*loaded, error) {
	src, name, err := e.readFile(path)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	opts := jobspec.Options{
		Vars: map[string]string{}, Env: jobspec.EnvVars(e.Environ()),
		ReadFile: func(p string) ([]byte, error) { return os.ReadFile(relativeTo(dir, p)) },
	}
	for _, v := range f.vars {
		key, value, ok := strings.Cut(v, "=")
		if !ok {
			return nil, usageError("-var %q: want NAME=VALUE", v)
		}
		opts.Vars[key] = value
	}
	for _, p := range f.varFiles {
		b, err := os.ReadFile(p)
		if err != nil {
			return nil, usageError("-var-file: %v", err)
		}
		opts.VarFiles = append(opts.VarFiles, jobspec.VarFile{Name: p, Src: b})
	}
	result, diags := jobspec.Parse(name, src, opts)
	if diags.HasErrors() {
		return nil, errors.New(strings.TrimRight(diags.String(), "\n"))
	}
	fleet.Canonicalize(result.Job)
	problems := append(fleet.Validate(result.Job, config.Check), fleet.CheckMounts(result.Job, config.CheckMount)...)
	out := &loaded{Job: result.Job}
	problems = append(problems, out.findModules(dir)...)
	located := result.Locate(problems)
	if located.HasErrors() {
		return nil, errors.New(strings.TrimRight(located.String(), "\n"))
	}
	out.Warnings = append(diags, located...)
	return out, nil
}

func (e *env) readFile(path string) (src []byte, name string, err error) {
	if path == "-" {
		src, err = io.ReadAll(io.LimitReader(e.In, jobspec.FileBytesMax+1))
		return src, "<stdin>", err
	}
	src, err = os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, "", fmt.Errorf("there is no file %s; dunlin init makes an example", path)
	}
	return src, path, err
}

func relativeTo(dir, p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(dir, p)
}

// findModules hashes and inspects each module given as a path, and puts its
// digest into the job.
func (l *loaded) findModules(dir string) fleet.Problems {
	var problems fleet.Problems
	seen := map[string]bool{}
	for g := range l.Job.TaskGroups {
		for t := range l.Job.TaskGroups[g].Tasks {
			task := &l.Job.TaskGroups[g].Tasks[t]
			if task.Driver != config.WasmDriver {
				continue
			}
			w, err := config.ParseWasm(task.Config)
			if err != nil {
				continue // Validate has said so
			}
			ref, err := config.ParseModuleRef(w.Module)
			if err != nil || ref.Kind != config.ModuleLocal {
				continue
			}
			m, err := inspectModule(relativeTo(dir, ref.Path))
			if err == nil {
				task.Config, err = w.WithModule(config.ModuleRef{Kind: config.ModuleDigest, Digest: m.Digest})
			}
			if err != nil {
				problems = append(problems, fleet.Problem{Path: fmt.Sprintf("TaskGroups[%d].Tasks[%d].Config", g, t), Message: err.Error()})
				continue
			}
			if !seen[m.Digest] {
				seen[m.Digest] = true
				l.Modules = append(l.Modules, m)
			}
		}
	}
	return problems
}

func inspectModule(path string) (localModule, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return localModule{}, fmt.Errorf("module %s is not there; build it first, or correct the path (it is relative to the job file)", path)
	}
	if err != nil {
		return localModule{}, err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return localModule{}, err
	}
	info, err := module.Inspect(f, stat.Size())
	if err == nil {
		err = module.Check(info)
	}
	if err != nil {
		return localModule{}, fmt.Errorf("module %s: %w", path, err)
	}
	digest, size, err := blob.DigestOf(f)
	return localModule{Path: path, Digest: string(digest), Size: size, Info: info}, err
}

// push gives the region the modules it lacks.
func (e *env) push(ctx context.Context, c *api.Client, modules []localModule) error {
	for _, m := range modules {
		has, err := c.HasModule(ctx, m.Digest)
		if err != nil {
			return e.explain(c, err)
		}
		if has {
			fmt.Fprintf(e.Out, "module %s %s: the region has it\n", filepath.Base(m.Path), shortDigest(m.Digest))
			continue
		}
		if err := e.pushOne(ctx, c, m); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) pushOne(ctx context.Context, c *api.Client, m localModule) error {
	f, err := os.Open(m.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	label := fmt.Sprintf("module %s %s", filepath.Base(m.Path), shortDigest(m.Digest))
	p := newProgress(e.IO, label, m.Size)
	_, err = c.PushModule(ctx, m.Digest, filepath.Base(m.Path), io.TeeReader(f, p), m.Size)
	p.done(err == nil)
	return e.explain(c, err)
}

func shortDigest(d string) string {
	d = strings.TrimPrefix(d, "sha256:")
	return d[:min(12, len(d))]
}

func (e *env) warn(diags jobspec.Diagnostics) {
	for _, d := range diags {
		if d.Warning {
			fmt.Fprintln(e.Err, d.String()) // it says that it is a warning
		}
	}
}
