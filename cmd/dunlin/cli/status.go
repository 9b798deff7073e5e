package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
)

func (e *env) status() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "status [JOB]", Short: "Show all jobs, or one with its allocations", Args: between(0, "a job"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			if !asJSON {
				e.warnBrake(cmd.Context(), c)
			}
			if len(args) == 1 {
				return e.jobStatus(cmd.Context(), c, args[0], asJSON)
			}
			jobs, _, err := c.Jobs(cmd.Context(), nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(jobs)
			}
			if len(jobs) == 0 {
				fmt.Fprintln(e.Out, "no jobs; dunlin init makes an example, dunlin run app.hcl runs it")
				return nil
			}
			t := newTable(e.Out, "ID", "TYPE", "PRIORITY", "STATUS", "RUNNING", "WAITING", "SUBMITTED")
			for _, j := range jobs {
				s := total(j.JobSummary)
				t.row(j.ID, j.Type, j.Priority, j.Status, s.Running, s.Queued+s.Starting, ago(j.SubmitTime, time.Now()))
			}
			return t.flush()
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func total(s *api.JobSummary) (sum api.GroupSummary) {
	if s == nil {
		return sum
	}
	for _, g := range s.Summary {
		sum.Queued += g.Queued
		sum.Running += g.Running
		sum.Starting += g.Starting
		sum.Failed += g.Failed
		sum.Complete += g.Complete
		sum.Lost += g.Lost
		sum.Unknown += g.Unknown
	}
	return sum
}

func (e *env) jobStatus(ctx context.Context, c *api.Client, word string, asJSON bool) error {
	j, err := e.job(ctx, c, word)
	if err != nil {
		return err
	}
	if asJSON {
		return e.printJSON(j)
	}
	allocs, _, err := c.JobAllocations(ctx, j.ID, nil)
	if err != nil {
		return e.explain(c, err)
	}
	summary, _, err := c.JobSummary(ctx, j.ID, nil)
	if err != nil {
		return e.explain(c, err)
	}
	state := j.Status
	if j.StatusDescription != "" {
		state += " (" + j.StatusDescription + ")"
	}
	if err := pairs(e.Out, "ID", j.ID, "Type", j.Type, "Priority", fleet.Or(j.Priority, fleet.DefaultPriority),
		"Datacenters", joinWords(j.Datacenters), "Node pool", j.NodePool, "Status", state, "Version", j.Version, "Submitted", ago(j.SubmitTime, time.Now())); err != nil {
		return err
	}
	fmt.Fprintln(e.Out)
	t := newTable(e.Out, "GROUP", "WAITING", "STARTING", "RUNNING", "UNKNOWN", "FAILED", "COMPLETE", "LOST")
	for _, g := range sortedKeys(summary.Summary) {
		s := summary.Summary[g]
		t.row(g, s.Queued, s.Starting, s.Running, s.Unknown, s.Failed, s.Complete, s.Lost)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if err := e.printWhyNot(ctx, c, j.ID); err != nil {
		return err
	}
	if len(allocs) > 0 {
		fmt.Fprintln(e.Out)
		return printAllocs(e, allocs)
	}
	return nil
}

// printWhyNot shows why the newest open evaluation could not place everything.
func (e *env) printWhyNot(ctx context.Context, c *api.Client, id fleet.JobID) error {
	evals, _, err := c.JobEvaluations(ctx, id, nil)
	if err != nil {
		return e.explain(c, err)
	}
	if last := lastDecision(evals); last != nil && last.StatusDescription != "" {
		fmt.Fprintf(e.Out, "\nlast evaluation %s: %s\n", fleet.ShortID(last.ID), last.StatusDescription)
	}
	blocked := map[fleet.EvalID]bool{}
	for _, ev := range evals {
		blocked[ev.ID] = ev.Status == fleet.EvalBlocked
	}
	for _, ev := range evals { // newest first
		// The first to be stuck says why and names the one that waits in its place.
		if len(ev.FailedTGAllocs) == 0 || !blocked[ev.ID] && !blocked[ev.BlockedEval] {
			continue
		}
		for _, g := range sortedKeys(ev.FailedTGAllocs) {
			fmt.Fprintf(e.Out, "\ngroup %q: %d not placed\n", g, ev.QueuedAllocations[g])
			printRefusals(e.Out, ev.FailedTGAllocs[g])
		}
		return nil
	}
	return nil
}

// lastDecision is the evaluation that was worked on last: what it says of later
// steps of an update, and of what holds them up, is what is so now.
func lastDecision(evals []*fleet.Evaluation) (last *fleet.Evaluation) {
	for _, ev := range evals {
		if (ev.Status == fleet.EvalComplete || ev.Status == fleet.EvalFailed) && (last == nil || ev.ModifyIndex > last.ModifyIndex) {
			last = ev
		}
	}
	return last
}

func printAllocs(e *env, allocs []*fleet.AllocationListStub) error {
	t := newTable(e.Out, "ALLOC", "NAME", "NODE", "VERSION", "DESIRED", "STATUS", "RESTARTS", "SINCE")
	for _, a := range allocs {
		restarts := uint64(0)
		for _, s := range a.TaskStates {
			restarts += s.Restarts
		}
		t.row(fleet.ShortID(a.ID), a.Name, a.NodeName, a.JobVersion, a.DesiredStatus, a.ClientStatus, restarts, ago(a.ModifyTime, time.Now()))
	}
	return t.flush()
}

func (e *env) stop() *cobra.Command {
	var purge, asJSON bool
	c := &cobra.Command{
		Use: "stop JOB", Short: "Stop a job", Args: exactly("a job"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, j, err := e.clientAndJob(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			resp, err := c.Deregister(cmd.Context(), j.ID, purge)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(resp)
			}
			what := "stopped"
			if purge {
				what = "stopped and forgotten"
			}
			fmt.Fprintf(e.Out, "job %q %s, evaluation %s\n", j.ID, what, fleet.ShortID(resp.EvalID))
			return nil
		},
	}
	c.Flags().BoolVar(&purge, "purge", false, "also forget the job and its history")
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) jobCmd() *cobra.Command {
	c := &cobra.Command{Use: "job", Short: "Look at a job more closely"}
	c.AddCommand(e.jobInspect(), e.jobHistory())
	for _, same := range []*cobra.Command{e.run(), e.plan(), e.stop(), e.status(), e.validate(), e.initCmd()} {
		same.Hidden = true // the field's spelling, "job run"; the short one is in the help
		c.AddCommand(same)
	}
	return c
}

func (e *env) jobInspect() *cobra.Command {
	return &cobra.Command{
		Use: "inspect JOB", Short: "Print a job as registered, as JSON", Args: exactly("a job"),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, j, err := e.clientAndJob(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return e.printJSON(map[string]*fleet.Job{"Job": j})
		},
	}
}

func (e *env) jobHistory() *cobra.Command {
	var asJSON, diffs bool
	c := &cobra.Command{
		Use: "history JOB", Short: "Show a job's versions", Args: exactly("a job"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, j, err := e.clientAndJob(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r, _, err := c.JobVersions(cmd.Context(), j.ID, diffs, nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(r)
			}
			for i, v := range r.Versions {
				fmt.Fprintf(e.Out, "version %d, submitted %s\n", v.Version, ago(v.SubmitTime, time.Now()))
				if i < len(r.Diffs) && r.Diffs[i] != nil {
					printDiff(e.Out, r.Diffs[i])
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&diffs, "p", false, "show what each version changed")
	jsonFlag(c, &asJSON)
	return c
}
