package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
)

func (e *env) explainCmd() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "explain JOB [NODE]", Short: "Say where a job's work could go, and why not elsewhere", Args: between(1, "a job", "a node"),
		Long: `Asks the scheduler which devices could take one more of each group of a job now,
and by which rules the others could not: what the job asks, what they have, and the
smallest change that would help. With a device it is asked about that one alone.
Nothing is placed.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, j, err := e.clientAndJob(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			node := ""
			if len(args) == 2 {
				node = args[1]
			}
			x, _, err := c.ExplainJob(cmd.Context(), j.ID, node, nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(x)
			}
			return e.printExplanation(cmd.Context(), c, x)
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) printExplanation(ctx context.Context, c *api.Client, x *fleet.JobExplanation) error {
	names, err := e.nodeNames(ctx, c)
	if err != nil {
		return err
	}
	for _, g := range x.Groups {
		line := fmt.Sprintf("group %q: %d of %d placed", g.Name, g.Live, g.Count)
		if x.NodeID != "" {
			line += fmt.Sprintf(", %d of them on %s", g.Here, x.NodeName)
		}
		fmt.Fprintln(e.Out, line)
		switch {
		case x.NodeID == "":
			fmt.Fprintf(e.Out, "  %s could take another\n", manyDevices(g.Could))
		case g.Could > 0:
			fmt.Fprintf(e.Out, "  %s could take another\n", x.NodeName)
		default:
			fmt.Fprintf(e.Out, "  %s could not take another\n", x.NodeName)
		}
		if g.WouldPreempt > 0 && x.NodeID == "" {
			fmt.Fprintf(e.Out, "  %s more could if others of lower priority gave way\n", manyDevices(g.WouldPreempt))
		}
		for _, p := range g.Preempts {
			fmt.Fprintf(e.Out, "  would preempt: %s (%s) of job %q, priority %d\n", p.Name, fleet.ShortID(p.ID), p.JobID, p.Priority)
		}
		printRefusals(e.Out, g.Metric)
		printScores(e.Out, g.Metric, names)
	}
	return nil
}

func manyDevices(n int) string {
	switch n {
	case 0:
		return "no device"
	case 1:
		return "1 device"
	}
	return fmt.Sprintf("%d devices", n)
}

// nodeNames maps IDs to names: people know devices by name.
func (e *env) nodeNames(ctx context.Context, c *api.Client) (map[fleet.NodeID]string, error) {
	nodes, _, err := c.Nodes(ctx, nil)
	if err != nil {
		return nil, e.explain(c, err)
	}
	names := make(map[fleet.NodeID]string, len(nodes))
	for _, n := range nodes {
		names[n.ID] = n.Name
	}
	return names, nil
}

// printScores shows how the best nodes were ranked, by parts.
func printScores(w io.Writer, m *fleet.AllocMetric, names map[fleet.NodeID]string) {
	for i, s := range m.ScoreMetaData {
		var parts []string
		for _, part := range sortedKeys(s.Scores) {
			parts = append(parts, fmt.Sprintf("%s %.3f", part, s.Scores[part]))
		}
		name := names[s.NodeID]
		if name == "" {
			name = fleet.ShortID(s.NodeID)
		}
		fmt.Fprintf(w, "  %d. %s: score %.3f (%s)\n", i+1, name, s.NormScore, strings.Join(parts, ", "))
	}
}

// printAllScores shows the scores of each group, if any was scored.
func (e *env) printAllScores(ctx context.Context, c *api.Client, groups map[string]*fleet.AllocMetric) error {
	if len(groups) == 0 {
		return nil
	}
	names, err := e.nodeNames(ctx, c)
	if err != nil {
		return err
	}
	for _, g := range sortedKeys(groups) {
		m := groups[g]
		fmt.Fprintf(e.Out, "group %q: of %d linked and eligible, %d broke a rule and %d lacked room; the best before placing:\n",
			g, m.NodesEvaluated, m.NodesFiltered, m.NodesExhausted)
		printScores(e.Out, m, names)
	}
	return nil
}
