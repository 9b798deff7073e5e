// Package wasm runs a task as a WASI preview1 guest in a process of its own.
//
// The one idea: the guest process and all that outlives the agent are the host's, and what a guest is given is the engine's
// Spec; this driver turns a task into that Spec and adds nothing a job did not declare.
//
// A guest sees the allocation's directory at /alloc, its own at /local, the volumes that its task mounts, time zone data and
// certificate authorities read-only, and the task's environment. It has no signals: a stop kills it (config.StopKill, the
// default) or waits for the grace first (config.StopStdin).
//
// Threading: safe for concurrent use.
package wasm

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/hosted"
	"github.com/dunlin-edge/dunlin/runtime/engine"
	"github.com/dunlin-edge/dunlin/runtime/host"
)

// Where a guest finds its directories.
const (
	GuestAllocDir = config.GuestAllocDir
	GuestTaskDir  = config.GuestTaskDir
)

// Options configure the driver.
type Options struct {
	Host        hosted.Port
	StateDir    string   // absolute; what guests need and the system lacks (time zones, certificates) is written here once
	CacheDir    string   // absolute; the compile cache, made with mode 0700
	Self        []string // argv prefix that starts this program, for compiles ahead of a start; empty: the running executable
	Interpreter bool     // interpret even where a compiler exists
}

// Driver is the wasm driver.
type Driver struct {
	hosted.Tasks
	opts Options
}

var _ driver.Driver = (*Driver)(nil)

// New makes the driver.
func New(opts Options) *Driver {
	return &Driver{Tasks: hosted.Tasks{Name: config.WasmDriver, Host: opts.Host}, opts: opts}
}

// Name is "wasm".
func (d *Driver) Name() string { return config.WasmDriver }

// Capabilities says what the driver can do.
func (d *Driver) Capabilities() driver.Capabilities {
	return driver.Capabilities{
		MemoryLimit: true,
		Words: map[driver.Facility]string{
			driver.FacilitySignals:  "WASI preview1 guests cannot receive signals; restart the task to reload it, or let it read its standard input and set stop = \"stdin\"",
			driver.FacilityExec:     "a Wasm guest has no shell and no other programs to run; see what it left with dunlin alloc fs and dunlin alloc logs, or restart it with other args",
			driver.FacilityCPULimit: "cpu is used for placement only in this version",
		},
	}
}

// Fingerprint says which engine runs guests here.
func (d *Driver) Fingerprint(context.Context) driver.Fingerprint {
	if runtime.GOOS != "linux" {
		return driver.Fingerprint{Description: "wasm tasks need Linux; this is " + runtime.GOOS}
	}
	if _, _, err := engine.SystemMounts(d.opts.StateDir); err != nil {
		return driver.Fingerprint{Detected: true, Description: err.Error()}
	}
	name := d.engineName()
	words := "ready, compiled to machine code"
	if name != "compiler" {
		words = "ready, interpreted: tens of times slower than on a machine with a compiler"
	}
	return driver.Fingerprint{
		Detected: true, Healthy: true,
		Description: words,
		Attributes:  map[string]string{"driver.wasm": "1", "driver.wasm.engine": name},
	}
}

func (d *Driver) engineName() string {
	if d.opts.Interpreter {
		return "interpreter"
	}
	return engine.EngineName()
}

// Start starts the guest. A fault of the module itself (not Wasm, imports nobody provides) is the task's end, not an error
// here: only the guest process reads modules.
func (d *Driver) Start(ctx context.Context, task driver.Task) (driver.Handle, error) {
	fatal := func(err error) (driver.Handle, error) {
		return driver.Handle{}, &driver.StartError{Task: task.ID, Err: err}
	}
	if err := task.Check(); err != nil {
		return fatal(err)
	}
	cfg, err := config.ParseWasm(task.Config)
	if err != nil {
		return fatal(err)
	}
	spec, err := d.spec(task, cfg)
	if err != nil {
		return fatal(err)
	}
	mounts, env, err := engine.SystemMounts(d.opts.StateDir)
	if err != nil {
		return driver.Handle{}, &driver.StartError{Task: task.ID, Recoverable: true, Err: err}
	}
	spec.Mounts = addMounts(spec.Mounts, mounts)
	spec.Env = mergeEnv(env, task.EnvList())
	guest, err := json.Marshal(spec)
	if err != nil {
		return fatal(fmt.Errorf("encode guest spec: %w", err))
	}
	if len(guest) > engine.SpecBytesMax {
		return fatal(fmt.Errorf("arguments and environment make a guest spec of %d bytes; the limit is %d", len(guest), engine.SpecBytesMax))
	}
	return d.Tasks.Start(ctx, task, host.TaskSpec{Kind: host.KindWasm, Guest: guest, Stop: host.StopMode(cfg.Stop)})
}

func (d *Driver) spec(task driver.Task, cfg config.Wasm) (engine.Spec, error) {
	ref, err := config.ParseModuleRef(cfg.Module)
	if err != nil {
		return engine.Spec{}, err
	}
	if ref.Kind == config.ModuleLocal {
		return engine.Spec{}, fmt.Errorf("config module: %q is a path on somebody's machine; `dunlin run` pushes it and puts the digest here", cfg.Module)
	}
	path, ok := task.Artifacts[ref.Digest]
	if !ok {
		return engine.Spec{}, fmt.Errorf("config module: %s was not fetched to this device", ref.Digest)
	}
	volumes, err := volumeMounts(task.Volumes)
	if err != nil {
		return engine.Spec{}, err
	}
	return engine.Spec{
		Module: path, Digest: ref.Digest,
		Name: task.Name, Args: cfg.Args,
		Mounts: append([]engine.Mount{
			{Host: task.AllocDir, Guest: GuestAllocDir},
			{Host: task.TaskDir, Guest: GuestTaskDir},
		}, volumes...),
		CacheDir:       d.opts.CacheDir,
		MemoryMaxBytes: uint64(task.MemoryBytes),
		Interpreter:    d.opts.Interpreter,
	}, nil
}

// mergeEnv is the system's environment with the task's over it: a job may point to its own zone data.
func mergeEnv(system, task []string) []string {
	set := map[string]bool{}
	for _, kv := range task {
		k, _, _ := strings.Cut(kv, "=")
		set[k] = true
	}
	merged := make([]string, 0, len(system)+len(task))
	for _, kv := range system {
		if k, _, _ := strings.Cut(kv, "="); !set[k] {
			merged = append(merged, kv)
		}
	}
	return append(merged, task...)
}

// Signal refuses: preview1 has none.
func (d *Driver) Signal(context.Context, driver.Handle, string) error {
	return driver.Refuse(d, driver.FacilitySignals)
}

// Exec refuses: there is nothing else to run in a guest.
func (d *Driver) Exec(context.Context, driver.Handle, driver.ExecRequest) (driver.Command, error) {
	return nil, driver.Refuse(d, driver.FacilityExec)
}

// Stats reads what the guest process uses, and names the limit that nothing enforces.
func (d *Driver) Stats(ctx context.Context, h driver.Handle) (driver.Stats, error) {
	s, err := d.Tasks.Stats(ctx, h)
	s.Unenforced = []driver.Facility{driver.FacilityCPULimit}
	return s, err
}
