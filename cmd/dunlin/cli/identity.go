package cli

import (
	"cmp"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
)

// standings are the verbs of node that set a device's standing.
var standings = map[string]struct{ standing, short, long, done string }{
	"approve": {
		fleet.StandingApproved, "End a device's quarantine",
		"Ends a quarantine, and forgets a clone that was noted. A revoked device cannot\nbe approved: it joins again with a new invite.",
		"takes work",
	},
	"quarantine": {
		fleet.StandingQuarantined, "Keep a device's link, and give it nothing new",
		"The link stays up and what runs keeps running; nothing new is placed on the\ndevice and nothing is told to it, until it is approved.",
		"is in quarantine; what runs keeps running",
	},
	"revoke": {
		fleet.StandingRevoked, "Cut a device off at once and for good",
		"Ends the device's link, refuses its certificate from now on and places its work\nelsewhere. What runs on the device cannot be stopped from here: it is no longer\ntold anything. There is no way back but to join again.",
		"is revoked",
	},
}

func (e *env) nodeStanding(verb string) *cobra.Command {
	how := standings[verb]
	var reason string
	var asJSON bool
	c := &cobra.Command{
		Use: verb + " NODE", Short: how.short, Long: how.long, Args: exactly("a node"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			n, err := e.node(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			resp, err := c.SetStanding(cmd.Context(), n.ID, &api.NodeStandingRequest{Standing: how.standing, Reason: reason})
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(resp)
			}
			fmt.Fprintf(e.Out, "node %s %s\n", n.Name, how.done)
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for those who look later")
	jsonFlag(c, &asJSON)
	return c
}

// standing is one word on a device's identity.
func standing(i *fleet.NodeIdentity) string {
	switch {
	case i == nil:
		return fleet.StandingApproved
	case i.Rival != nil && i.Trusted():
		return "cloned"
	}
	return i.Standing
}

// until is the end of a device's certificate.
func until(i *fleet.NodeIdentity) string {
	if i == nil || i.CertExpiresAt == 0 {
		return ""
	}
	return time.Unix(0, i.CertExpiresAt).UTC().Format(time.DateOnly)
}

// identityLines says what is wrong with a device's identity, if anything is.
func identityLines(i *fleet.NodeIdentity) (lines []string) {
	if i == nil {
		return nil
	}
	if !i.Trusted() {
		lines = append(lines, fmt.Sprintf("Warning: %s %s: %s", i.Standing, ago(i.StandingAt, time.Now()), cmp.Or(i.Reason, "no reason was given")))
	}
	if r := i.Rival; r != nil {
		lines = append(lines, fmt.Sprintf("Warning: two machines have this identity: %s keeps the link, %s was refused %s; "+
			"on the copy run dunlin agent generalize and join it anew, then: dunlin node approve", r.Linked, r.Addr, ago(r.At, time.Now())))
	}
	return lines
}

// sayFirstExpiry names the device whose certificate ends first.
func (e *env) sayFirstExpiry(nodes []*fleet.NodeListStub) {
	var first *fleet.NodeListStub
	for _, n := range nodes {
		if n.Identity == nil || n.Identity.CertExpiresAt == 0 || n.Identity.Revoked() {
			continue
		}
		if first == nil || n.Identity.CertExpiresAt < first.Identity.CertExpiresAt {
			first = n
		}
	}
	if first != nil {
		fmt.Fprintf(e.Out, "\nfirst certificate to end: %s, on %s; devices renew theirs by themselves\n", first.Name, until(first.Identity))
	}
}

func (e *env) inviteList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the invites that have not expired", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			invites, _, err := c.Invites(cmd.Context(), nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(invites)
			}
			t := newTable(e.Out, "ID", "ROLE", "NAME", "DATACENTER", "POOL", "LEFT", "EXPIRES", "LAST USED BY")
			for _, i := range invites {
				t.row(i.ID, i.Role, i.Name, i.Datacenter, i.Pool, fmt.Sprintf("%d of %d", i.Left, i.Count),
					time.Unix(0, i.ExpiresAt).Format(time.RFC1123), fleet.ShortID(i.UsedBy))
			}
			return t.flush()
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) inviteRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Take an invite back; those who joined by it stay", Args: exactly("an invite's ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			if err := c.RevokeInvite(cmd.Context(), args[0]); err != nil {
				return e.explain(c, err)
			}
			fmt.Fprintf(e.Out, "invite %s lets nobody in any more\n", args[0])
			return nil
		},
	}
}
