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
	spreadRounds = 5
	spreadSites  = 3
)

// placeSpread measures one service job with one spread: from its registration
// until the region has all its allocations.
func placeSpread(ctx context.Context, r *rig) (rep *report, err error) {
	g, _, err := r.region(ctx, placeNodes, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.devices.close()) }()
	var took []float64
	for n := range spreadRounds {
		job := wasmJob(fmt.Sprintf("spread-%d", n), fleet.JobTypeService, g.digest, placeCount)
		job.Spreads = []fleet.Spread{{Attribute: "${meta.site}"}}
		begin := time.Now()
		if _, err := g.api.Register(ctx, &api.JobRegisterRequest{Job: job}); err != nil {
			return nil, fmt.Errorf("register: %w", err)
		}
		d, err := g.reach(ctx, g.placed, (n+1)*placeCount, begin)
		if err != nil {
			return nil, fmt.Errorf("placement: %w", err)
		}
		took = append(took, d.Seconds())
		if err := g.evenly(ctx, job.ID); err != nil {
			return nil, err
		}
	}
	rep = &report{}
	rep.add(figure{Name: "placed after", Value: median(took), Unit: "s", Target: 0.1,
		Conditions: fmt.Sprintf("fastest %s s, slowest %s s", number(quantile(took, 0)), number(quantile(took, 1)))})
	rep.condition("one server process, raft with fsync; one service job × %d over %d sites of %d nodes, the HTTP request and polling included; median of %d; verified: the sites differ by one at most",
		placeCount, spreadSites, placeNodes, spreadRounds)
	return rep, nil
}

// siteOf is the site of a simulated device, by its name.
func siteOf(name string) string {
	return fmt.Sprint("site-", int(name[len(name)-1])%spreadSites)
}

// evenly checks that the sites of a job differ by one allocation at most.
func (g *region) evenly(ctx context.Context, id fleet.JobID) error {
	allocs, _, err := g.api.JobAllocations(ctx, id, nil)
	if err != nil {
		return err
	}
	sites := map[string]int{}
	for _, a := range allocs {
		sites[siteOf(a.NodeName)]++
	}
	least, most := placeCount, 0
	for _, n := range sites {
		least, most = min(least, n), max(most, n)
	}
	if len(sites) != spreadSites || most-least > 1 {
		return fmt.Errorf("job %s is on its sites unevenly: %v", id, sites)
	}
	return nil
}
