package devices

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-edge/dunlin/edge/reach"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// Limits of a fleet.
const (
	NodesMax = 100_000
	// NodesPerLinkMax stays below the streams that a link may carry: a region keeps one open for each device on it.
	NodesPerLinkMax = 200
)

// Line is one link, and the devices that speak on it.
type Line struct {
	Dialer link.Dialer // with a certificate that may speak for all Nodes: a node's own, or a gateway's
	Nodes  []fleet.UUID
}

// Options say what a fleet is and does.
type Options struct {
	Servers []link.Server
	Lines   []Line
	// Spec describes a device, by its number over all lines in their order.
	Spec func(n int, id fleet.UUID) *fleet.Node
	// FinishAfter is how long an allocation runs before it is complete; 0: until the region stops it.
	FinishAfter time.Duration
}

func (o *Options) check() error {
	n := 0
	for _, l := range o.Lines {
		n += len(l.Nodes)
		if len(l.Nodes) > NodesPerLinkMax {
			return fmt.Errorf("%d devices on one link; at most %d", len(l.Nodes), NodesPerLinkMax)
		}
	}
	switch {
	case n == 0:
		return errors.New("a fleet has at least one device")
	case n > NodesMax:
		return fmt.Errorf("%d devices; at most %d", n, NodesMax)
	case len(o.Servers) == 0:
		return errors.New("no server to link to")
	case o.FinishAfter < 0:
		return fmt.Errorf("allocations cannot run for %s", o.FinishAfter)
	}
	return nil
}

// Counts is what became of a fleet so far. Each allocation counts once on its way.
type Counts struct {
	Nodes    int
	Ready    int64 // devices that are registered now
	Linked   int64 // links that came up, in all
	Broken   int64 // that ended, in all
	Placed   int64 // allocations that devices acknowledged to have on disk
	Running  int64 // of those, reported as running, and the report committed
	Complete int64 // of those, reported as complete after FinishAfter
	Stopped  int64 // of those, ended because the region said so
}

type counters struct {
	ready, links, broken, placed, running, complete, stopped atomic.Int64
}

// Fleet is a simulated fleet.
type Fleet struct {
	opts  Options
	lines []*line
	nodes int
	count counters
	tasks tasks

	mu    sync.Mutex
	fault error // why a link ended or did not come up, the newest
}

// New checks the options. Nothing dials before Run.
func New(opts Options) (*Fleet, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	f := &Fleet{opts: opts}
	for i := range opts.Lines {
		l := &line{fleet: f, dialer: opts.Lines[i].Dialer, byID: make(map[fleet.UUID]*device, len(opts.Lines[i].Nodes))}
		for _, id := range opts.Lines[i].Nodes {
			d := newDevice(f.nodes, id)
			l.devices, l.byID[id] = append(l.devices, d), d
			f.nodes++
		}
		if len(l.byID) != len(l.devices) {
			return nil, errors.New("two devices of a link have one ID")
		}
		l.untold = make(chan *device, len(l.devices))
		l.wake = make(chan struct{}, 1)
		f.lines = append(f.lines, l)
	}
	return f, nil
}

// Run keeps all devices linked until ctx ends.
func (f *Fleet) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, l := range f.lines {
		wg.Go(func() { l.run(ctx, reach.New(f.opts.Servers, nil, rand.Float64())) })
	}
	wg.Wait()
}

// Counts tells what became of the fleet so far.
func (f *Fleet) Counts() Counts {
	c := &f.count
	return Counts{
		Nodes: f.nodes, Ready: c.ready.Load(), Linked: c.links.Load(), Broken: c.broken.Load(), Placed: c.placed.Load(),
		Running: c.running.Load(), Complete: c.complete.Load(), Stopped: c.stopped.Load(),
	}
}

// Fault is why a link ended or did not come up, the newest; nil: there was none.
func (f *Fleet) Fault() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault
}

func (f *Fleet) faulty(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = err
}

// Lines tells how many links the fleet keeps.
func (f *Fleet) Lines() int { return len(f.lines) }
