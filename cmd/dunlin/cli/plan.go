package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func (e *env) plan() *cobra.Command {
	var (
		f      jobFlags
		asJSON bool
		scores bool
	)
	c := &cobra.Command{
		Use:   "plan FILE",
		Short: "Show what running a job would change, and why it might not fit",
		Long: `Compares the job file with what is registered and asks the region where it
would run, without changing anything. Exit codes: 0 it fits; 3 it would not all
be placed.`,
		Args: exactly("a job file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := e.load(args[0], &f)
			if err != nil {
				return err
			}
			e.warn(l.Warnings)
			c, err := e.client()
			if err != nil {
				return err
			}
			resp, err := c.Plan(cmd.Context(), &api.JobPlanRequest{Job: l.Job, Diff: true})
			if err != nil {
				return e.explain(c, err)
			}
			if err := e.weigh(cmd.Context(), c, l, resp.Modules); err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(resp)
			}
			if scores {
				if err := e.printAllScores(cmd.Context(), c, resp.RankedTGAllocs); err != nil {
					return err
				}
			}
			return e.printPlan(cmd, c, l, resp)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&scores, "verbose", false, "show how the best devices were ranked")
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) printPlan(cmd *cobra.Command, c *api.Client, l *loaded, r *api.JobPlanResponse) error {
	if r.Diff != nil {
		printDiff(e.Out, r.Diff)
	}
	for _, m := range l.Modules {
		has, err := c.HasModule(cmd.Context(), m.Digest)
		if err != nil {
			return e.explain(c, err)
		}
		if !has {
			fmt.Fprintf(e.Out, "module %s (%s) would be pushed: %s\n", m.Path, m.Info.MadeBy(), size(m.Size))
		}
	}
	if r.Annotations != nil {
		for _, g := range sortedKeys(r.Annotations.DesiredTGUpdates) {
			if r.FailedTGAllocs[g] != nil && *r.Annotations.DesiredTGUpdates[g] == (api.DesiredUpdates{}) {
				continue // nothing is placed of it; why comes below
			}
			printUpdates(e.Out, g, r.Annotations.DesiredTGUpdates[g])
		}
		for _, a := range r.Annotations.PreemptedAllocs {
			fmt.Fprintf(e.Out, "would preempt: %s (%s) of job %q on %s\n", a.Name, fleet.ShortID(a.ID), a.JobID, a.NodeName)
		}
	}
	printMoves(e.Out, r.Modules)
	if len(r.FailedTGAllocs) == 0 {
		fmt.Fprintf(e.Out, "everything fits\nto register exactly this: dunlin run -check-index %d FILE\n", r.JobModifyIndex)
		return nil
	}
	for _, g := range sortedKeys(r.FailedTGAllocs) {
		m := r.FailedTGAllocs[g]
		fmt.Fprintf(e.Out, "group %q does not fit: %d not placed\n", g, m.CoalescedFailures+1)
		printRefusals(e.Out, m)
	}
	return &exitError{ExitBlocked, nil}
}

func printUpdates(w io.Writer, group string, u *api.DesiredUpdates) {
	words := []string{}
	for _, p := range []struct {
		n    uint64
		word string
	}{
		{u.Place, "to place"}, {u.InPlaceUpdate, "updated in place"}, {u.DestructiveUpdate, "replaced"},
		{u.Migrate, "moved"}, {u.Stop, "stopped"}, {u.Preemptions, "of others preempted"}, {u.Ignore, "unchanged"},
	} {
		if p.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	if len(words) == 0 {
		words = []string{"nothing to do"}
	}
	fmt.Fprintf(w, "group %q: %s\n", group, joinWords(words))
}

func joinWords(words []string) string {
	out := ""
	for i, w := range words {
		if i > 0 {
			out += ", "
		}
		out += w
	}
	return out
}

// printRefusals says in words why nodes were refused.
func printRefusals(w io.Writer, m *fleet.AllocMetric) {
	for _, r := range m.Refusals {
		fmt.Fprintf(w, "  %s: %s; %s", r.Rule, r.Wants, r.Has)
		if r.Nodes > 1 {
			fmt.Fprintf(w, " (%d nodes)", r.Nodes)
		}
		fmt.Fprintln(w)
		if r.Fix != "" {
			fmt.Fprintf(w, "    fix: %s\n", r.Fix)
		}
	}
}

var diffSigns = map[string]string{"Added": "+", "Deleted": "-", "Edited": "~"}

// printDiff prints what changes, one line a field.
func printDiff(w io.Writer, d *fleet.JobDiff) {
	if d.Type == "None" {
		fmt.Fprintf(w, "job %q: unchanged\n", d.ID)
		return
	}
	fmt.Fprintf(w, "%s job %q\n", diffSigns[d.Type], d.ID)
	if d.Type == "Added" {
		return // every field is new; the file says them better
	}
	printFields(w, "  ", d.Fields, d.Objects)
	for _, g := range d.TaskGroups {
		if g.Type == "None" {
			continue
		}
		fmt.Fprintf(w, "  %s group %q\n", diffSigns[g.Type], g.Name)
		printFields(w, "    ", g.Fields, g.Objects)
		for _, t := range g.Tasks {
			if t.Type == "None" {
				continue
			}
			fmt.Fprintf(w, "    %s task %q\n", diffSigns[t.Type], t.Name)
			printFields(w, "      ", t.Fields, t.Objects)
		}
	}
}

func printFields(w io.Writer, indent string, fields []fleet.FieldDiff, objects []fleet.ObjectDiff) {
	for _, f := range fields {
		switch f.Type {
		case "Added":
			fmt.Fprintf(w, "%s+ %s: %s\n", indent, f.Name, f.New)
		case "Deleted":
			fmt.Fprintf(w, "%s- %s: %s\n", indent, f.Name, f.Old)
		case "Edited":
			fmt.Fprintf(w, "%s~ %s: %s => %s\n", indent, f.Name, f.Old, f.New)
		}
	}
	for _, o := range objects {
		if o.Type == "None" {
			continue
		}
		fmt.Fprintf(w, "%s%s %s\n", indent, diffSigns[o.Type], o.Name)
		printFields(w, indent+"  ", o.Fields, o.Objects)
	}
}
