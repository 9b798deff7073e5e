package hosted

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/runtime/host"
)

// Port is what drivers need of the host; *host.Client is one.
type Port interface {
	Start(ctx context.Context, spec host.TaskSpec) (host.TaskStatus, error)
	Status(ctx context.Context, id string) (host.TaskStatus, error)
	Wait(ctx context.Context, id string) (host.Exit, error)
	Stop(ctx context.Context, id, signal string, grace time.Duration) error
	Signal(ctx context.Context, id, signal string) error
	Exec(ctx context.Context, spec host.ExecSpec, stdio [3]*os.File) (host.ExecResult, error)
	Stats(ctx context.Context, id string) (host.Stats, error)
	Forget(ctx context.Context, id string) error
}

// Tasks carries out a driver's methods on tasks that were started. Name is the driver's.
type Tasks struct {
	Name string
	Host Port
}

// Start hands a spec to the host. The spec's ID and Log are filled in from the task.
func (t Tasks) Start(ctx context.Context, task driver.Task, spec host.TaskSpec) (driver.Handle, error) {
	spec.ID = task.InstanceID()
	spec.Log = host.LogSpec{Dir: task.LogDir, Task: task.Name, FilesMax: task.LogMaxFiles, FileBytesMax: task.LogMaxFileBytes}
	status, err := t.Host.Start(ctx, spec)
	if err != nil {
		return driver.Handle{}, &driver.StartError{Task: task.ID, Recoverable: recoverable(err), Err: err}
	}
	return driver.Handle{Version: driver.HandleVersion, Driver: t.Name, ID: spec.ID, StartedAt: status.StartedAt.UnixNano()}, nil
}

// recoverable says which refusals of the host stay refusals: a program that is missing or may not run, and a spec that no
// host takes. A host that cannot be reached, or has no room, may do better later.
func recoverable(err error) bool {
	switch host.CodeOf(err) {
	case host.CodeBadRequest, host.CodeStart, host.CodeNotSupported:
		return false
	}
	return true
}

// Wait blocks until the task has ended.
func (t Tasks) Wait(ctx context.Context, h driver.Handle) (driver.Exit, error) {
	if err := driver.CheckHandle(t.Name, h); err != nil {
		return driver.Exit{}, err
	}
	e, err := t.Host.Wait(ctx, h.ID)
	if err != nil {
		return driver.Exit{}, translate("wait for", h, err)
	}
	return driver.Exit{Code: e.Code, Signal: e.Signal, OOM: e.OOM, Trap: e.Trap, Err: e.Err, At: e.At}, nil
}

// Stop asks the task to end, kills it after grace, and returns when it has ended.
func (t Tasks) Stop(ctx context.Context, h driver.Handle, signal string, grace time.Duration) error {
	if err := driver.CheckHandle(t.Name, h); err != nil {
		return err
	}
	return translate("stop", h, t.Host.Stop(ctx, h.ID, signal, grace))
}

// Signal sends one signal to the task.
func (t Tasks) Signal(ctx context.Context, h driver.Handle, signal string) error {
	if err := driver.CheckHandle(t.Name, h); err != nil {
		return err
	}
	return translate("signal", h, t.Host.Signal(ctx, h.ID, signal))
}

// Stats reads what the task uses now. The driver adds which limits nothing enforces.
func (t Tasks) Stats(ctx context.Context, h driver.Handle) (driver.Stats, error) {
	if err := driver.CheckHandle(t.Name, h); err != nil {
		return driver.Stats{}, err
	}
	s, err := t.Host.Stats(ctx, h.ID)
	if err != nil {
		return driver.Stats{}, translate("stats of", h, err)
	}
	return driver.Stats{At: s.At, CPUNanos: s.CPUNanos, MemoryBytes: s.MemoryBytes, Pids: s.Pids}, nil
}

// Recover checks that the host knows the task.
func (t Tasks) Recover(ctx context.Context, h driver.Handle) error {
	if err := driver.CheckHandle(t.Name, h); err != nil {
		return err
	}
	_, err := t.Host.Status(ctx, h.ID)
	return translate("recover", h, err)
}

// Destroy kills the task if it runs and forgets its end.
func (t Tasks) Destroy(ctx context.Context, h driver.Handle) error {
	if err := driver.CheckHandle(t.Name, h); err != nil {
		return err
	}
	return translate("destroy", h, t.Host.Forget(ctx, h.ID))
}

// translate turns the host's refusals into the port's.
func translate(verb string, h driver.Handle, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, host.ErrTaskGone):
		return fmt.Errorf("%s %q: %w", verb, h.ID, driver.ErrTaskGone)
	case errors.Is(err, host.ErrNotSupported):
		return fmt.Errorf("%s %q: %w: %w", verb, h.ID, driver.ErrNotSupported, err)
	}
	return fmt.Errorf("%s %q: %w", verb, h.ID, err)
}
