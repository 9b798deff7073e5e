package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
)

const (
	placeNodes   = 1000
	placePerNode = 11
	placeJobs    = 10
	placeCount   = 1000
	placeRounds  = 5
	placeWait    = 60 * time.Second // for one round
)

func placeBatch(ctx context.Context, r *rig) (*report, error) {
	return place(ctx, r, fleet.JobTypeBatch, false, figure{Name: "placed", Target: 40_000})
}

func placeRunning(ctx context.Context, r *rig) (*report, error) {
	return place(ctx, r, fleet.JobTypeBatch, true, figure{Name: "running", Target: 15_000})
}

func placeService(ctx context.Context, r *rig) (*report, error) {
	return place(ctx, r, fleet.JobTypeService, false, figure{Name: "placed", Target: 25_000})
}

// region is one server process with simulated devices.
type region struct {
	server  *process
	api     *api.Client
	devices *devices
	digest  string
}

// placement is what one round found.
type placement struct {
	took, registered time.Duration
	peakMB           float64 // of the server
	nodesUsed        int
}

// place measures rounds of ten jobs, each on a fresh region, and gives the rate
// of the median round. Nodes hold eleven allocations each, so that nearly all of
// them are used: best fit would else put everything on a dozen nodes, which no
// fleet looks like and which makes pushes and reports too cheap.
func place(ctx context.Context, r *rig, kind string, running bool, f figure) (*report, error) {
	var rates, registered []float64
	var last placement
	for n := range placeRounds {
		p, err := placeRound(ctx, r.program, kind, running)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", n+1, err)
		}
		rates = append(rates, placeJobs*placeCount/p.took.Seconds())
		registered = append(registered, placeNodes/p.registered.Seconds())
		p.peakMB = max(p.peakMB, last.peakMB)
		last = p
	}
	rep := &report{}
	f.Value, f.Unit, f.AtLeast = median(rates), "/s", true
	f.Conditions = fmt.Sprintf("slowest round %s, fastest %s /s", number(quantile(rates, 0)), number(quantile(rates, 1)))
	rep.add(f)
	rep.add(figure{Name: "devices registered", Value: median(registered), Unit: "/s", Conditions: "each in a log entry of its own"})
	rep.condition("one server process, raft with fsync, peak memory %s MB; the simulated devices take their share of the same cores", number(last.peakMB))
	rep.condition("%d nodes, %d jobs × %d, median of %d rounds, each on a fresh region; verified after each: every allocation is there once, on %d different nodes",
		placeNodes, placeJobs, placeCount, placeRounds, last.nodesUsed)
	return rep, nil
}

// placeRound has a rig of its own, so that each round begins with nothing.
func placeRound(ctx context.Context, program, kind string, running bool) (p placement, err error) {
	r, err := newRig(program)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	g, registered, err := r.region(ctx, placeNodes, running)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, g.devices.close()) }() // before the server goes, which would be a fault
	p.registered = registered
	if p.took, err = g.round(ctx, kind, running); err != nil {
		return p, errors.Join(err, g.devices.err())
	}
	if p.nodesUsed, err = g.verify(ctx); err != nil {
		return p, err
	}
	p.peakMB, err = g.server.memory("VmHWM")
	return p, errors.Join(err, g.devices.err())
}

// region starts a server and registers the simulated devices with it. The settings go into its server block.
func (r *rig) region(ctx context.Context, nodes int, reports bool, settings ...string) (*region, time.Duration, error) {
	p, c, quic, err := r.server(ctx, settings...)
	if err != nil {
		return nil, 0, err
	}
	digest, err := push(ctx, c, "sleep", guests.TinySleep())
	if err != nil {
		return nil, 0, err
	}
	begin := time.Now()
	d, err := connect(ctx, r.path("server", "server", "tls"), quic, nodes, reports)
	if err != nil {
		return nil, 0, err
	}
	registered := time.Since(begin)
	if err := nodesReady(ctx, c, nodes); err != nil {
		return nil, 0, errors.Join(err, d.close())
	}
	return &region{server: p, api: c, devices: d, digest: digest}, registered, nil
}

