package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

const (
	workersJobs   = 40 // at once
	workersCount  = 100
	workersRounds = 5
)

// workersFound is what a region with so many schedulers did.
type workersFound struct {
	nodes, refused, placements int
	took                       time.Duration
}

// workers compares a server with two schedulers to one with one: schedulers that work side by side meet on nodes, which costs
// placements that are refused and made again, and may leave more nodes half full.
func workers(ctx context.Context, r *rig) (*report, error) {
	var found [2]workersFound
	var ratio, share []float64
	refused, placements := 0, 0
	for round := range workersRounds {
		for i := range found {
			f, err := workersRound(ctx, r.program, i+1)
			if err != nil {
				return nil, fmt.Errorf("round %d with %d schedulers: %w", round+1, i+1, err)
			}
			found[i] = f
		}
		ratio = append(ratio, 100*float64(found[1].nodes)/float64(found[0].nodes)-100)
		refused, placements = refused+found[1].refused, placements+found[1].placements
		share = append(share, 100*float64(found[1].refused)/float64(found[1].placements))
	}
	rep := &report{}
	rep.add(figure{Name: "refused with two schedulers", Value: 100 * float64(refused) / float64(placements), Unit: "%", Target: 1,
		Conditions: fmt.Sprintf("%d of %d placements in plans of all rounds; worst round %s %%", refused, placements, number(quantile(share, 1)))})
	rep.add(figure{Name: "more nodes than with one", Value: quantile(ratio, 1), Unit: "%", Target: 2,
		Conditions: fmt.Sprintf("worst round, median %s %%; in the last round %d instead of %d nodes, in %s s instead of %s", number(median(ratio)),
			found[1].nodes, found[0].nodes, number(found[1].took.Seconds()), number(found[0].took.Seconds()))})
	rep.condition("one server process, raft with fsync; %d nodes with room for %d, %d batch jobs × %d at once, %d rounds, each on fresh regions",
		placeNodes, placePerNode, workersJobs, workersCount, workersRounds)
	return rep, nil
}

func workersRound(ctx context.Context, program string, schedulers int) (f workersFound, err error) {
	r, err := newRig(program)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	g, _, err := r.region(ctx, placeNodes, false, fmt.Sprintf("  num_schedulers = %d\n", schedulers))
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, g.devices.close()) }()
	if f.took, err = g.crowdIn(ctx); err != nil {
		return f, err
	}
	allocs, _, err := g.api.Allocations(ctx, nil)
	if err != nil {
		return f, err
	}
	used := map[fleet.NodeID]bool{}
	for _, a := range allocs {
		used[a.NodeID] = true
	}
	f.nodes = len(used)
	self, err := g.api.Self(ctx)
	if err != nil {
		return f, err
	}
	plans := self.Stats["plans"]
	if f.refused, err = strconv.Atoi(plans["placements_refused"]); err != nil {
		return f, fmt.Errorf("what the server says of plans: %w", err)
	}
	f.placements, err = strconv.Atoi(plans["placements"])
	return f, errors.Join(err, g.devices.err())
}

// crowdIn registers all jobs at once and waits until they are placed.
func (g *region) crowdIn(ctx context.Context) (time.Duration, error) {
	cpu := nodeCPU / placePerNode
	begin := time.Now()
	errs := make(chan error, workersJobs)
	for i := range workersJobs {
		job := wasmJob(fmt.Sprintf("workers-%d", i), fleet.JobTypeBatch, g.digest, workersCount)
		job.TaskGroups[0].Tasks[0].Resources.CPU = &cpu
		go func() {
			_, err := g.api.Register(ctx, &api.JobRegisterRequest{Job: job})
			errs <- err
		}()
	}
	var err error
	for range workersJobs {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		return 0, fmt.Errorf("register: %w", err)
	}
	return g.reach(ctx, g.placed, workersJobs*workersCount, begin)
}
