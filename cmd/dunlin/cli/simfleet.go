//go:build !edgeonly

package cli

import (
	"context"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/sim/devices"
	"github.com/spf13/cobra"
)

// Limits of a simulated fleet's entry.
const (
	simJoins     = 16        // under way at a time
	simInviteTTL = time.Hour // of the invite that it makes for itself
	simEvery     = time.Second
	simLogEvery  = 10 * time.Second // where nobody watches a terminal
)

// simFlags are what a simulated fleet is asked for.
type simFlags struct {
	nodes, links     int
	server, tlsDir   string
	datacenter, pool string
	class            string
	cpu, memory      int64
	disk             int64
	seed             uint64
	finish, stay     time.Duration
	running          int64
	asJSON           bool
}

func (e *env) simCmd() *cobra.Command {
	c := &cobra.Command{Use: "sim", Short: "Size a region with simulated devices"}
	c.AddCommand(e.simFleet())
	return c
}

func (e *env) simFleet() *cobra.Command {
	var f simFlags
	c := &cobra.Command{
		Use: "fleet", Short: "Play devices against a region, over the real protocol", Args: noArgs,
		Long: `Simulated devices register, beat, take what the region places on them, and report
that it runs; nothing runs. Each has its own identity and link, by an invite that
the command makes; with -links they share links by a gateway's certificate. They
stay until the command is interrupted, or -for or -until-running ends it, and are
then devices without link to the region: what it placed on them is replaced once
they count as lost. Names and IDs come from -seed: the same fleet can come back.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.runSimFleet(cmd.Context(), &f) },
	}
	fl := c.Flags()
	fl.IntVar(&f.nodes, "nodes", 100, "how many devices")
	fl.IntVar(&f.links, "links", 0, "share so many links (default: each device has its own)")
	fl.StringVar(&f.server, "server", "", "the server's address for devices, host:port (default: as the region's invite says)")
	fl.StringVar(&f.tlsDir, "tls-dir", "", "folder with a gateway's certificate, in place of an invite; needs -links and -server")
	fl.StringVar(&f.datacenter, "datacenter", "dc1", "the devices' datacenter")
	fl.StringVar(&f.pool, "pool", "", "the devices' node pool")
	fl.StringVar(&f.class, "class", "", "the devices' node class")
	fl.Int64Var(&f.cpu, "cpu", 4000, "MHz of each device")
	fl.Int64Var(&f.memory, "memory", 4096, "MB of memory of each device")
	fl.Int64Var(&f.disk, "disk", 32_000, "MB of disk of each device")
	fl.Uint64Var(&f.seed, "seed", 1, "which devices these are; with a shared link only")
	fl.DurationVar(&f.finish, "finish-after", 0, "how long an allocation runs until it is complete (default: until it is stopped)")
	fl.DurationVar(&f.stay, "for", 0, "end after this time")
	fl.Int64Var(&f.running, "until-running", 0, "end when so many allocations were reported as running")
	jsonFlag(c, &f.asJSON)
	return c
}

func (f *simFlags) check() error {
	switch {
	case f.nodes < 1 || f.nodes > devices.NodesMax:
		return usageError("-nodes %d is out of range; use 1 to %d", f.nodes, devices.NodesMax)
	case f.links < 0 || f.links > f.nodes:
		return usageError("-links %d is out of range for %d devices", f.links, f.nodes)
	case f.links > 0 && (f.nodes+f.links-1)/f.links > devices.NodesPerLinkMax:
		return usageError("-links %d: a link carries at most %d devices; use at least -links %d", f.links, devices.NodesPerLinkMax,
			(f.nodes+devices.NodesPerLinkMax-1)/devices.NodesPerLinkMax)
	case f.tlsDir != "" && (f.links == 0 || f.server == ""):
		return usageError("-tls-dir is for a gateway's certificate; give -links and -server too")
	case f.cpu < 1 || f.memory < 1 || f.disk < 0:
		return usageError("-cpu, -memory and -disk say what a device has; %d MHz, %d MB, %d MB make no device", f.cpu, f.memory, f.disk)
	case f.finish < 0 || f.stay < 0 || f.running < 0:
		return usageError("-finish-after, -for and -until-running cannot be negative")
	}
	return nil
}

// simGCPercent: a fleet shares a machine with nothing that needs its memory, and often with the region that it is to measure, which
// needs the processor. With Go's default a third of a fleet's time went into collecting.
const simGCPercent = 300

func (e *env) runSimFleet(ctx context.Context, f *simFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	growHeap(simGCPercent)
	s := simEntry{env: e, flags: f}
	defer s.close()
	if err := s.enter(ctx); err != nil {
		return err
	}
	fl, err := devices.New(devices.Options{Servers: s.servers, Lines: s.lines, Spec: s.spec, FinishAfter: f.finish})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.stay > 0 {
		ctx, cancel = context.WithTimeout(ctx, f.stay)
		defer cancel()
	}
	var wg sync.WaitGroup
	wg.Go(func() { fl.Run(ctx) })
	w := newSimWatch(e.IO, f, fl)
	w.watch(ctx)
	cancel()
	wg.Wait()
	return w.report(e)
}
