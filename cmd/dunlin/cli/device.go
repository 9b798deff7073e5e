package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/cmd/dunlin/config"
	"github.com/dunlin-edge/dunlin/edge/agent"
	"github.com/dunlin-edge/dunlin/edge/fingerprint"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/tlsnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// localServer is what a device in the same process as a server is given instead
// of joining.
type localServer struct {
	material *trust.Material
	address  string
}

// stopHostTimeout bounds how long a dev agent waits for its tasks to be gone.
const stopHostTimeout = 10 * time.Second

func (e *env) runDevice(ctx context.Context, cfg *config.Config, o agentOptions, local *localServer, log *slog.Logger) error {
	if local == nil && cfg.TLS == nil {
		if err := e.joinByImage(ctx, cfg, log); err != nil || ctx.Err() != nil {
			return err
		}
	}
	keeper, servers, err := deviceTrust(cfg, local, mendDevice(log))
	if err != nil {
		return err
	}
	material, clock := keeper.Material(), trust.NewDeviceClock(time.Now)
	renewed := keeper
	if cfg.TLS != nil && local == nil {
		renewed = nil // who brought the files replaces them
	}
	end, err := quicnet.Open("", quicnet.Options{Credentials: trust.Client{Source: keeper.Source(), Clock: clock}})
	if err != nil {
		return err
	}
	defer end.Close()
	fallback, err := tlsnet.Open("", tlsnet.Options{Credentials: trust.Client{Source: keeper.Source(), Clock: clock}})
	if err != nil {
		return err
	}
	defer fallback.Close()
	drivers, err := agent.Drivers(agent.DriverOptions{DataDir: cfg.DataDir, RawExec: cfg.Client.RawExec, Log: log})
	if err != nil {
		return err
	}
	defer drivers.Host.Close()
	a, err := agent.New(ctx, agent.Config{
		DataDir: cfg.DataDir, Identity: material.Identity, Name: cfg.Name, Datacenter: cfg.Datacenter,
		NodeClass: cfg.Client.NodeClass, NodePool: cfg.Client.NodePool, Meta: cfg.Client.Meta, Servers: servers, Dialer: end, TLS: fallback, Clock: clock,
		Certificates: renewed, Reserved: reserved(cfg.Client), HostVolumes: cfg.Client.HostVolumes, Link: agent.LinkConfig(cfg.Client.Link), ModuleCacheBytesMax: cfg.Client.ModuleCache,
		Probe: prober(cfg), Reprobe: reprober(cfg), Drivers: drivers.Drivers, Settings: drivers.Settings,
		LogQuotaBytes: cfg.Client.LogQuota, Host: drivers.Host, DisableExec: cfg.Client.DisableExec,
		StopTasksOnExit: o.temporary, Log: log,
	})
	if err != nil {
		return err
	}
	if cfg.Server == nil {
		stop, err := e.serveLocal(cfg, a, log)
		if err != nil {
			return errors.Join(err, a.Close())
		}
		defer stop()
	}
	var announcing sync.WaitGroup
	watch, done := context.WithCancel(ctx)
	if !o.dev {
		announcing.Go(func() { e.announce(watch, a) })
	}
	err = a.Run(ctx)
	done()
	announcing.Wait()
	if o.temporary { // the folder goes: nothing may be left running in it
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopHostTimeout)
		defer cancel()
		err = errors.Join(err, drivers.Host.Shutdown(stopCtx))
	}
	return err
}

func deviceTrust(cfg *config.Config, local *localServer, load func(dir string) (*trust.Material, error)) (*trust.Keeper, []string, error) {
	dir := filepath.Join(cfg.DataDir, config.TLSDir)
	if local != nil && len(cfg.Client.Servers) == 0 {
		return trust.NewKeeper(local.material, dir), []string{local.address}, nil
	}
	if local != nil {
		return trust.NewKeeper(local.material, dir), cfg.Client.Servers, nil
	}
	if cfg.TLS != nil {
		m, err := loadTLS(cfg.TLS)
		return trust.NewKeeper(m, ""), cfg.Client.Servers, err
	}
	m, err := load(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("this device has no certificate; on a server run: dunlin node invite, and here the line it prints (dunlin join …)")
	}
	return trust.NewKeeper(m, dir), cfg.Client.Servers, err
}

