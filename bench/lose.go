package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
)

// What the line lose plays. The devices are those of `dunlin sim fleet`, in two processes of which one ends.
const (
	loseStay     = 4500
	loseGo       = 500
	losePerLink  = 100
	loseJobs     = 100
	loseCount    = 1000
	losePerNode  = 23 // 100,000 fill 87 % of the nodes, and fit on those that stay
	loseRounds   = 5  // of the freed slot
	loseSettings = "  beat_interval = \"10s\"\n  lost_after = \"25s\"\n  max_lost = 100\n"
	loseWait     = 2 * time.Minute
	loseGoes     = "goes" // datacenters
	loseStays    = "dc1"
	slotMHz      = 5000 // more than half of a node
	slotSettles  = 15 * time.Second
)

func lose(ctx context.Context, r *rig) (*report, error) {
	_, c, _, err := r.server(ctx, loseSettings)
	if err != nil {
		return nil, err
	}
	digest, err := push(ctx, c, "sleep", guests.TinySleep())
	if err != nil {
		return nil, err
	}
	g := &region{api: c, digest: digest, devices: &devices{}}
	rep := &report{}
	if err := freedSlots(ctx, r, g, rep); err != nil {
		return nil, fmt.Errorf("freed slot: %w", err)
	}
	if err := massLoss(ctx, r, g, rep); err != nil {
		return nil, err
	}
	rep.condition("one server process, raft with fsync; devices of `dunlin sim fleet`, which share the machine; lost_after = 25s, max_lost = 100 %%; load %s", loadAverage())
	return rep, nil
}

// simulate starts a fleet of its own datacenter and waits until it is ready beside so many others.
func simulate(ctx context.Context, r *rig, c *api.Client, dc string, nodes, others int) (*process, error) {
	p, err := r.startWith("sim-"+dc, []string{"DUNLIN_ADDR=" + c.Address()}, "sim", "fleet", "-nodes", fmt.Sprint(nodes), "-datacenter", dc,
		"-seed", fmt.Sprint(1+others), "-links", fmt.Sprint((nodes+losePerLink-1)/losePerLink), "-cpu", fmt.Sprint(nodeCPU), "-memory", "8192")
	if err != nil {
		return nil, err
	}
	return p, nodesReadyWithin(ctx, c, nodes+others, loseWait)
}

// freedSlots stops a job that fills the only node of its datacenter, and waits for the job that was blocked behind it.
func freedSlots(ctx context.Context, r *rig, g *region, rep *report) error {
	sim, err := simulate(ctx, r, g.api, "slot", 1, 0)
	if err != nil {
		return err
	}
	var took []float64
	holder := slotJob(g, 0)
	if _, err := g.api.Register(ctx, &api.JobRegisterRequest{Job: holder}); err != nil {
		return err
	}
	if err := g.runsAll(ctx, holder.ID, 1); err != nil {
		return err
	}
	for n := range loseRounds {
		next := slotJob(g, n+1)
		if _, err := g.api.Register(ctx, &api.JobRegisterRequest{Job: next}); err != nil {
			return err
		}
		if err := until(ctx, slotSettles, func() (bool, error) { return g.blocked(ctx, next.ID) }); err != nil {
			return fmt.Errorf("job %s does not block: %w", next.ID, err)
		}
		begin := time.Now()
		if _, err := g.api.Deregister(ctx, holder.ID, false); err != nil {
			return err
		}
		if err := g.runsAll(ctx, next.ID, 1); err != nil {
			return err
		}
		took = append(took, millis(time.Since(begin)))
		holder = next
	}
	rep.add(figure{Name: "a job is stopped → the blocked one runs", Value: median(took), Unit: "ms",
		Conditions: fmt.Sprintf("median of %d, slowest %s ms; the devices' reports of the end and of the start included", loseRounds, number(quantile(took, 1)))})
	_, err = g.api.Deregister(ctx, holder.ID, false)
	return errors.Join(err, sim.stop())
}

