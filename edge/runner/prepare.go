package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/device"
)

// prepare lets the driver do what it can before a task is started, and answers in any case: an older version runs until then.
func (r *Runner) prepare(ctx context.Context, a device.StartTask) {
	select {
	case r.prepares <- struct{}{}:
	case <-ctx.Done():
		return
	}
	begun := time.Now()
	err := r.prepareNow(ctx, a)
	<-r.prepares
	if ctx.Err() != nil {
		return // the next agent asks again
	}
	ev := device.TaskPrepared{Alloc: a.Alloc, Task: a.Instance.Task, Attempt: a.Attempt}
	if err != nil {
		ev.Err = err.Error()
	}
	r.opts.Log.Debug("task is prepared", "alloc", a.Alloc, "task", a.Instance.Task, "took", time.Since(begun), "error", ev.Err)
	r.post(ctx, ev)
}

func (r *Runner) prepareNow(ctx context.Context, a device.StartTask) error {
	d, ok := r.opts.Drivers[a.Driver]
	if !ok {
		return errors.New(r.noDriver(a.Driver))
	}
	dt, err := r.build(a)
	if err != nil {
		return err
	}
	if err := r.place(ctx, a, dt); err != nil {
		return err
	}
	return d.Prepare(ctx, dt)
}

// place tells a task where its modules are.
func (r *Runner) place(ctx context.Context, a device.StartTask, dt driver.Task) error {
	for _, digest := range a.Modules {
		path, ok := r.opts.Modules.Path(digest)
		if !ok {
			r.post(ctx, device.ModuleLost{Digest: digest})
			return fmt.Errorf("module %s is not in the cache any more", digest)
		}
		dt.Artifacts[digest] = path
	}
	return nil
}
