package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/allocfs"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Register is what the device says of itself first on a link: the region it obeys and what it holds of it.
func (r *Runner) Register(ctx context.Context) (wire.Register, error) {
	return ask(ctx, r, (*device.Device).Register)
}

// LinkUp tells the device that a server answered. Batches to send come on the channel until LinkDown. An error means that the
// server is not obeyed.
func (r *Runner) LinkUp(ctx context.Context, w *wire.Welcome) (<-chan *wire.StatusBatch, error) {
	statuses := make(chan *wire.StatusBatch, 1)
	if _, err := r.call(ctx, message{ask: func(*device.Device) { r.statuses = statuses }}); err != nil {
		return nil, err
	}
	actions, err := r.call(ctx, message{event: device.LinkUp{Welcome: w}})
	if err != nil {
		return nil, err
	}
	for _, a := range actions {
		if refused, ok := a.(device.RefuseLink); ok {
			return nil, errors.New(refused.Reason)
		}
	}
	return statuses, nil
}

// LinkDown tells the device that the link of the last LinkUp has ended. It returns when the device knows, or has stopped.
func (r *Runner) LinkDown(ctx context.Context) {
	// An error means that there is no device any more to be told.
	_, _ = r.call(context.WithoutCancel(ctx), message{event: device.LinkDown{}})
}

// Desired tells the device what its region wants, and returns the generation that is on disk. An error means that it is not
// obeyed.
func (r *Runner) Desired(ctx context.Context, m *wire.Desired) (wire.Generation, error) {
	actions, err := r.call(ctx, message{event: device.DesiredReceived{Message: m}})
	if err != nil {
		return wire.Generation{}, err
	}
	for _, a := range actions {
		switch a := a.(type) {
		case device.AckDesired:
			return a.Gen, nil
		case device.RefuseDesired:
			return wire.Generation{}, errors.New(a.Reason)
		}
	}
	return wire.Generation{}, ErrStopped // while the disk refused
}

// StatusAcked tells the device that the region has a batch.
func (r *Runner) StatusAcked(ctx context.Context, seq uint64) {
	r.post(ctx, device.StatusAcked{Seq: seq})
}

// Logs says where a task's logs are. An empty task means the only one. The error is for the one who asked.
func (r *Runner) Logs(ctx context.Context, id fleet.UUID, taskName string) (dir, name string, err error) {
	v, ok, err := r.alloc(ctx, id)
	switch {
	case err != nil:
		return "", "", err
	case !ok || v.Cleared:
		return r.keptLogs(id, taskName, ok)
	}
	var names []string
	for _, t := range v.Tasks {
		if t.Name == taskName || taskName == "" && len(v.Tasks) == 1 {
			return r.logDir(id), t.Name, nil
		}
		names = append(names, t.Name)
	}
	if taskName == "" {
		return "", "", fmt.Errorf("allocation %s has %d tasks; name one of %q", id, len(names), names)
	}
	return "", "", fmt.Errorf("allocation %s has no task %q; it has %q", id, taskName, names)
}

// keptLogs says where the logs are of a task whose allocation is gone. What tasks there were, only the one who asks knows.
func (r *Runner) keptLogs(id fleet.UUID, taskName string, known bool) (dir, name string, err error) {
	dir, kept := r.opts.Logs.Find(id)
	switch {
	case kept && taskName == "":
		return "", "", fmt.Errorf("allocation %s is gone and its logs are kept; name the task", id)
	case kept:
		return dir, taskName, nil
	case known:
		return "", "", fmt.Errorf("the files of allocation %s were removed to make room, its logs to keep within the device's quota of %d MB", id, r.opts.Logs.Quota()/1e6)
	}
	return "", "", fmt.Errorf("allocation %s is not on this device", id)
}

// Files opens the folder of an allocation. Of one that is gone, that is its logs, if they are kept.
func (r *Runner) Files(ctx context.Context, id fleet.UUID) (*allocfs.FS, error) {
	v, ok, err := r.alloc(ctx, id)
	if err != nil {
		return nil, err
	}
	if ok && !v.Cleared {
		return allocfs.Open(r.allocDir(id))
	}
	if dir, kept := r.opts.Logs.Find(id); kept {
		return allocfs.OpenKept(dir)
	}
	if ok {
		return nil, fmt.Errorf("the files of allocation %s were removed when it was over, and it left no logs: %w", id, allocfs.ErrNotFound)
	}
	return nil, fmt.Errorf("allocation %s is not on this device: %w", id, allocfs.ErrNotFound)
}

// Exec starts a command beside a task that runs. An empty task means the only one. The command ends with ctx at the latest.
func (r *Runner) Exec(ctx context.Context, id fleet.UUID, taskName string, req driver.ExecRequest) (driver.Command, error) {
	v, ok, err := r.alloc(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !ok || v.Cleared:
		return nil, fmt.Errorf("allocation %s is not on this device", id)
	}
	var names []string
	for _, t := range v.Tasks {
		if names = append(names, t.Name); taskName == "" && len(v.Tasks) == 1 {
			taskName = t.Name
		}
	}
	switch {
	case taskName == "":
		return nil, fmt.Errorf("allocation %s has %d tasks; name one of %q", id, len(names), names)
	case !slices.Contains(names, taskName):
		return nil, fmt.Errorf("allocation %s has no task %q; it has %q", id, taskName, names)
	}
	r.mu.Lock()
	l, live := r.live[taskKey{id, taskName}]
	r.mu.Unlock()
	if !live {
		return nil, fmt.Errorf("task %q of allocation %s does not run now, and a command runs beside a task only", taskName, id)
	}
	d, ok := r.opts.Drivers[l.instance.Driver]
	if !ok {
		return nil, errors.New(r.noDriver(l.instance.Driver))
	}
	return d.Exec(ctx, l.handle, req)
}

// Ended reports whether a task will print nothing more.
func (r *Runner) Ended(ctx context.Context, id fleet.UUID, taskName string) bool {
	v, ok, err := r.alloc(ctx, id)
	if err != nil || !ok {
		return true
	}
	for _, t := range v.Tasks {
		if t.Name == taskName {
			return t.State == fleet.TaskDead
		}
	}
	return true
}

func (r *Runner) alloc(ctx context.Context, id fleet.UUID) (device.AllocView, bool, error) {
	type answer struct {
		view device.AllocView
		ok   bool
	}
	a, err := ask(ctx, r, func(d *device.Device) (a answer) {
		a.view, a.ok = d.Alloc(id)
		return a
	})
	return a.view, a.ok, err
}