func slotJob(g *region, n int) *fleet.Job {
	job, cpu := wasmJob(fmt.Sprintf("slot-%d", n), fleet.JobTypeService, g.digest, 1), slotMHz
	job.Datacenters = []string{"slot"}
	job.TaskGroups[0].Tasks[0].Resources.CPU = &cpu
	return job
}

func (g *region) blocked(ctx context.Context, id fleet.JobID) (bool, error) {
	evals, _, err := g.api.JobEvaluations(ctx, id, nil)
	for _, e := range evals {
		if e.Status == fleet.EvalBlocked {
			return true, err
		}
	}
	return false, err
}

// runsAll waits until so many allocations of a job run.
func (g *region) runsAll(ctx context.Context, id fleet.JobID, want int) error {
	return until(ctx, loseWait, func() (bool, error) {
		allocs, _, err := g.api.JobAllocations(ctx, id, nil)
		n := 0
		for _, a := range allocs {
			if a.ClientStatus == fleet.ClientRunning {
				n++
			}
		}
		return n >= want, err
	})
}

// massLoss fills two fleets, ends one, and waits until what it had is placed on the other.
func massLoss(ctx context.Context, r *rig, g *region, rep *report) error {
	if _, err := simulate(ctx, r, g.api, loseStays, loseStay, 0); err != nil {
		return err
	}
	goes, err := simulate(ctx, r, g.api, loseGoes, loseGo, loseStay)
	if err != nil {
		return err
	}
	before, err := g.placed(ctx)
	if err != nil {
		return err
	}
	cpu, begin := nodeCPU/losePerNode, time.Now()
	for i := range loseJobs {
		job := wasmJob(fmt.Sprintf("lose-%d", i), fleet.JobTypeService, g.digest, loseCount)
		job.Datacenters = []string{loseStays, loseGoes}
		job.TaskGroups[0].Tasks[0].Resources.CPU = &cpu
		if _, err := g.api.Register(ctx, &api.JobRegisterRequest{Job: job}); err != nil {
			return err
		}
	}
	const all = loseJobs * loseCount
	if _, err := g.reach(ctx, g.placed, before+all, begin); err != nil {
		return err
	}
	away, err := g.onGoing(ctx)
	if err != nil || away == 0 {
		return errors.Join(err, fmt.Errorf("%d allocations on what is to be lost", away))
	}
	if err := goes.stop(); err != nil {
		return err
	}
	var first, last time.Time
	err = until(ctx, loseWait, func() (bool, error) {
		lost, err := metric(ctx, g.api, `dunlin_nodes{state="lost"}`)
		if lost > 0 && first.IsZero() {
			first = time.Now()
		}
		last = time.Now()
		return lost >= loseGo, err
	})
	if err != nil {
		return fmt.Errorf("the loss is not seen: %w", err)
	}
	if _, err := g.reach(ctx, g.placed, before+all+away, last); err != nil {
		return fmt.Errorf("replacement: %w", err)
	}
	done := time.Now()
	rep.add(figure{Name: "500 of 5,000 lost: all replaced after the last was", Value: done.Sub(last).Seconds(), Unit: "s", Target: 5,
		Conditions: fmt.Sprintf("%s allocations were on them; %s s after the first was lost; 100,000 in all", number(float64(away)), number(done.Sub(first).Seconds()))})
	return nil
}

// onGoing counts what is on the devices that will be lost.
func (g *region) onGoing(ctx context.Context) (n int, err error) {
	nodes, _, err := g.api.Nodes(ctx, nil)
	if err != nil {
		return 0, err
	}
	going := map[fleet.NodeID]bool{}
	for _, node := range nodes {
		if node.Datacenter == loseGoes {
			going[node.ID] = true
		}
	}
	allocs, _, err := g.api.Allocations(ctx, nil)
	for _, a := range allocs {
		if going[a.NodeID] && a.DesiredStatus == fleet.DesiredRun {
			n++
		}
	}
	return n, err
}
