package agent

import (
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/rawexec"
	"github.com/dunlin-edge/dunlin/drivers/wasm"
	"github.com/dunlin-edge/dunlin/edge/runner"
	"github.com/dunlin-edge/dunlin/runtime/host"
)

// DefaultPath is the PATH of raw processes when the agent has none to give.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// DriverOptions say which of the usual drivers a device has.
type DriverOptions struct {
	DataDir string   // absolute; compile cache and guests' system files
	HostDir string   // of the host process; empty: DATA/host. A folder that is cleared at boot is best.
	Self    []string // argv prefix that starts this program; empty: the running executable
	RawExec bool     // processes without isolation; off unless the operator asked for it
	Path    string   // PATH of raw processes; empty: DefaultPath
	Log     *slog.Logger
}

// Usual are the drivers of a real device and their host's client, which the caller closes after the agent's Run.
type Usual struct {
	Drivers  map[string]driver.Driver
	Settings map[string]runner.Setting
	Host     *host.Client
}

// Drivers makes the wasm driver, and raw_exec if it is allowed.
func Drivers(o DriverOptions) (*Usual, error) {
	if o.HostDir == "" {
		o.HostDir = filepath.Join(o.DataDir, "host")
	}
	if o.Path == "" {
		o.Path = DefaultPath
	}
	client, err := host.New(host.Options{Dir: o.HostDir, Self: o.Self, Logger: o.Log})
	if err != nil {
		return nil, fmt.Errorf("reach the host process: %w", err)
	}
	u := &Usual{Host: client}
	u.Drivers = map[string]driver.Driver{config.WasmDriver: wasm.New(wasm.Options{
		Host: client, Self: o.Self, StateDir: filepath.Join(o.DataDir, "wasm"), CacheDir: filepath.Join(o.DataDir, "compiled"),
	})}
	u.Settings = map[string]runner.Setting{
		config.WasmDriver:    {AllocDir: wasm.GuestAllocDir, TaskDir: wasm.GuestTaskDir},
		config.RawExecDriver: {Env: map[string]string{"PATH": o.Path}},
	}
	if o.RawExec {
		u.Drivers[config.RawExecDriver] = rawexec.New(rawexec.Options{Host: client, Enabled: true})
	}
	return u, nil
}
