package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (e *env) systemCmd() *cobra.Command {
	c := &cobra.Command{Use: "system", Short: "Maintenance of the region"}
	c.AddCommand(e.systemGC())
	return c
}

func (e *env) systemGC() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "gc", Short: "Forget what has ended", Args: noArgs,
		Long: "Forgets dead jobs, evaluations and allocations that have ended, and lost devices,\nat once instead of after the times in the server's configuration. What a device\nthat is away may still have is kept: see dunlin alloc stop -gone and node revoke.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			r, err := c.SystemGC(cmd.Context())
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(r)
			}
			fmt.Fprintf(e.Out, "forgotten: %d jobs, %d evaluations, %d allocations, %d devices\n", r.Jobs, r.Evals, r.Allocs, r.Nodes)
			return nil
		},
	}
	jsonFlag(c, &asJSON)
	return c
}
