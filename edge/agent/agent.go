// Package agent puts a device together: state on disk, module cache, drivers, runner and session. It holds wiring only; what is
// decided is decided in edge/device.
//
// Everything that differs between a real device, a dev agent and a test is in Config: nothing is read from the environment.
//
// Threading: New and Run are called once, in this order; Status from any goroutine.
package agent

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/artifact"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/edge/fingerprint"
	"github.com/dunlin-edge/dunlin/edge/logstore"
	"github.com/dunlin-edge/dunlin/edge/runner"
	"github.com/dunlin-edge/dunlin/edge/session"
	"github.com/dunlin-edge/dunlin/edge/statedb"
	"github.com/dunlin-edge/dunlin/edge/wear"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/blob"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// The default limit of the module cache is a quarter of what is free where the data folder is, within these.
const (
	ModuleCacheBytesMin     = 64 << 20
	ModuleCacheBytesMax     = 2 << 30
	ModuleCacheBytesUnknown = 512 << 20 // when nobody knows what is free
)

// moduleCacheBytes is the default for a disk with so many MiB free; 0: unknown.
func moduleCacheBytes(freeMB int64) int64 {
	if freeMB <= 0 {
		return ModuleCacheBytesUnknown
	}
	return max(ModuleCacheBytesMin, min(freeMB<<20/4, ModuleCacheBytesMax))
}

// modulesDir is the module cache's folder in the data folder.
const modulesDir = "modules"

// Config is everything an agent is made of.
type Config struct {
	DataDir    string         // absolute; made if need be
	Identity   trust.Identity // of the device's certificate; its ID is the node's
	Name       string         // of the node; empty: its ID
	Datacenter string
	NodeClass  string
	Meta       map[string]string
	Servers    []string // host:port for QUIC, host:port/tcp for TLS over TCP
	Dialer     link.Dialer
	TLS        link.Dialer  // over TLS on TCP, where UDP does not get through; nil: never
	Clock      *trust.Clock // raised to what servers say; may be nil
	// Certificates keeps the device's certificate fresh; nil: somebody else does.
	Certificates *trust.Keeper
	NodePool     string
	Reserved     fleet.NodeReserved
	HostVolumes  map[string]fleet.HostVolume // folders that it offers to tasks
	Link         LinkConfig

	Probe func(context.Context) (*fleet.Node, error) // what the device is and has
	// Reprobe reads again what can change, overrides applied; nil: the facts stay as Probe found them.
	Reprobe  func(fingerprint.Pace) fingerprint.Reading
	Drivers  map[string]driver.Driver  // those that are enabled; Drivers makes the usual ones
	Settings map[string]runner.Setting // by driver

	Blobs               *blob.Store // nil: DATA/modules
	ModuleCacheBytesMax int64       // 0: by what is free on the disk

	DisableExec bool // no operator runs commands beside tasks here

	LogQuotaBytes int64 // of what all tasks printed; 0: logstore.QuotaBytes
	Host          Host  // tells what it wrote; nil: there is none

	// StopTasksOnExit takes the tasks along when Run ends, for dev agents. Otherwise they run on.
	StopTasksOnExit bool
	Log             *slog.Logger
}

// LinkConfig says what the device's owner pays for its link.
type LinkConfig struct {
	Class  string         // a node attribute; empty: not said
	Budget traffic.Budget // 0: none
}

// What jobs and people see of a LinkConfig.
const (
	attributeLinkClass  = "link.class"
	attributeLinkBudget = "link.budget"
)

// Agent is one device's agent.
type Agent struct {
	cfg     Config
	id      fleet.UUID
	facts   facts
	db      *statedb.DB
	logs    *logstore.Store
	wear    *wear.Meter
	began   int64 // names this process among the sources of meter
	runner  *runner.Runner
	session *session.Session
	meter   *session.Meter
}

// New opens what the device has on disk and probes it. Nothing runs before Run; without Run, Close must be called.
func New(ctx context.Context, cfg Config) (*Agent, error) {
	id, err := fleet.ParseUUID(cfg.Identity.ID)
	if err != nil {
		return nil, fmt.Errorf("the certificate's node ID: %w", err)
	}
	if !filepath.IsAbs(cfg.DataDir) {
		return nil, fmt.Errorf("data folder %q: use an absolute path", cfg.DataDir)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o711); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	a := &Agent{cfg: cfg, id: id}
	node, err := a.describe(ctx)
	if err != nil {
		return nil, err
	}
	a.facts.set(node)
	if a.cfg.Blobs == nil {
		limit := cfg.ModuleCacheBytesMax
		if limit == 0 {
			limit = moduleCacheBytes(node.NodeResources.Disk.DiskMB)
		}
		if a.cfg.Blobs, err = blob.Open(filepath.Join(cfg.DataDir, modulesDir), blob.Options{MaxBytes: limit}); err != nil {
			return nil, err
		}
	}
	db, state, err := statedb.Open(cfg.DataDir, cfg.Log)
	if err != nil {
		return nil, err
	}
	a.db = db
	a.openMeter()
	if a.logs, err = logstore.Open(cfg.DataDir, cfg.LogQuotaBytes); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	a.raise(state.Facts.Clock)
	servers, err := link.ParseServers(cfg.Servers)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	a.wire(state, servers, a.keptServers())
	return a, nil
}

