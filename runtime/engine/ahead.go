package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Limits of a compile ahead of a start.
const (
	// AheadMemoryMax is what the compiling process may hold on a machine with at least twice of it, and half the memory of a
	// smaller one: its garbage collector works towards that, and where the system can (Linux), an eighth more is refused. A module
	// that needs more is compiled by its start, as if there had been no preparation. A Go program of 3 MB takes 80 MB, one of
	// 20 MB takes 480 MB.
	AheadMemoryMax = 512 << 20
	// AheadTimeMax ends a compile that hangs: a large module takes a minute on a small machine with much else to do.
	AheadTimeMax = 10 * time.Minute
	// aheadWordsMax is how much of what a failing process said is kept for the error: the first words name the fault.
	aheadWordsMax = 512
)

// CompileAhead fills the compile cache for a later start of the same module, in a process of its own: self is the argv prefix
// that starts this program, to which "guest" is appended; empty is the running executable. Of spec it reads Module, Digest and
// CacheDir. Cancelling ctx ends the process. The report's Error is in the error.
//
// Why a process: a compile takes many times the module's size in memory, for moments, and the caller runs on a device that has
// little; here it has a limit, gives way to what runs (see yield, bound), and if it is killed for memory, nothing else is. RLIMIT_AS,
// the obvious limit, is unfit: Go reserves address space that it never uses.
func CompileAhead(ctx context.Context, self []string, spec Spec) (Report, error) {
	line, err := json.Marshal(Spec{Module: spec.Module, Digest: spec.Digest, CacheDir: spec.CacheDir, CompileOnly: true})
	if err != nil {
		return Report{}, fmt.Errorf("encode guest spec: %w", err)
	}
	if len(self) == 0 {
		exe, err := os.Executable()
		if err != nil {
			return Report{}, fmt.Errorf("find this program: %w", err)
		}
		self = []string{exe}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, AheadTimeMax, fmt.Errorf("compile was not done after %s", AheadTimeMax))
	defer cancel()
	said, answer, err := runAhead(ctx, append(self[:len(self):len(self)], "guest"), line)
	if cause := context.Cause(ctx); cause != nil {
		return Report{}, cause
	}
	var rep Report
	switch jsonErr := json.Unmarshal(answer, &rep); {
	case jsonErr == nil && rep.Error == "" && err == nil:
		return rep, nil
	case jsonErr == nil && rep.Error != "":
		return rep, errors.New(rep.Error)
	case err == nil:
		err = errors.New("it gave no report")
	}
	return rep, fmt.Errorf("the compiling process failed (it may hold %d MiB): %w: %s", aheadMemory()>>20, err, strings.TrimSpace(string(said)))
}

// aheadMemory is AheadMemoryMax on this machine, in bytes.
func aheadMemory() int64 {
	if all := memoryBytes(); all > 0 {
		return min(AheadMemoryMax, all/2)
	}
	return AheadMemoryMax
}

// head keeps the first aheadWordsMax bytes written to it.
type head []byte

func (h *head) Write(b []byte) (int, error) {
	*h = append(*h, b[:min(len(b), aheadWordsMax-len(*h))]...)
	return len(b), nil
}

// runAhead gives the process its spec and returns what it said on standard error and in its report.
func runAhead(ctx context.Context, argv []string, spec []byte) (said, report []byte, err error) {
	specR, specW, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer specR.Close()
	defer specW.Close()
	repR, repW, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer repR.Close()
	defer repW.Close()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"GORACE=" + os.Getenv("GORACE")} // it needs nothing else of the caller's, which may hold secrets
	cmd.ExtraFiles = []*os.File{specR, repW}
	var stderr head
	cmd.Stderr = &stderr
	// Its end, with this process or with ctx, ends the compile: see untilAlone. Nothing is ever written to it.
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	specR.Close()
	repW.Close()
	if _, err = specW.Write(spec); err == nil { // far below what a pipe holds
		specW.Close()
		report, err = io.ReadAll(io.LimitReader(repR, SpecBytesMax))
	}
	alive.Close()
	return stderr, report, errors.Join(err, cmd.Wait())
}

// ahead is the other end: the guest process with a spec that is to be compiled only.
func ahead(ctx context.Context, spec Spec) Report {
	go untilAlone(os.Stdin)
	debug.SetMemoryLimit(aheadMemory())
	runtime.GOMAXPROCS(1) // a second worker would take memory and a processor from what runs
	yield()
	bound()
	rep := Report{EngineCompile: EngineName() == "compiler"}
	if err := compileOnly(ctx, spec, &rep); err != nil {
		rep.Error, rep.ExitCode = err.Error(), ExitNotStarted
	}
	return rep
}

// compileOnly makes machine code, and leaves it in the cache.
func compileOnly(ctx context.Context, spec Spec, rep *Report) error {
	begin := time.Now()
	wasm, err := load(spec)
	if err != nil {
		return err
	}
	loaded := time.Now()
	rep.LoadNanos = loaded.Sub(begin).Nanoseconds()
	r, _, err := compile(ctx, spec, wasm, rep)
	if err != nil {
		return err
	}
	r.close()
	rep.CompileNanos = time.Since(loaded).Nanoseconds()
	return nil
}

// untilAlone ends the process when its parent has: nobody waits for the compile then.
func untilAlone(stdin io.Reader) {
	_, _ = io.Copy(io.Discard, stdin)
	os.Exit(ExitNotStarted)
}
