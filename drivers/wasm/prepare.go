package wasm

import (
	"context"
	"fmt"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/runtime/engine"
)

// Prepare compiles the task's module into the cache, in a process of its own (see engine.CompileAhead). Where modules are
// interpreted there is nothing that could be kept.
//
// The process is a child of this one and not the host's: it holds no task, and is to end with whoever waits for it.
func (d *Driver) Prepare(ctx context.Context, task driver.Task) error {
	cfg, err := config.ParseWasm(task.Config)
	if err != nil {
		return err
	}
	spec, err := d.spec(task, cfg)
	if err != nil {
		return err
	}
	if d.engineName() != "compiler" {
		return nil
	}
	if _, err := engine.CompileAhead(ctx, d.opts.Self, spec); err != nil {
		return fmt.Errorf("compile %s: %w", spec.Digest, err)
	}
	return nil
}