// spec is what the agent reports on a link.
func (a *Agent) spec(t link.Transport, udpFiltered bool) ([]byte, error) {
	n := *a.Node()
	n.LinkTransport, n.UDPFiltered = string(t), udpFiltered
	return json.Marshal(&n)
}

// wire connects the parts, which need each other in a circle: the runner's cache fetches over the session's link.
func (a *Agent) wire(state device.State, servers []link.Server, learnt []string) {
	a.meter = session.NewMeter(a.cfg.Link.Budget, a.db.Kept(statedb.NoteTraffic), a.cfg.Log)
	a.db.Note(statedb.NoteTraffic, a.meter.Encode)
	a.runner = runner.New(runner.Options{
		DataDir: a.cfg.DataDir, State: state, Store: a.db,
		Device:  device.Config{Seed: binary.BigEndian.Uint64(a.id[8:])},
		Modules: counted{artifact.New(a.cfg.Blobs, region{a}, nil, a.cfg.Log), a}, Logs: a.logs,
		Drivers: a.cfg.Drivers, Settings: a.cfg.Settings,
		Node:   a.Node,
		Region: a.cfg.Identity.Region, StopTasksOnExit: a.cfg.StopTasksOnExit, Log: a.cfg.Log,
	})
	a.session = session.New(session.Options{
		Dialer: a.cfg.Dialer, TLS: a.cfg.TLS, Servers: servers, Learnt: learnt, Learn: a.keepServers, Node: a.id, Device: clocked{a.runner, a},
		Spec: a.spec, Facts: a.facts.attributes, Meter: a.meter, Log: a.cfg.Log,
		Certificates: a.cfg.Certificates, Place: place(a.cfg.DataDir), DisableExec: a.cfg.DisableExec,
		Written: func(ctx context.Context) ([]byte, error) { return json.Marshal(a.Written(ctx)) },
	})
}

// region lets the cache fetch over whatever link there is.
type region struct{ agent *Agent }

// Module asks the region for a module.
func (r region) Module(ctx context.Context, req *wire.ModuleRequest) (artifact.Transfer, error) {
	t, err := r.agent.session.Module(ctx, req)
	if err != nil {
		return nil, err // and not an interface around a nil
	}
	return t, nil
}

// clocked is the runner, with an eye on what servers say about the time.
type clocked struct {
	*runner.Runner
	agent *Agent
}

// LinkUp raises the clock and passes the welcome on.
func (c clocked) LinkUp(ctx context.Context, w *wire.Welcome) (<-chan *wire.StatusBatch, error) {
	c.agent.raise(w.ServerTime)
	return c.Runner.LinkUp(ctx, w)
}

func (a *Agent) raise(nanos int64) {
	if a.cfg.Clock != nil && nanos > 0 {
		a.cfg.Clock.Raise(time.Unix(0, nanos))
	}
}

// describe is what the agent reports of its device.
func (a *Agent) describe(ctx context.Context) (*fleet.Node, error) {
	n, err := a.cfg.Probe(ctx)
	if err != nil {
		return nil, fmt.Errorf("probe this device: %w", err)
	}
	n.ID = fleet.NodeID(a.id.String())
	if n.Name = a.cfg.Name; n.Name == "" {
		n.Name = a.id.String()
	}
	n.Datacenter, n.NodeClass, n.NodePool, n.Meta = a.cfg.Datacenter, a.cfg.NodeClass, a.cfg.NodePool, a.cfg.Meta
	n.ReservedResources, n.HostVolumes = a.cfg.Reserved, a.cfg.HostVolumes
	n.Drivers = make(map[string]fleet.DriverInfo, len(a.cfg.Drivers))
	if n.Attributes == nil {
		n.Attributes = map[string]string{}
	}
	if a.cfg.Link.Class != "" {
		n.Attributes[attributeLinkClass] = a.cfg.Link.Class
	}
	if a.cfg.Link.Budget != 0 {
		n.Attributes[attributeLinkBudget] = a.cfg.Link.Budget.String()
	}
	for name, d := range a.cfg.Drivers {
		f := d.Fingerprint(ctx)
		n.Drivers[name] = fleet.DriverInfo{Detected: f.Detected, Healthy: f.Healthy, HealthDescription: f.Description, Attributes: f.Attributes}
		if f.Healthy {
			maps.Copy(n.Attributes, f.Attributes)
		}
	}
	return n, nil
}

// Run serves the device until ctx ends. Tasks run on afterwards, unless StopTasksOnExit is set.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The runner outlives the session, which has to tell it that the link is gone.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() {
		defer cancel() // without a runner there is nothing to have a session for
		done <- a.runner.Run(inner)
	}()
	var watching sync.WaitGroup
	watching.Go(func() { a.watchFacts(ctx) })
	watching.Go(func() { a.watchWear(ctx) })
	a.session.Run(ctx)
	watching.Wait()
	stop()
	return errors.Join(<-done, a.Close())
}

// Close lets go of the disk. Run does it by itself.
func (a *Agent) Close() error { return a.db.Close() }
