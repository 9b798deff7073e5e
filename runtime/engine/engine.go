package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"golang.org/x/sys/cpu"
)

// features is what guests may use: the second version of the core specification, and three later additions that compilers
// already emit. Threads are left out: see module.Check.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst |
	experimental.CoreFeaturesExceptionHandling

// EngineName is "compiler" where this machine's instruction set has one, else "interpreter" (tens of times slower).
func EngineName() string {
	if runtime.GOARCH == "arm64" || runtime.GOARCH == "amd64" && cpu.X86.HasSSE41 {
		return "compiler"
	}
	return "interpreter"
}

func config(interpreter bool) wazero.RuntimeConfig {
	c := wazero.NewRuntimeConfigInterpreter()
	if !interpreter && EngineName() == "compiler" {
		c = wazero.NewRuntimeConfigCompiler()
	}
	// Without DWARF: stacks still name functions, and reading a cached module with line tables takes two system calls per
	// line.
	return c.WithCoreFeatures(features).WithDebugInfoEnabled(false)
}

// nop is the smallest command: a module whose _start returns.
var nop = []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x07\x0a\x01\x06_start\x00\x00\x0a\x04\x01\x02\x00\x0b")

// Prepared is a process made ready before it is known what it will run.
type Prepared struct{}

// Prepare does once what every start needs and no spec changes: it takes a module of nothing through all stages, so that
// the code of those stages is in memory and its tables are built. The rejected alternative, keeping that runtime for the
// real module, fails on the compile cache: its place comes with the spec, and wazero wants it when the runtime is made.
func Prepare() *Prepared {
	r, err := newRun(context.Background(), Spec{}, nil)
	if err != nil {
		return &Prepared{} // the same error meets the real module, where there is someone to tell
	}
	defer r.close()
	if compiled, err := r.runtime.CompileModule(r.ctx, nop); err == nil {
		_, _ = r.runtime.InstantiateModule(r.ctx, compiled, wazero.NewModuleConfig())
	}
	return &Prepared{}
}

// tidyBytesMin is the module size from which a guest's start first gives the compiler's or loader's working memory back to
// the system: 2.5 ms and 5 MiB for a Go program from the cache, many times that after a compile. Below it, nothing to gain.
const tidyBytesMin = 256 << 10

// run is one guest on its way through the stages.
type run struct {
	ctx     context.Context
	runtime wazero.Runtime
	cache   *sealedCache // nil without
	memory  *allocator
}

func newRun(ctx context.Context, spec Spec, cache *sealedCache) (*run, error) {
	r := &run{cache: cache, memory: &allocator{limit: spec.MemoryMaxBytes / pageBytes * pageBytes}}
	cfg := config(spec.Interpreter)
	if cache != nil {
		cfg = cfg.WithCompilationCache(cache.wazero)
	}
	r.ctx = experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0))
	r.runtime = wazero.NewRuntimeWithConfig(r.ctx, cfg)
	if _, err := wasi_snapshot_preview1.Instantiate(r.ctx, r.runtime); err != nil {
		r.close()
		return nil, fmt.Errorf("set up WASI: %w", err)
	}
	r.ctx = experimental.WithMemoryAllocator(r.ctx, r.memory)
	return r, nil
}

func (r *run) close() {
	_ = r.runtime.Close(r.ctx) // nothing in it can fail that matters: memory is unmapped, code is dropped
	if r.cache != nil {
		_ = r.cache.wazero.Close(r.ctx)
	}
}

// Run loads, verifies, compiles and runs one guest, and returns when it has ended. Cancelling ctx is seen between those
// stages but not by running guest code: for that, end the process.
func (p *Prepared) Run(ctx context.Context, spec Spec, stdin io.Reader, stdout, stderr io.Writer) Report {
	rep := Report{EngineCompile: !spec.Interpreter && EngineName() == "compiler"}
	if err := runStages(ctx, spec, &rep, streams{stdin, stdout, stderr}); err != nil {
		rep.Error = err.Error()
		rep.ExitCode = ExitNotStarted
	}
	return rep
}

type streams struct {
	in       io.Reader
	out, err io.Writer
}

