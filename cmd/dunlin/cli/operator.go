package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
)

func (e *env) operatorCmd() *cobra.Command {
	c := &cobra.Command{Use: "operator", Short: "What only people decide: epochs, the loss brake, how to schedule"}
	epoch := &cobra.Command{Use: "epoch", Short: "The region's epoch, which orders what devices are told"}
	epoch.AddCommand(e.epochStatus(), e.epochRaise())
	brake := &cobra.Command{Use: "loss-brake", Short: "Holds replacements while many devices are gone at once"}
	brake.AddCommand(e.brakeStatus(), e.brakeRelease())
	c.AddCommand(epoch, brake, e.schedulerCmd())
	return c
}

func (e *env) epochStatus() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Show the epoch and how the region came to it", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			r, _, err := c.Epoch(cmd.Context(), nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(r)
			}
			return e.printEpoch(r)
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) printEpoch(r *api.RegionEpoch) error {
	kv := []any{"Region", r.Region, "ID", r.RegionID, "Epoch", r.Epoch}
	if r.RaisedAt != 0 {
		kv = append(kv, "Raised", ago(r.RaisedAt, time.Now()), "Because", r.Reason)
	}
	return pairs(e.Out, kv...)
}

func (e *env) epochRaise() *cobra.Command {
	return &cobra.Command{
		Use: "raise", Short: "Say that the region was restored", Args: noArgs,
		Long: `Raises the region's epoch by one. Do this after putting back an older copy of
a server's data. A region usually finds out by itself, when a device links that
holds more than the region ever told. Every device is then told everything anew;
what it runs and the region does not know keeps running as an orphan.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			r, err := c.RaiseEpoch(cmd.Context())
			if err != nil {
				return e.explain(c, err)
			}
			return e.printEpoch(r)
		},
	}
}

func (e *env) brakeStatus() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Show whether replacements are held, and why", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			b, _, err := c.LossBrake(cmd.Context(), nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(b)
			}
			return e.printBrake(b)
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) printBrake(b *api.LossBrake) error {
	state := "off; what is lost is replaced"
	if b.On {
		state = "ON; replacements are held"
	}
	kv := []any{"Loss brake", state}
	if b.Since != 0 {
		kv = append(kv, "Since", ago(b.Since, time.Now()), "Because", b.Reason)
	}
	return pairs(e.Out, append(kv, "Devices away", b.Gone)...)
}

func (e *env) brakeRelease() *cobra.Command {
	return &cobra.Command{
		Use: "release", Short: "Let what is held be replaced", Args: noArgs,
		Long: `Releases the loss brake: devices that are gone become lost in their own time,
and their work is placed elsewhere. What is gone until now does not draw the brake
again. If the devices come back, it is released by itself.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			b, err := c.ReleaseLossBrake(cmd.Context())
			if err != nil {
				return e.explain(c, err)
			}
			return e.printBrake(b)
		},
	}
}

// warnBrake is line 1 of the status while the brake is on. A server that does not
// answer this has other troubles, which the next question tells.
func (e *env) warnBrake(ctx context.Context, c *api.Client) {
	if b, _, err := c.LossBrake(ctx, nil); err == nil && b.On {
		fmt.Fprintf(e.Out, "LOSS BRAKE since %s: %s; replacements are held (dunlin operator loss-brake release)\n", ago(b.Since, time.Now()), b.Reason)
	}
}

func (e *env) nodeOrphans() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "orphans [NODE]", Short: "List what devices run and the region does not know", Args: between(0, "a node"),
		Long: `Lists orphans: allocations that a device runs and its region does not know, as
after a restore of an older state. They keep running. dunlin alloc adopt takes one
back, dunlin alloc stop ends one.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			nodes, err := e.nodesWithOrphans(cmd.Context(), c, args)
			if err != nil {
				return err
			}
			if asJSON {
				out := map[fleet.NodeID][]fleet.Orphan{}
				for _, n := range nodes {
					out[n.ID] = n.Orphans
				}
				return e.printJSON(out)
			}
			return e.printOrphans(nodes)
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) nodesWithOrphans(ctx context.Context, c *api.Client, args []string) ([]*fleet.Node, error) {
	if len(args) == 1 {
		n, err := e.node(ctx, c, args[0])
		if err != nil {
			return nil, err
		}
		return []*fleet.Node{n}, nil
	}
	stubs, _, err := c.Nodes(ctx, nil)
	if err != nil {
		return nil, e.explain(c, err)
	}
	var out []*fleet.Node
	for _, s := range stubs {
		if s.Orphans == 0 {
			continue
		}
		n, _, err := c.Node(ctx, s.ID, nil)
		if err != nil {
			return nil, e.explain(c, err)
		}
		out = append(out, n)
	}
	return out, nil
}

func (e *env) printOrphans(nodes []*fleet.Node) error {
	t := newTable(e.Out, "ORPHAN", "NAME", "VERSION", "NODE", "STATUS", "CREATED", "STOP")
	some := false
	for _, n := range nodes {
		for _, o := range n.Orphans {
			some = true
			t.row(fleet.ShortID(o.ID), o.Name, o.JobVersion, n.Name, o.ClientStatus, ago(o.CreateTime, time.Now()), o.StopReason)
		}
	}
	if !some {
		fmt.Fprintln(e.Out, "no orphans: the region knows everything that its devices run")
		return nil
	}
	return t.flush()
}

func (e *env) allocStop() *cobra.Command {
	var gone bool
	c := &cobra.Command{
		Use: "stop ALLOC", Short: "Stop an allocation or an orphan", Args: exactly("an allocation"),
		Long: `Stops one allocation; its job then places another if it wants one. An orphan
is stopped for good. With -gone the allocation's device is given up: it counts as
lost at once, and whatever waits for its end (a group with replace = false) goes
on. If the device does come back, it stops it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			r, err := c.StopAllocation(cmd.Context(), fleet.AllocID(args[0]), &api.AllocStopRequest{Gone: gone})
			if err != nil {
				return e.explain(c, err)
			}
			if r.Orphan {
				fmt.Fprintf(e.Out, "orphan %s is told to stop\n", args[0])
			} else {
				fmt.Fprintf(e.Out, "allocation %s is told to stop\n", args[0])
			}
			return nil
		},
	}
	c.Flags().BoolVar(&gone, "gone", false, "its device will not come back: count it as lost")
	return c
}

func (e *env) allocAdopt() *cobra.Command {
	return &cobra.Command{
		Use: "adopt ALLOC", Short: "Make an orphan an allocation of the region again", Args: exactly("an orphan"),
		Long: `Takes an orphan back under its own name, without restarting it. The region must
hold the very version of the job that it runs. What the region has placed under the
same name meanwhile is stopped.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			r, err := c.AdoptAllocation(cmd.Context(), fleet.AllocID(args[0]))
			if err != nil {
				return e.explain(c, err)
			}
			fmt.Fprintf(e.Out, "%s is %s again\n", args[0], r.Name)
			if r.Stopped != "" {
				fmt.Fprintf(e.Out, "%s, which had its name, is stopped\n", fleet.ShortID(r.Stopped))
			}
			return nil
		},
	}
}
