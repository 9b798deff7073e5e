// Package rawexec runs a task as an ordinary process of the agent's user, without isolation.
//
// The one idea: everything about a process that outlives the agent is the host's; this driver turns a config into a
// host.TaskSpec and says honestly what is not enforced. It is off unless the agent's config allows it, because a job may then
// do all that the agent's user may.
//
// Threading: safe for concurrent use.
package rawexec

import (
	"context"
	"fmt"
	"runtime"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/hosted"
	"github.com/dunlin-edge/dunlin/runtime/host"
)

// Options configure the driver.
type Options struct {
	Host    hosted.Port
	Enabled bool // the agent's config allows the driver
}

// Driver is the raw_exec driver.
type Driver struct {
	hosted.Tasks
	enabled bool
}

var _ driver.Driver = (*Driver)(nil)

// New makes the driver.
func New(opts Options) *Driver {
	return &Driver{Tasks: hosted.Tasks{Name: config.RawExecDriver, Host: opts.Host}, enabled: opts.Enabled}
}

// Name is "raw_exec".
func (d *Driver) Name() string { return config.RawExecDriver }

// Capabilities says what the driver can do.
func (d *Driver) Capabilities() driver.Capabilities {
	return driver.Capabilities{
		Signals: true,
		Exec:    true,
		Words: map[driver.Facility]string{
			driver.FacilityMemoryLimit: "memory is used for placement only; limit it inside the program, or use the wasm driver",
			driver.FacilityCPULimit:    "cpu is used for placement only; use nice or taskset in the command",
		},
	}
}

// Fingerprint is healthy where processes can be hosted and the agent's config allows it.
func (d *Driver) Fingerprint(context.Context) driver.Fingerprint {
	switch {
	case runtime.GOOS != "linux":
		return driver.Fingerprint{Description: "raw_exec needs Linux; this is " + runtime.GOOS}
	case !d.enabled:
		return driver.Fingerprint{Detected: true, Description: "raw_exec is off; it runs programs as the agent's user without isolation, so the agent's config must enable it"}
	}
	return driver.Fingerprint{
		Detected: true, Healthy: true,
		Description: "ready; memory and cpu are not enforced",
		Attributes:  map[string]string{"driver.raw_exec": "1", "driver.raw_exec.limits": "none"},
	}
}

// Prepare does nothing: a program is on the device before its task is.
func (d *Driver) Prepare(context.Context, driver.Task) error { return nil }

// Start starts the process.
func (d *Driver) Start(ctx context.Context, task driver.Task) (driver.Handle, error) {
	fatal := func(err error) (driver.Handle, error) {
		return driver.Handle{}, &driver.StartError{Task: task.ID, Err: err}
	}
	if !d.enabled {
		return fatal(fmt.Errorf("driver raw_exec is not enabled on this device"))
	}
	if err := task.Check(); err != nil {
		return fatal(err)
	}
	if len(task.Volumes) > 0 {
		return fatal(config.CheckMount(config.RawExecDriver, task.Volumes[0].Guest))
	}
	cfg, err := config.ParseRawExec(task.Config)
	if err != nil {
		return fatal(err)
	}
	return d.Tasks.Start(ctx, task, host.TaskSpec{
		Kind: host.KindProcess,
		Argv: append([]string{cfg.Command}, cfg.Args...),
		Env:  task.EnvList(),
		Dir:  task.TaskDir,
	})
}

// Stats reads what the task uses, and names the limits that nothing enforces.
func (d *Driver) Stats(ctx context.Context, h driver.Handle) (driver.Stats, error) {
	s, err := d.Tasks.Stats(ctx, h)
	s.Unenforced = []driver.Facility{driver.FacilityCPULimit, driver.FacilityMemoryLimit}
	return s, err
}
