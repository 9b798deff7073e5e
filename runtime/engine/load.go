package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/tetratelabs/wazero"

	"github.com/dunlin-edge/dunlin/runtime/module"
)

// load reads the module, once and whole: what is verified is what is compiled, whatever happens to the file meanwhile.
func load(spec Spec) ([]byte, error) {
	st, err := os.Stat(spec.Module)
	if err != nil {
		return nil, fmt.Errorf("module: %w", err)
	}
	if st.Size() > module.SizeBytesMax {
		return nil, fmt.Errorf("module %s has %d bytes, more than the limit of %d", spec.Module, st.Size(), int64(module.SizeBytesMax))
	}
	wasm, err := os.ReadFile(spec.Module)
	if err != nil {
		return nil, fmt.Errorf("module: %w", err)
	}
	sum := sha256.Sum256(wasm)
	if got := "sha256:" + hex.EncodeToString(sum[:]); got != spec.Digest {
		return nil, fmt.Errorf("module %s has digest %s, wanted %s: it is damaged or another file, and is not run", spec.Module, got, spec.Digest)
	}
	return wasm, check(wasm, spec.MemoryMaxBytes)
}

// check is what can be said about a module before it is compiled.
func check(wasm []byte, memoryMax uint64) error {
	info, err := module.InspectBytes(wasm)
	if err != nil {
		return err
	}
	if err := module.Check(info); err != nil {
		return fmt.Errorf("module cannot run here: %w", err)
	}
	for _, m := range info.Memories {
		if need := m.MinPages * pageBytes; memoryMax != 0 && need > memoryMax {
			return fmt.Errorf("module needs %d MiB of memory to start, its limit is %d MiB: raise memory in the task's resources",
				(need+1<<20-1)>>20, memoryMax>>20)
		}
	}
	return nil
}

// Validate reads the module at path and checks all of it, function bodies included, without making machine code.
// ctx is seen before the work, which takes about a tenth of a second per megabyte.
func Validate(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("module: %w", err)
	}
	if err := check(wasm, 0); err != nil {
		return err
	}
	r := wazero.NewRuntimeWithConfig(ctx, config(true))
	defer r.Close(ctx)
	if _, err := r.CompileModule(ctx, wasm); err != nil {
		return fmt.Errorf("module is not valid: %w", err)
	}
	return nil
}
