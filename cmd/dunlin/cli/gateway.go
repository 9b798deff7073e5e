package cli

import (
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/spf13/cobra"
)

func (e *env) nodeGateway() *cobra.Command {
	c := &cobra.Command{Use: "gateway", Short: "Certificates by which one link speaks for many devices"}
	c.AddCommand(e.gatewayList(), e.gatewayRevoke())
	return c
}

func (e *env) gatewayList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the gateways that have joined or linked", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			gateways, _, err := c.Gateways(cmd.Context(), nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(gateways)
			}
			t := newTable(e.Out, "ID", "STANDING", "CERTIFICATE UNTIL", "REASON")
			for _, g := range gateways {
				end := ""
				if g.CertExpiresAt != 0 {
					end = time.Unix(0, g.CertExpiresAt).UTC().Format(time.DateOnly)
				}
				t.row(g.ID, g.Standing, end, g.Reason)
			}
			return t.flush()
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) gatewayRevoke() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "revoke ID", Short: "Cut a gateway off at once and for good", Args: exactly("a gateway's ID"),
		Long: `Ends the gateway's links and refuses its certificate from now on. The devices
that it spoke for count as lost when their time is over. There is no way back but
a new certificate under another ID, or to join anew.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			if _, err := c.RevokeGateway(cmd.Context(), args[0], &api.GatewayRevokeRequest{Reason: reason}); err != nil {
				return e.explain(c, err)
			}
			fmt.Fprintf(e.Out, "gateway %s is revoked\n", args[0])
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for those who look later")
	return c
}
