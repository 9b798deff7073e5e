package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/jobspec"
	"github.com/spf13/cobra"
)

func (e *env) poolCmd() *cobra.Command {
	c := &cobra.Command{Use: "pool", Short: "Node pools: sets of devices that jobs choose as a whole"}
	c.AddCommand(e.poolList(), e.poolInfo(), e.poolApply(), e.poolDelete(), e.poolNodes(), e.poolJobs())
	return c
}

func (e *env) poolList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List node pools", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			pools, _, err := c.NodePools(cmd.Context(), nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(pools)
			}
			t := newTable(e.Out, "NAME", "ALGORITHM", "DESCRIPTION")
			for _, p := range pools {
				t.row(p.Name, poolAlgorithm(p), p.Description)
			}
			return t.flush()
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func poolAlgorithm(p *fleet.NodePool) string {
	if s := p.SchedulerConfiguration; s != nil && s.SchedulerAlgorithm != "" {
		return s.SchedulerAlgorithm
	}
	return "as the region"
}

func (e *env) poolInfo() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "info POOL", Short: "Show a node pool", Args: exactly("a node pool"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			p, _, err := c.NodePool(cmd.Context(), args[0], nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(p)
			}
			oversubscription := "as the region"
			if s := p.SchedulerConfiguration; s != nil && s.MemoryOversubscriptionEnabled != nil {
				oversubscription = fmt.Sprint(*s.MemoryOversubscriptionEnabled)
			}
			kv := []any{"Name", p.Name, "Description", p.Description, "Algorithm", poolAlgorithm(p), "Memory oversubscription", oversubscription}
			for _, k := range sortedKeys(p.Meta) {
				kv = append(kv, "Meta "+k, p.Meta[k])
			}
			return pairs(e.Out, kv...)
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) poolApply() *cobra.Command {
	return &cobra.Command{
		Use: "apply FILE", Short: "Make or change a node pool", Args: exactly("a file"),
		Long: `Makes the node pool that a file describes, or changes it to that:

  node_pool "shops" {
    description = "one device in each shop"
    scheduler_config { scheduler_algorithm = "spread" }
  }

Devices are in the pool that their agent's configuration names (client {
node_pool = "shops" }) or that their invite gave them; the pool of a device that
nobody made is made with it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			src, name, err := e.readFile(args[0])
			if err != nil {
				return err
			}
			p, diags := jobspec.ParseNodePool(name, src)
			if diags.HasErrors() {
				return errors.New(strings.TrimRight(diags.String(), "\n"))
			}
			if err := p.Validate().Err(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			for _, w := range p.Validate().Warnings() {
				fmt.Fprintln(e.Err, "warning: "+w)
			}
			c, err := e.client()
			if err != nil {
				return err
			}
			if err := c.PutNodePool(cmd.Context(), p); err != nil {
				return e.explain(c, err)
			}
			fmt.Fprintf(e.Out, "node pool %q is as the file says\n", p.Name)
			return nil
		},
	}
}

func (e *env) poolDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete POOL", Short: "Remove a node pool that no device and no job is in", Args: exactly("a node pool"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			if err := c.DeleteNodePool(cmd.Context(), args[0]); err != nil {
				return e.explain(c, err)
			}
			fmt.Fprintf(e.Out, "node pool %q is gone\n", args[0])
			return nil
		},
	}
}

func (e *env) poolNodes() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "nodes POOL", Short: "List the devices of a node pool", Args: exactly("a node pool"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			nodes, _, err := c.NodePoolNodes(cmd.Context(), args[0], nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(nodes)
			}
			t := newTable(e.Out, "ID", "NAME", "DATACENTER", "LINK", "ELIGIBLE")
			for _, n := range nodes {
				t.row(fleet.ShortID(n.ID), n.Name, n.Datacenter, n.LinkState, n.SchedulingEligibility == fleet.NodeEligible)
			}
			return t.flush()
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) poolJobs() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "jobs POOL", Short: "List the jobs that name a node pool", Args: exactly("a node pool"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			jobs, _, err := c.NodePoolJobs(cmd.Context(), args[0], nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(jobs)
			}
			t := newTable(e.Out, "ID", "TYPE", "PRIORITY", "STATUS")
			for _, j := range jobs {
				t.row(j.ID, j.Type, j.Priority, j.Status)
			}
			return t.flush()
		},
	}
	jsonFlag(c, &asJSON)
	return c
}
