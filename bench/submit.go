package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
)

const (
	submitJobs    = 50 // measured, one after the other
	submitWarmup  = 3  // not counted: first use of the module on the device
	submitJobWait = 20 * time.Second
)

// submitToRunning registers jobs one by one with a dev agent and waits for each
// by blocking queries, as the CLI does.
func submitToRunning(ctx context.Context, r *rig) (*report, error) {
	agent, c, err := r.devAgent(ctx)
	if err != nil {
		return nil, err
	}
	digest, err := push(ctx, c, "sleep", guests.TinySleep())
	if err != nil {
		return nil, err
	}
	var placed, began, seen []float64
	for i := range submitWarmup + submitJobs {
		s, err := submitOne(ctx, c, wasmJob(fmt.Sprintf("bench-%d", i), fleet.JobTypeService, digest, 1))
		if err != nil {
			return nil, err
		}
		if i >= submitWarmup {
			placed, began, seen = append(placed, millis(s.placed)), append(began, millis(s.began)), append(seen, millis(s.seen))
		}
	}
	rep := &report{}
	rep.add(figure{Name: "submit → placed p50", Value: median(placed), Unit: "ms", Target: 3, Conditions: "allocation seen through the API"})
	rep.add(figure{Name: "submit → placed p99", Value: quantile(placed, 0.99), Unit: "ms", Target: 10})
	rep.add(figure{Name: "submit → task begins p50", Value: median(began), Unit: "ms", Conditions: "the device's own time stamp"})
	rep.add(figure{Name: "submit → running p50", Value: median(seen), Unit: "ms", Target: 15, Conditions: "running seen through the API"})
	rep.add(figure{Name: "submit → running p99", Value: quantile(seen, 0.99), Unit: "ms", Target: 40})
	peak, err := agent.memory("VmHWM")
	if err != nil {
		return nil, err
	}
	rep.condition("dunlin agent -dev, server and device in one process, peak memory %s MB", number(peak))
	rep.condition("%d jobs one after the other after %d not counted, earlier ones keep running", submitJobs, submitWarmup)
	return rep, nil
}

// devAgent starts a dev agent and waits until its device is ready.
func (r *rig) devAgent(ctx context.Context) (*process, *api.Client, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, nil, err
	}
	p, err := r.start("agent", "agent", "-dev", "-http", ports[0], "-quic", ports[1])
	if err != nil {
		return nil, nil, err
	}
	if _, err := p.says(ctx, "HTTP API"); err != nil {
		return nil, nil, err
	}
	c, err := client(ctx, "http://"+ports[0])
	if err != nil {
		return nil, nil, err
	}
	return p, c, nodesReady(ctx, c, 1)
}

// nodesReady waits until so many nodes are ready for work.
func nodesReady(ctx context.Context, c *api.Client, n int) error {
	return nodesReadyWithin(ctx, c, n, readyTimeout)
}

func nodesReadyWithin(ctx context.Context, c *api.Client, n int, limit time.Duration) error {
	err := until(ctx, limit, func() (bool, error) {
		nodes, _, err := c.Nodes(ctx, nil)
		ready := 0
		for _, node := range nodes {
			if node.Status == fleet.NodeStatusReady {
				ready++
			}
		}
		return ready >= n, err
	})
	if err != nil {
		return fmt.Errorf("wait for %d ready nodes: %w", n, err)
	}
	return nil
}

// submission is how long after the request each thing was.
type submission struct{ placed, began, seen time.Duration }

func submitOne(ctx context.Context, c *api.Client, job *fleet.Job) (s submission, err error) {
	ctx, cancel := context.WithTimeout(ctx, submitJobWait)
	defer cancel()
	begin := time.Now()
	resp, err := c.Register(ctx, &api.JobRegisterRequest{Job: job})
	if err != nil {
		return s, fmt.Errorf("register %s: %w", job.ID, err)
	}
	for index := resp.JobModifyIndex; ; {
		allocs, meta, err := c.JobAllocations(ctx, job.ID, &api.QueryOptions{Index: index, Wait: submitJobWait})
		if err != nil {
			return s, fmt.Errorf("wait for %s: %w", job.ID, err)
		}
		index = meta.LastIndex
		if len(allocs) == 0 {
			continue
		}
		if s.placed == 0 {
			s.placed = time.Since(begin)
		}
		switch a := allocs[0]; a.ClientStatus {
		case fleet.ClientRunning:
			s.seen = time.Since(begin)
			s.began = a.TaskStates["t"].StartedAt.Sub(begin)
			return s, nil
		case fleet.ClientFailed, fleet.ClientComplete, fleet.ClientLost:
			return s, fmt.Errorf("%s is %s instead of running: %s", job.ID, a.ClientStatus, eventsOf(a))
		}
	}
}

func eventsOf(a *fleet.AllocationListStub) string {
	var words []string
	for _, t := range a.TaskStates {
		for _, e := range t.Events {
			words = append(words, e.DisplayMessage)
		}
	}
	return strings.Join(words, "; ")
}
