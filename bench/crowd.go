package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

const (
	crowdNodes  = 10_000
	crowdHeld   = 100_000 // allocations that the region holds before the second half
	crowdRounds = 3
)

// crowdKind is one kind of placement: so many jobs of a count, registered at once.
type crowdKind struct {
	name        string
	kind        string
	jobs, count int
	spread      bool
	target      float64 // seconds where seconds is set, else per second
	seconds     bool
}

var crowdKinds = []crowdKind{
	{name: "batch, 10 × 1,000", kind: fleet.JobTypeBatch, jobs: 10, count: 1000},
	{name: "service, 10 × 1,000", kind: fleet.JobTypeService, jobs: 10, count: 1000},
	{name: "service, one spread, 1,000", kind: fleet.JobTypeService, jobs: 1, count: 1000, spread: true, target: 0.1, seconds: true},
	{name: "one evaluation of 10,000", kind: fleet.JobTypeBatch, jobs: 1, count: 10_000},
}

// crowd measures placements on many nodes, first on a region that fills, then on one that holds crowdHeld allocations.
func crowd(ctx context.Context, r *rig) (rep *report, err error) {
	g, _, err := r.region(ctx, crowdNodes, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.devices.close()) }()
	rep = &report{}
	held := 0
	for _, half := range []string{"filling", "full"} {
		from := held
		for _, k := range crowdKinds {
			var took []float64
			for n := range crowdRounds {
				d, err := g.burst(ctx, fmt.Sprintf("%s-%d-%d", half, held, n), k, held)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", k.name, half, err)
				}
				held += k.jobs * k.count
				took = append(took, d.Seconds())
			}
			rep.add(k.figure(half, took, from))
		}
		if missing := crowdHeld - held; half == "filling" && missing > 0 {
			fill := crowdKind{kind: fleet.JobTypeBatch, jobs: 1, count: missing}
			if _, err := g.burst(ctx, "fill", fill, held); err != nil {
				return nil, err
			}
			held = crowdHeld
		}
	}
	peak, err := g.server.memory("VmHWM")
	if err != nil {
		return nil, err
	}
	rep.condition("one server process, raft with fsync, peak memory %s MB; %s simulated devices, which share the machine; median of %d, polling included; %s allocations at the end; load %s",
		number(peak), number(crowdNodes), crowdRounds, number(float64(held)), loadAverage())
	return rep, errors.Join(g.devices.err())
}

func (k *crowdKind) figure(half string, took []float64, from int) figure {
	f := figure{Name: k.name + ", " + half, Target: k.target}
	f.Conditions = fmt.Sprintf("the first on %s allocations; fastest %s s, slowest %s s", number(float64(from)), number(quantile(took, 0)), number(quantile(took, 1)))
	if k.seconds {
		f.Value, f.Unit = median(took), "s"
		return f
	}
	f.Value, f.Unit, f.AtLeast = float64(k.jobs*k.count)/median(took), "/s", true
	return f
}

// burst registers the jobs at once and waits until the region has all their allocations beside those it holds.
func (g *region) burst(ctx context.Context, name string, k crowdKind, held int) (time.Duration, error) {
	begin := time.Now()
	errs := make(chan error, k.jobs)
	for i := range k.jobs {
		job := wasmJob(fmt.Sprintf("%s-%d", name, i), k.kind, g.digest, k.count)
		if k.spread {
			job.Spreads = []fleet.Spread{{Attribute: "${meta.site}"}}
		}
		go func() {
			_, err := g.api.Register(ctx, &api.JobRegisterRequest{Job: job})
			errs <- err
		}()
	}
	var err error
	for range k.jobs {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		return 0, fmt.Errorf("register: %w", err)
	}
	return g.reach(ctx, g.placed, held+k.jobs*k.count, begin)
}
