package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/httpapi"
	"github.com/dunlin-edge/dunlin/control/scheduler"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// planner answers what a registration would do, by doing it to a fork of the
// newest view with the very code that would carry it out.
type planner struct {
	store *state.Store
	now   func() time.Time
}

// Plan registers the job in a fork, schedules it, and drops both.
func (p planner) Plan(_ context.Context, job *fleet.Job) (*httpapi.PlanResult, error) {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	now := p.now()
	txn := p.store.View().Fork()
	cmd := command.JobRegister{Spec: fleet.CanonicalBytes(job), EvalID: fleet.MintUUID([16]byte(seed[:16])), At: now.UnixNano()}
	if _, err := command.Apply(txn, txn.Index()+1, command.Encode(cmd)); err != nil {
		return nil, err
	}
	eval := txn.Eval(cmd.EvalID)
	if eval == nil {
		return nil, fmt.Errorf("registering job %q made no evaluation", job.ID)
	}
	out := scheduler.Schedule(scheduler.Input{View: &txn.View, Eval: eval, Now: now, Seed: seed})
	if out.Explain.Refused != "" {
		return nil, fmt.Errorf("job %q cannot be scheduled: %s", job.ID, out.Explain.Refused)
	}
	r := planResult(&out)
	for _, d := range out.Explain.Displaced {
		stub := txn.Allocation(d.Alloc).Stub()
		stub.PreemptedByAllocation = fleet.AllocID(d.By.String())
		r.Preempted = append(r.Preempted, &stub)
		r.Updates[d.Group].Preemptions++
	}
	for _, p := range out.Plan.Groups {
		if int(p.Group) < len(job.TaskGroups) {
			name := job.TaskGroups[p.Group].Name
			r.Placed[name] = append(r.Placed[name], p.Nodes...)
		}
	}
	return r, nil
}

// Why asks the scheduler about each group of a job.
func (p planner) Why(v *state.View, job *state.Job, only *state.Node) *fleet.JobExplanation {
	return scheduler.Why(scheduler.Input{View: v, Now: p.now()}, job, only)
}

func planResult(out *scheduler.Output) *httpapi.PlanResult {
	r := &httpapi.PlanResult{Updates: map[string]*api.DesiredUpdates{}, Failed: map[string]*fleet.AllocMetric{}, Placed: map[string][]state.NodeKey{}, Ranked: map[string]*fleet.AllocMetric{}}
	for _, g := range out.Explain.Groups {
		r.Updates[g.Group] = &api.DesiredUpdates{
			Place: uint64(g.Place), Stop: uint64(g.Stop + g.Lost), InPlaceUpdate: uint64(g.InPlace),
			DestructiveUpdate: uint64(g.Destructive), Ignore: uint64(g.Keep + g.Done),
		}
		if g.Metric != nil {
			r.Ranked[g.Group] = g.Metric
		}
		if g.Queued > 0 && g.Metric != nil {
			r.Failed[g.Group] = g.Metric
		}
	}
	for i := range out.Plan.Evals {
		if e := &out.Plan.Evals[i]; e.ID != out.Plan.Eval {
			r.Evals = append(r.Evals, e.View())
		}
	}
	return r
}
