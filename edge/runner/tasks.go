package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/tasklog"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
)

// start builds what the driver needs and asks it once; whether to try again is the core's decision.
func (r *Runner) start(ctx context.Context, a device.StartTask) {
	select {
	case r.starts <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-r.starts }()
	d, ok := r.opts.Drivers[a.Driver]
	if !ok {
		r.report(ctx, a.Instance, task.StartFailed{Err: r.noDriver(a.Driver)})
		return
	}
	dt, err := r.build(a)
	if err != nil {
		r.report(ctx, a.Instance, task.SetupFailed{Err: err.Error()})
		return
	}
	if err := r.place(ctx, a, dt); err != nil {
		r.report(ctx, a.Instance, task.StartFailed{Err: err.Error(), Recoverable: true})
		return
	}
	if dt.Volumes, err = r.volumes(a); err != nil {
		r.report(ctx, a.Instance, task.StartFailed{Err: err.Error(), Recoverable: true})
		return
	}
	if err := r.makeDirs(dt); err != nil {
		r.report(ctx, a.Instance, task.StartFailed{Err: err.Error(), Recoverable: true})
		return
	}
	h, err := d.Start(ctx, dt)
	if ctx.Err() != nil {
		return // whether it runs, the next agent asks
	}
	if err != nil {
		r.report(ctx, a.Instance, task.StartFailed{Err: err.Error(), Recoverable: driver.IsRecoverable(err)})
		return
	}
	r.lives(a.Instance, h)
	r.report(ctx, a.Instance, task.Started{Handle: h})
	r.spawn(func() { r.wait(ctx, a.Instance, d, h) })
}

func (r *Runner) noDriver(name string) string {
	names := make([]string, 0, len(r.opts.Drivers))
	for n := range r.opts.Drivers {
		names = append(names, n)
	}
	slices.Sort(names)
	return fmt.Sprintf("driver %q is not enabled on this device; enabled are: %s", name, strings.Join(names, ", "))
}

func (r *Runner) recoverTask(ctx context.Context, a device.RecoverTask) {
	d, ok := r.opts.Drivers[a.Driver]
	if !ok {
		r.opts.Log.Warn("a task's driver is not enabled any more; it cannot be asked", "alloc", a.Alloc, "task", a.Task, "driver", a.Driver)
		r.report(ctx, a.Instance, task.Gone{})
		return
	}
	r.retry(ctx, "recover task "+a.Task, 0, func() (bool, error) {
		err := d.Recover(ctx, a.Handle)
		switch {
		case errors.Is(err, driver.ErrTaskGone):
			r.report(ctx, a.Instance, task.Gone{})
		case err != nil:
			return false, err
		default:
			r.lives(a.Instance, a.Handle)
			r.report(ctx, a.Instance, task.Recovered{})
			r.spawn(func() { r.wait(ctx, a.Instance, d, a.Handle) })
		}
		return true, nil
	})
}

// wait watches a task until it has ended.
func (r *Runner) wait(ctx context.Context, in device.Instance, d driver.Driver, h driver.Handle) {
	r.retry(ctx, "wait for task "+in.Task, 0, func() (bool, error) {
		exit, err := d.Wait(ctx, h)
		switch {
		case errors.Is(err, driver.ErrTaskGone):
			r.dies(in)
			r.report(ctx, in, task.Gone{})
		case err != nil:
			return false, err
		default:
			r.dies(in)
			ev := task.Exited{Exit: exit}
			if !exit.Succeeded() {
				ev.Tail = r.lastOutput(in)
			}
			r.report(ctx, in, ev)
		}
		return true, nil
	})
}

// lastOutput is what users want to see first of a task that failed: its last lines on standard error, or, if it wrote none
// there, on standard output.
func (r *Runner) lastOutput(in device.Instance) string {
	dir := r.logDir(in.Alloc)
	for _, stream := range []string{tasklog.Stderr, tasklog.Stdout} {
		b, err := tasklog.Tail(dir, in.Task, stream, fleet.LastOutputLinesMax, fleet.EventArgBytesMax)
		if err != nil {
			r.opts.Log.Warn("the last output of a failed task cannot be read", "alloc", in.Alloc, "task", in.Task, "error", err)
		} else if len(b) > 0 {
			return string(b)
		}
	}
	return ""
}

func (r *Runner) stop(ctx context.Context, a device.StopTask) {
	d, ok := r.opts.Drivers[a.Driver]
	if !ok {
		r.report(ctx, a.Instance, task.Gone{})
		return
	}
	r.retry(ctx, "stop task "+a.Task, 0, func() (bool, error) {
		err := d.Stop(ctx, a.Handle, a.Signal, a.Grace)
		// Its end is reported by wait.
		return err == nil || errors.Is(err, driver.ErrTaskGone), err
	})
}

func (r *Runner) destroy(ctx context.Context, a device.DestroyTask) {
	d, ok := r.opts.Drivers[a.Driver]
	if !ok {
		return // it was told when the task was recovered
	}
	h := r.handleOf(a)
	r.retry(ctx, "destroy task "+a.Task, DestroyTriesMax, func() (bool, error) {
		err := d.Destroy(ctx, h)
		if err != nil && !errors.Is(err, driver.ErrTaskGone) {
			return false, err
		}
		r.report(ctx, a.Instance, task.Destroyed{ID: h.ID})
		return true, nil
	})
}

// handleOf makes a token for an attempt whose own was never written down: drivers use the instance's identity as Handle.ID.
func (r *Runner) handleOf(a device.DestroyTask) driver.Handle {
	if a.Handle != nil {
		return *a.Handle
	}
	dt := driver.Task{ID: taskID(a.Instance), Attempt: a.Attempt}
	return driver.Handle{Version: driver.HandleVersion, Driver: a.Driver, ID: dt.InstanceID()}
}

func taskID(in device.Instance) string { return in.Alloc.String() + "/" + in.Task }

func (r *Runner) report(ctx context.Context, in device.Instance, what task.Event) {
	r.post(ctx, device.TaskHappened{Alloc: in.Alloc, Task: in.Task, Attempt: in.Attempt, What: what})
}

func (r *Runner) lives(in device.Instance, h driver.Handle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live[taskKey{in.Alloc, in.Task}] = liveTask{in, h}
}

func (r *Runner) dies(in device.Instance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := taskKey{in.Alloc, in.Task}
	if r.live[key].instance == in {
		delete(r.live, key)
	}
}

// stopAll takes the tasks along when the agent ends. Their ends are kept by the drivers, so that the next agent learns of them.
func (r *Runner) stopAll() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*ExitGraceMax)
	defer cancel()
	var wg sync.WaitGroup
	for _, l := range r.live { // the loop and all operations have ended
		d := r.opts.Drivers[l.instance.Driver]
		wg.Go(func() {
			if err := d.Stop(ctx, l.handle, "", ExitGraceMax); err != nil && !errors.Is(err, driver.ErrTaskGone) {
				r.opts.Log.Warn("a task could not be stopped on the way out", "alloc", l.instance.Alloc, "task", l.instance.Task, "error", err)
			}
		})
	}
	wg.Wait()
}