// runStages returns an error for what kept the guest from starting; how a started guest ended is in rep.
func runStages(ctx context.Context, spec Spec, rep *Report, std streams) error {
	if err := spec.check(); err != nil {
		return err
	}
	begin := time.Now()
	wasm, err := load(spec)
	if err != nil {
		return err
	}
	loaded := time.Now()
	rep.LoadNanos = loaded.Sub(begin).Nanoseconds()
	r, compiled, err := compile(ctx, spec, wasm, rep)
	if err != nil {
		return err
	}
	defer r.close()
	compiledAt := time.Now()
	rep.CompileNanos = compiledAt.Sub(loaded).Nanoseconds()
	mounts, err := fsConfig(spec.Mounts)
	if err != nil {
		return err
	}
	defer mounts.close()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("start %s: %w", spec.Name, err)
	}
	guest, err := r.runtime.InstantiateModule(r.ctx, compiled, moduleConfig(spec, mounts, std))
	if err == nil {
		if len(wasm) >= tidyBytesMin {
			debug.FreeOSMemory()
		}
		started := time.Now()
		rep.StartNanos = started.Sub(compiledAt).Nanoseconds()
		_, err = guest.ExportedFunction("_start").Call(r.ctx)
		rep.RunNanos = time.Since(started).Nanoseconds()
	} else if !ranIntoTrap(err) {
		return fmt.Errorf("start %s: %w", spec.Name, err)
	}
	rep.MemoryBytes = r.memory.size
	rep.ended(err, r.memory.refused)
	return nil
}

// compile makes machine code, from the cache where it can. Whatever goes wrong with the cache, from a full disk to another
// process cleaning up at the same moment, is answered by compiling without one; what goes wrong then is the module's fault.
func compile(ctx context.Context, spec Spec, wasm []byte, rep *Report) (*run, wazero.CompiledModule, error) {
	if spec.CacheDir != "" && rep.EngineCompile {
		cache, err := openCache(spec.CacheDir, spec.Digest)
		if errors.Is(err, errUnsafeCache) {
			return nil, nil, err
		}
		if err == nil {
			if r, err := newRun(ctx, spec, cache); err == nil {
				if compiled, err := r.runtime.CompileModule(r.ctx, wasm); err == nil {
					rep.CacheHit = cache.intact
					settle(cache)
					return r, compiled, nil
				}
				r.close()
			}
		}
	}
	r, err := newRun(ctx, spec, nil)
	if err != nil {
		return nil, nil, err
	}
	compiled, err := r.runtime.CompileModule(r.ctx, wasm)
	if err != nil {
		r.close()
		return nil, nil, fmt.Errorf("module is not valid: %w", err)
	}
	return r, compiled, nil
}

// settle seals a cache that was just filled. A seal that cannot be written leaves an entry that the next start throws away:
// slower, not wrong.
func settle(cache *sealedCache) {
	if !cache.intact && cache.seal() == nil {
		_ = trimCache(cache.root, cache.dir, CacheBytesMax)
	}
}

func moduleConfig(spec Spec, mounts *mounted, std streams) wazero.ModuleConfig {
	c := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithArgs(append([]string{spec.Name}, spec.Args...)...).WithFSConfig(mounts.config).
		WithStdin(std.in).WithStdout(std.out).WithStderr(std.err).
		// Each of these is a fake unless it is asked for.
		WithSysWalltime().WithSysNanotime().WithSysNanosleep().WithOsyield(runtime.Gosched).WithRandSource(rand.Reader)
	for _, kv := range spec.Env {
		k, v, _ := strings.Cut(kv, "=")
		c = c.WithEnv(k, v)
	}
	return c
}

// mounted keeps the roots of the guest's mounts open while it runs.
type mounted struct {
	config wazero.FSConfig
	open   []*confined
}

func (m *mounted) close() {
	for _, c := range m.open {
		_ = c.root.Close()
	}
}

func fsConfig(mounts []Mount) (*mounted, error) {
	m := &mounted{config: wazero.NewFSConfig()}
	for _, mount := range mounts {
		c, err := confine(mount.Host, mount.ReadOnly)
		if err != nil {
			m.close()
			return nil, fmt.Errorf("mount at %s: %w", mount.Guest, err)
		}
		m.open = append(m.open, c)
		m.config = m.config.(sysfs.FSConfig).WithSysFSMount(c.fs(), mount.Guest)
	}
	return m, nil
}
