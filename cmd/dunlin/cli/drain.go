package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
)

// drainDeadline is how long work may take to leave if nothing else was said, the
// field's; drainLook is how often -monitor looks at least.
const (
	drainDeadline = time.Hour
	drainLook     = 5 * time.Second
)

func (e *env) nodeDrain() *cobra.Command {
	var enable, disable, force, noDeadline, ignoreSystem, keepIneligible, watch, asJSON bool
	var deadline time.Duration
	c := &cobra.Command{
		Use: "drain NODE", Short: "Move the work off a device", Args: exactly("a node"),
		Long: "Moves what runs on a device elsewhere, as fast as the migrate blocks of the jobs\nallow, and keeps new work off it. Batch work may end by itself until the deadline;\n" +
			"what every device has goes last. The device stays ineligible afterwards.",
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := drainSpec(cmd, enable, disable, force, noDeadline, ignoreSystem, deadline)
			if err != nil && !(watch && !enable && !disable) {
				return err
			}
			c, err := e.client()
			if err != nil {
				return err
			}
			n, err := e.node(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if enable || disable {
				resp, err := c.Drain(cmd.Context(), n.ID, &api.NodeDrainRequest{DrainSpec: spec, MarkEligible: disable && !keepIneligible})
				if err != nil {
					return e.explain(c, err)
				}
				if asJSON {
					return e.printJSON(resp)
				}
				fmt.Fprintln(e.Out, drainWords(n.Name, spec, keepIneligible))
			}
			if disable || !watch {
				return nil
			}
			return e.watchDrain(cmd.Context(), c, n)
		},
	}
	f := c.Flags()
	f.BoolVar(&enable, "enable", false, "begin to drain, or change how")
	f.BoolVar(&disable, "disable", false, "stop draining, and let new work onto the device")
	f.DurationVar(&deadline, "deadline", drainDeadline, "after so long what is left has to go")
	f.BoolVar(&force, "force", false, "everything goes at once")
	f.BoolVar(&noDeadline, "no-deadline", false, "let it take as long as it takes")
	f.BoolVar(&ignoreSystem, "ignore-system", false, "leave what every device has")
	f.BoolVar(&keepIneligible, "keep-ineligible", false, "with -disable: keep new work off the device")
	f.BoolVar(&watch, "monitor", false, "show what leaves, until the drain is over")
	jsonFlag(c, &asJSON)
	return c
}

func drainSpec(cmd *cobra.Command, enable, disable, force, noDeadline, ignoreSystem bool, deadline time.Duration) (*fleet.DrainSpec, error) {
	given := cmd.Flags().Changed("deadline")
	switch {
	case enable == disable:
		return nil, usageError("give either -enable or -disable, or -monitor to watch")
	case force && noDeadline, given && (force || noDeadline):
		return nil, usageError("give one of -deadline, -force and -no-deadline")
	case disable && (force || noDeadline || given || ignoreSystem):
		return nil, usageError("-deadline, -force, -no-deadline and -ignore-system go with -enable")
	case given && deadline <= 0:
		return nil, usageError("-deadline is %s; give a time, or -force or -no-deadline", deadline)
	case disable:
		return nil, nil
	}
	s := &fleet.DrainSpec{Deadline: fleet.Duration(deadline), IgnoreSystemJobs: ignoreSystem}
	switch {
	case force:
		s.Deadline = fleet.DeadlineForce
	case noDeadline:
		s.Deadline = 0
	}
	return s, nil
}

func drainWords(node string, s *fleet.DrainSpec, keepIneligible bool) string {
	switch {
	case s == nil && keepIneligible:
		return fmt.Sprintf("node %s is not drained any more, and takes no new work", node)
	case s == nil:
		return fmt.Sprintf("node %s is not drained any more, and takes new work; what left does not come back", node)
	case s.Deadline < 0:
		return fmt.Sprintf("node %s is drained at once", node)
	case s.Deadline == 0:
		return fmt.Sprintf("node %s is drained, for as long as it takes", node)
	}
	return fmt.Sprintf("node %s is drained, within %s", node, brief(s.Deadline.Std()))
}

// watchDrain shows what leaves a device until its drain is over.
func (e *env) watchDrain(ctx context.Context, c *api.Client, n *fleet.Node) error {
	shown := map[fleet.AllocID]string{}
	q := &api.QueryOptions{Wait: drainLook}
	for {
		allocs, meta, err := c.NodeAllocations(ctx, n.ID, q)
		if err != nil {
			return e.explain(c, err)
		}
		for _, a := range allocs {
			word := a.ClientStatus
			if a.DesiredStatus != fleet.DesiredRun && !fleet.ClientTerminal(word) {
				word = "leaving"
			}
			before, known := shown[a.ID]
			shown[a.ID] = word
			if known && before != word {
				fmt.Fprintf(e.Out, "allocation %s %s: %s\n", fleet.ShortID(a.ID), a.Name, word)
			}
		}
		now, _, err := c.Node(ctx, n.ID, nil)
		if err != nil {
			return e.explain(c, err)
		}
		if !now.Drain {
			fmt.Fprintf(e.Out, "the drain of node %s is over\n", n.Name)
			return nil
		}
		q.Index = meta.LastIndex
	}
}

func draining(n *fleet.Node) string {
	switch s := n.DrainStrategy; {
	case s == nil:
		return "no"
	case s.ForceDeadline.IsZero():
		return "under way, for as long as it takes"
	default:
		return "under way, until " + s.ForceDeadline.Local().Format(time.RFC1123)
	}
}