// mendDevice reads a device's identity, and mends what a power cut has left of its files.
func mendDevice(log *slog.Logger) func(dir string) (*trust.Material, error) {
	return func(dir string) (*trust.Material, error) {
		damage, failed := trust.MendFolder(dir)
		if damage != nil {
			log.Warn("this device's certificate or key was damaged and is taken from its copy", "folder", dir, "copy", trust.CopyFile, "cause", damage)
		}
		if failed != nil {
			log.Warn("the files of this device's identity cannot be written; it goes on with what could be read", "error", failed)
		}
		return trust.LoadFolder(dir)
	}
}

func prober(cfg *config.Config) func(context.Context) (*fleet.Node, error) {
	return func(context.Context) (*fleet.Node, error) {
		n, err := fingerprint.Probe(probeOptions(cfg))
		if err != nil {
			return nil, err
		}
		n.NodeResources.MinDynamicPort, n.NodeResources.MaxDynamicPort = cfg.Client.MinDynamicPort, cfg.Client.MaxDynamicPort
		n.NodeResources.Devices = cfg.Client.Devices
		return n, nil
	}
}

func reprober(cfg *config.Config) func(fingerprint.Pace) fingerprint.Reading {
	return func(pace fingerprint.Pace) fingerprint.Reading { return fingerprint.Read(probeOptions(cfg), pace) }
}

func probeOptions(cfg *config.Config) fingerprint.Options {
	return fingerprint.Options{
		DataDir: cfg.DataDir, CPUTotal: cfg.Client.CPUTotal, MemoryTotal: cfg.Client.MemoryTotal, DiskFree: cfg.Client.DiskFree, Overrides: cfg.Client.Overrides, Version: Version,
		Address: addressOf,
	}
}

// addressOf is the first address of an interface that others can reach; IPv4 first,
// as tasks of the field expect.
func addressOf(iface string) string {
	i, err := net.InterfaceByName(iface)
	if err != nil {
		return ""
	}
	addrs, err := i.Addrs()
	if err != nil {
		return ""
	}
	six := ""
	for _, a := range addrs {
		ip, ok := a.(*net.IPNet)
		switch {
		case !ok || !ip.IP.IsGlobalUnicast():
		case ip.IP.To4() != nil:
			return ip.IP.String()
		case six == "":
			six = ip.IP.String()
		}
	}
	return six
}

func reserved(c *config.Client) fleet.NodeReserved {
	return fleet.NodeReserved{
		CPU: fleet.NodeCPU{CPUShares: c.ReservedCPU}, Memory: fleet.NodeMemory{MemoryMB: c.ReservedMemory}, Disk: fleet.NodeDisk{DiskMB: c.ReservedDisk},
		Networks: fleet.NodeReservedNetworks{ReservedHostPorts: c.ReservedPorts},
	}
}

// announce says once that the device is ready, and until then why not.
func (e *env) announce(ctx context.Context, a *agent.Agent) {
	const every = 200 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s, err := a.Status(ctx)
		if err != nil {
			continue
		}
		if s.Link.Up {
			fmt.Fprintf(e.Out, "ready as %s\n", s.Name)
			return
		}
		if s.Link.Reason != "" && s.Link.Reason != said {
			said = s.Link.Reason
			fmt.Fprintf(e.Err, "not connected yet: %s\n", said)
		}
	}
}

// serveLocal tells the device's own state on loopback, for people and tools on
// the device. It is never reachable from elsewhere: it has no access control.
func (e *env) serveLocal(cfg *config.Config, a *agent.Agent, log *slog.Logger) (stop func(), err error) {
	if !config.Loopback(cfg.HTTP.Addr) {
		return nil, fmt.Errorf("a device's local state is told on loopback only, not on %s; set bind_addr = \"127.0.0.1\"", cfg.HTTP.Addr)
	}
	l, err := net.Listen("tcp", cfg.HTTP.Addr)
	if err != nil {
		return nil, portTaken("HTTP", cfg.HTTP.Addr, "-http HOST:PORT or ports { http = … }", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/agent/device", func(w http.ResponseWriter, r *http.Request) {
		s, err := a.Status(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(s); err != nil {
			log.Debug("local state not told", "error", err)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this agent is a device; it tells its own state at /v1/agent/device. Ask a server of the region for the rest (-address)", http.StatusNotFound)
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("local state is not told any more", "error", err)
		}
	}()
	return func() {
		if err := srv.Close(); err != nil {
			log.Debug("close local state", "error", err)
		}
		<-done
	}, nil
}

// newNodeID draws the ID of a device.
func newNodeID() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return fleet.MintUUID(random).String()
}
