package cli

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
)

func (e *env) evalCmd() *cobra.Command {
	c := &cobra.Command{Use: "eval", Short: "Look at evaluations, or forget them"}
	c.AddCommand(e.evalList(), e.evalStatus(), e.evalDelete())
	return c
}

func (e *env) evalList() *cobra.Command {
	var asJSON bool
	var f api.EvalFilter
	list := &cobra.Command{
		Use: "list", Short: "List evaluations", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			evals, _, err := c.EvaluationsLike(cmd.Context(), f, nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(evals)
			}
			if len(evals) == 0 {
				fmt.Fprintln(e.Out, "no evaluations")
				return nil
			}
			t := newTable(e.Out, "ID", "JOB", "TRIGGERED BY", "PRIORITY", "STATUS", "NOT PLACED", "AGE")
			for _, ev := range evals {
				t.row(fleet.ShortID(ev.ID), ev.JobID, ev.TriggeredBy, ev.Priority, ev.Status, notPlaced(ev), ago(ev.CreateTime, time.Now()))
			}
			return t.flush()
		},
	}
	list.Flags().StringVar((*string)(&f.Job), "job", "", "only those of this job")
	list.Flags().StringVar(&f.Status, "status", "", "only those that are pending, blocked, complete, failed or canceled")
	jsonFlag(list, &asJSON)
	return list
}

func notPlaced(ev *fleet.Evaluation) (n int) {
	for _, queued := range ev.QueuedAllocations {
		n += queued
	}
	return n
}

// follows are the evaluations that have to do with one, and when it is worked on.
func follows(ev *fleet.Evaluation) (kv []any) {
	if ev.WaitUntil > 0 && ev.Status == fleet.EvalPending {
		kv = append(kv, "Waits until", time.Unix(0, ev.WaitUntil).UTC().Format(time.RFC3339))
	}
	for _, o := range []struct {
		name string
		id   fleet.EvalID
	}{{"Follows", ev.PreviousEval}, {"Followed by", ev.NextEval}, {"Blocked as", ev.BlockedEval}} {
		if o.id != "" {
			kv = append(kv, o.name, fleet.ShortID(o.id))
		}
	}
	if ev.NodeID != "" {
		kv = append(kv, "Node", fleet.ShortID(ev.NodeID))
	}
	return kv
}

func (e *env) evalDelete() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "delete EVAL...", Short: "Forget evaluations that have ended or wait for room",
		Long: `Forgets evaluations: all that are named, or none. Those that are to be worked on, and
the newest of a job, are refused. What one waited for that was blocked is placed when
its job is evaluated for another reason. Old ones go by themselves: see system gc.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("%s needs an evaluation; see: %s -help", c.CommandPath(), c.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			var ids []fleet.EvalID
			for _, word := range args {
				ev, _, err := c.Evaluation(cmd.Context(), fleet.EvalID(word), nil)
				if err != nil {
					return e.explain(c, err)
				}
				ids = append(ids, ev.ID)
			}
			r, err := c.DeleteEvaluations(cmd.Context(), ids)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(r)
			}
			fmt.Fprintf(e.Out, "deleted: %d\n", r.Count)
			return nil
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) evalStatus() *cobra.Command {
	var statusJSON, scores bool
	status := &cobra.Command{
		Use: "status EVAL", Short: "Show what an evaluation decided, and why", Args: exactly("an evaluation"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			ev, _, err := c.Evaluation(cmd.Context(), fleet.EvalID(args[0]), nil)
			if err != nil {
				return e.explain(c, err)
			}
			if statusJSON {
				return e.printJSON(ev)
			}
			kv := append([]any{"ID", ev.ID, "Job", ev.JobID, "Triggered by", ev.TriggeredBy, "Priority", ev.Priority, "Status", ev.Status,
				"Description", ev.StatusDescription, "Created", ago(ev.CreateTime, time.Now())}, follows(ev)...)
			if err := pairs(e.Out, kv...); err != nil {
				return err
			}
			for _, g := range sortedKeys(ev.FailedTGAllocs) {
				fmt.Fprintf(e.Out, "group %q: %d not placed\n", g, ev.QueuedAllocations[g])
				printRefusals(e.Out, ev.FailedTGAllocs[g])
			}
			if err := e.printPreempted(cmd.Context(), c, ev.ID); err != nil || !scores {
				return err
			}
			all := map[string]*fleet.AllocMetric{}
			maps.Copy(all, ev.FailedTGAllocs)
			maps.Copy(all, ev.PlacedTGAllocs)
			return e.printAllScores(cmd.Context(), c, all)
		},
	}
	status.Flags().BoolVar(&scores, "verbose", false, "show how the best devices were ranked")
	jsonFlag(status, &statusJSON)
	return status
}

// printPreempted shows what gave way to the placements of an evaluation.
func (e *env) printPreempted(ctx context.Context, c *api.Client, id fleet.EvalID) error {
	allocs, _, err := c.EvaluationAllocations(ctx, id, nil)
	if err != nil {
		return e.explain(c, err)
	}
	for _, a := range allocs {
		if len(a.PreemptedAllocations) > 0 {
			fmt.Fprintf(e.Out, "%s (%s) on %s preempted %s\n", a.Name, fleet.ShortID(a.ID), a.NodeName, joinWords(shortIDs(a.PreemptedAllocations)))
		}
	}
	return nil
}