// server starts a server, and nothing else, in a process. The settings go into its server block.
func (r *rig) server(ctx context.Context, settings ...string) (p *process, c *api.Client, quic string, err error) {
	config := fmt.Sprintf("name = \"bench\"\ndata_dir = %q\nlog_level = \"warn\"\nserver {\n  enabled = true\n%s}\n", r.path("server"), strings.Join(settings, ""))
	if err := os.WriteFile(r.path("server.hcl"), []byte(config), 0o600); err != nil {
		return nil, nil, "", err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, nil, "", err
	}
	p, err = r.start("server", "agent", "-config", r.path("server.hcl"), "-http", ports[0], "-quic", ports[1])
	if err != nil {
		return nil, nil, "", err
	}
	if _, err := p.says(ctx, "HTTP API"); err != nil {
		return nil, nil, "", err
	}
	c, err = client(ctx, "http://"+ports[0])
	return p, c, ports[1], err
}

// round registers ten jobs at once and waits until all is placed, or reported.
func (g *region) round(ctx context.Context, kind string, running bool) (time.Duration, error) {
	const want = placeJobs * placeCount
	cpu := nodeCPU / placePerNode
	begin := time.Now()
	errs := make(chan error, placeJobs)
	for i := range placeJobs {
		job := wasmJob(fmt.Sprintf("bench-%d", i), kind, g.digest, placeCount)
		job.TaskGroups[0].Tasks[0].Resources.CPU = &cpu
		go func() {
			_, err := g.api.Register(ctx, &api.JobRegisterRequest{Job: job})
			errs <- err
		}()
	}
	var err error
	for range placeJobs {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		return 0, fmt.Errorf("register: %w", err)
	}
	count := g.placed
	if running {
		count = func(context.Context) (int, error) { return int(g.devices.reported.Load()), nil }
	}
	took, err := g.reach(ctx, count, want, begin)
	if err != nil {
		return 0, fmt.Errorf("placement: %w", err)
	}
	// What is placed must also reach its device, or the figure means little.
	told := func(context.Context) (int, error) { return int(g.devices.told.Load()), nil }
	if _, err = g.reach(ctx, told, want, begin); err != nil {
		return 0, fmt.Errorf("push: %w", err)
	}
	return took, nil
}

func (g *region) reach(ctx context.Context, count func(context.Context) (int, error), want int, begin time.Time) (time.Duration, error) {
	got := 0
	err := until(ctx, placeWait, func() (done bool, err error) {
		if err := g.devices.err(); err != nil {
			return false, err
		}
		got, err = count(ctx)
		return got >= want, err
	})
	if err != nil {
		return 0, fmt.Errorf("%d of %d: %w", got, want, err)
	}
	return time.Since(begin), nil
}

// placed is the number of allocations that are committed in the region.
func (g *region) placed(ctx context.Context) (int, error) {
	self, err := g.api.Self(ctx)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(self.Stats["dunlin"]["allocations"])
}

// verify checks what the figure claims: each job has its allocations, each once,
// on a device that exists. It returns how many nodes have any.
func (g *region) verify(ctx context.Context) (nodesUsed int, err error) {
	allocs, _, err := g.api.Allocations(ctx, nil)
	if err != nil {
		return 0, err
	}
	nodes, names := map[fleet.NodeID]bool{}, map[string]bool{}
	for _, a := range allocs {
		if names[a.Name] || a.NodeID == "" || a.DesiredStatus != fleet.DesiredRun {
			return 0, fmt.Errorf("allocation %s (%s) is there twice, on no node (%q) or not to run (%s)", a.ID, a.Name, a.NodeID, a.DesiredStatus)
		}
		nodes[a.NodeID], names[a.Name] = true, true
	}
	if want := placeJobs * placeCount; len(names) != want {
		return 0, fmt.Errorf("the region has %d allocations, want %d", len(names), want)
	}
	return len(nodes), nil
}
