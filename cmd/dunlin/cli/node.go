package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
)

func (e *env) nodeCmd() *cobra.Command {
	c := &cobra.Command{Use: "node", Short: "Devices of the region"}
	c.AddCommand(e.nodeStatus(), e.nodeTraffic(), e.nodeOrphans(), e.nodeInvite(), e.nodeEligibility(), e.poolCmd(), e.nodeDrain(),
		e.nodeStanding("approve"), e.nodeStanding("quarantine"), e.nodeStanding("revoke"), e.nodeGateway())
	return c
}

func (e *env) nodeStatus() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "status [NODE]", Short: "List devices, or show one", Args: between(0, "a node"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				n, err := e.node(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				// A device that cannot be asked, or is older than the question, is shown without.
				written, err := c.NodeWritten(cmd.Context(), n.ID)
				if err != nil {
					written = nil
				}
				if asJSON {
					return e.printJSON(nodeWithWrites{n, written})
				}
				return e.printNode(cmd, c, n, written)
			}
			nodes, _, err := c.Nodes(cmd.Context(), nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(nodes)
			}
			if len(nodes) == 0 {
				fmt.Fprintln(e.Out, "no devices; dunlin node invite prints the line that lets one in")
				return nil
			}
			t := newTable(e.Out, "ID", "NAME", "DATACENTER", "POOL", "LINK", "ELIGIBLE", "STANDING", "CPU", "MEMORY", "VERSION", "CERTIFICATE")
			for _, n := range nodes {
				t.row(fleet.ShortID(n.ID), n.Name, n.Datacenter, cmp.Or(n.NodePool, fleet.DefaultNodePool), n.LinkState, n.SchedulingEligibility == fleet.NodeEligible, standing(n.Identity),
					fmt.Sprintf("%d MHz", n.NodeResources.CPU.CPUShares), fmt.Sprintf("%d MiB", n.NodeResources.Memory.MemoryMB), n.Version, until(n.Identity))
			}
			if err := t.flush(); err != nil {
				return err
			}
			e.sayFirstExpiry(nodes)
			return nil
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

// nodeWithWrites is a node as the region knows it, and what its device says now.
type nodeWithWrites struct {
	*fleet.Node
	Written *fleet.DiskWrites `json:",omitempty"`
}

func (e *env) printNode(cmd *cobra.Command, c *api.Client, n *fleet.Node, written *fleet.DiskWrites) error {
	link := string(n.LinkState)
	if n.LastSeenAt > 0 {
		link += fmt.Sprintf(" since %s", ago(n.LastSeenAt, time.Now()))
	}
	if n.LinkTransport != "" {
		link += ", " + transportWords(n.LinkTransport, n.UDPFiltered)
	}
	if n.StatusDescription != "" {
		link += " (" + n.StatusDescription + ")"
	}
	for _, line := range identityLines(n.Identity) {
		fmt.Fprintln(e.Err, line)
	}
	carried := "not known: the server does not say"
	ctx, cancel := context.WithTimeout(cmd.Context(), trafficTimeout)
	if t, err := c.NodeTraffic(ctx, n.ID); err == nil {
		carried = trafficLine(t)
	}
	cancel()
	room := n.Capacity()
	lines := append([]any{"ID", n.ID, "Name", n.Name, "Datacenter", n.Datacenter, "Pool", n.Pool(), "Class", n.NodeClass, "Link", link,
		"Address", n.RemoteAddr, "Eligible", n.SchedulingEligibility == fleet.NodeEligible, "Drain", draining(n), "Standing", standing(n.Identity),
		"Certificate", until(n.Identity), "Agent", n.Version,
		"Traffic", carried, "Room for work", roomWords(room), "Host volumes", volumeWords(n.HostVolumes)}, writtenPairs(written)...)
	if r := n.RefusedPlans; r != nil {
		lines = append(lines, "Refuses plans", fmt.Sprintf("%d in a row since %s: %s", r.InARow, ago(r.Since, time.Now()), r.Reason))
	}
	if err := pairs(e.Out, lines...); err != nil {
		return err
	}
	fmt.Fprintln(e.Out)
	t := newTable(e.Out, "DRIVER", "HEALTHY", "DESCRIPTION")
	for _, name := range sortedKeys(n.Drivers) {
		d := n.Drivers[name]
		t.row(name, d.Healthy, d.HealthDescription)
	}
	if err := t.flush(); err != nil {
		return err
	}
	allocs, _, noAllocs := c.NodeAllocations(cmd.Context(), n.ID, nil)
	if err := e.printDevices(n, deviceHolders(n, allocs)); err != nil {
		return err
	}
	fmt.Fprintln(e.Out)
	t = newTable(e.Out, "ATTRIBUTE", "VALUE")
	overridden := strings.Split(n.Attributes["fingerprint.overridden"], ",")
	for _, k := range sortedKeys(n.Attributes) {
		value := n.Attributes[k]
		if slices.Contains(overridden, k) {
			value += "  (set in the agent's configuration)"
		}
		t.row("${attr."+k+"}", value)
	}
	for _, k := range sortedKeys(n.Meta) {
		t.row("${meta."+k+"}", n.Meta[k])
	}
	if err := t.flush(); err != nil {
		return err
	}
	if len(n.Orphans) > 0 {
		fmt.Fprintln(e.Out)
		if err := e.printOrphans([]*fleet.Node{n}); err != nil {
			return err
		}
	}
	if noAllocs != nil || len(allocs) == 0 {
		return e.explain(c, noAllocs)
	}
	fmt.Fprintln(e.Out)
	stubs := make([]*fleet.AllocationListStub, len(allocs))
	for i, a := range allocs {
		s := a.Stub()
		stubs[i] = &s
	}
	return printAllocs(e, stubs)
}

// deviceHolders says by ID who holds each device of a node. One that has ended holds nothing; one that is stopped and still
// running keeps its successor waiting, and is named where nobody was given the device yet.
func deviceHolders(n *fleet.Node, allocs []*fleet.Allocation) map[string]string {
	by := map[string]string{}
	hold := func(who string, devices []fleet.AllocatedDevice) {
		for _, d := range devices {
			for _, id := range d.DeviceIDs {
				by[id] = cmp.Or(by[id], who)
			}
		}
	}
	for _, stopping := range [2]bool{false, true} {
		for _, a := range allocs {
			if a.AllocatedResources == nil || fleet.ClientTerminal(a.ClientStatus) || (a.DesiredStatus != fleet.DesiredRun) != stopping {
				continue
			}
			who := fmt.Sprintf("%s (%s)", a.Name, fleet.ShortID(a.ID))
			if stopping {
				who += ", stopping"
			}
			for _, task := range a.AllocatedResources.Tasks {
				hold(who, task.Devices)
			}
		}
	}
	for i := range n.Orphans {
		hold(fmt.Sprintf("orphan %s (%s)", n.Orphans[i].Name, fleet.ShortID(n.Orphans[i].ID)), n.Orphans[i].Devices)
	}
	return by
}

// printDevices lists what allocations may hold alone of a node, and who does. What is held and not offered any more is
// in the status of its allocation alone.
func (e *env) printDevices(n *fleet.Node, holders map[string]string) error {
	if len(n.NodeResources.Devices) == 0 {
		return nil
	}
	fmt.Fprintln(e.Out)
	t := newTable(e.Out, "DEVICE", "ID", "HEALTHY", "HELD BY", "ATTRIBUTES")
	for i := range n.NodeResources.Devices {
		d := &n.NodeResources.Devices[i]
		var attributes []string
		for _, k := range sortedKeys(d.Attributes) {
			attributes = append(attributes, k+" = "+d.Attributes[k])
		}
		for _, x := range d.Instances {
			t.row(d.ID(), x.ID, x.Healthy, cmp.Or(holders[x.ID], "nobody"), strings.Join(attributes, ", "))
		}
	}
	return t.flush()
}

// volumeWords lists the folders that a device offers.
func volumeWords(volumes map[string]fleet.HostVolume) string {
	var parts []string
	for _, name := range sortedKeys(volumes) {
		v := volumes[name]
		word := fmt.Sprintf("%s (%s)", name, v.Path)
		if v.ReadOnly {
			word = fmt.Sprintf("%s (%s, read-only)", name, v.Path)
		}
		parts = append(parts, word)
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// roomWords says what all work on a device may take.
func roomWords(room fleet.Ask) string {
	disk := fmt.Sprintf("%d MiB of disk", room.DiskMB)
	if room.DiskMB == fleet.DiskUnknownMB {
		disk = "disk unknown, and not checked"
	}
	return fmt.Sprintf("%d MHz, %d MiB, %s", room.CPU, room.MemoryMB, disk)
}

// transportWords is how a link travels, with the reason when it is not by QUIC.
func transportWords(transport string, filtered bool) string {
	if filtered {
		return transport + " (UDP filtered)"
	}
	return transport
}

func (e *env) nodeInvite() *cobra.Command {
	var (
		r      api.InviteRequest
		ttl    time.Duration
		asJSON bool
	)
	c := &cobra.Command{
		Use: "invite", Short: "Print the line that lets devices in",
		Long: `Makes an invite for one device, or with -count for several. Run the printed line
on the device; it makes its own key, gets a certificate, writes its configuration
and starts. Whoever has the line can join as often as the count says, until it
expires or is revoked.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			r.TTL = fleet.Duration(ttl)
			resp, err := c.Invite(cmd.Context(), &r)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(resp)
			}
			fmt.Fprintf(e.Out, "dunlin join %s\n", resp.Invite)
			times := "once"
			if r.Count > 1 {
				times = fmt.Sprintf("%d times", r.Count)
			}
			fmt.Fprintf(e.Err, "run this line on the device before %s; it works %s\n", time.Unix(0, resp.ExpiresAt).Format(time.RFC1123), times)
			return nil
		},
	}
	c.Flags().StringVar(&r.Name, "name", "", "the device's name; left out, the device says its own")
	c.Flags().StringVar(&r.Datacenter, "datacenter", "", "the device's datacenter (default dc1)")
	c.Flags().DurationVar(&ttl, "ttl", 0, "how long the invite is good for (default 24h)")
	c.Flags().IntVar(&r.Count, "count", 1, "how many devices may join by it")
	c.Flags().StringVar(&r.Pool, "pool", "", "the devices' node pool")
	c.Flags().StringVar(&r.Role, "role", fleet.InviteRoleNode, "node, or gateway: a link that speaks for many devices")
	jsonFlag(c, &asJSON)
	c.AddCommand(e.inviteList(), e.inviteRevoke())
	return c
}

func (e *env) nodeEligibility() *cobra.Command {
	var enable, disable bool
	c := &cobra.Command{
		Use: "eligibility NODE", Short: "Let new work onto a device, or keep it off", Args: exactly("a node"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if enable == disable {
				return usageError("give either -enable or -disable")
			}
			c, err := e.client()
			if err != nil {
				return err
			}
			n, err := e.node(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if _, err := c.SetEligible(cmd.Context(), n.ID, enable); err != nil {
				return e.explain(c, err)
			}
			word := "takes new work"
			if disable {
				word = "takes no new work; what runs keeps running"
			}
			fmt.Fprintf(e.Out, "node %s %s\n", n.Name, word)
			return nil
		},
	}
	c.Flags().BoolVar(&enable, "enable", false, "let new work onto it")
	c.Flags().BoolVar(&disable, "disable", false, "keep new work off it")
	return c
}
