package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/edge/agent"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
)

func (e *env) nodeTraffic() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "traffic [NODE]", Short: "Show what devices' links carried, by class", Args: between(0, "a node"),
		Long: `Shows the bytes on devices' links, IP and UDP headers included. Without a node it
lists all devices, as this server has counted since it started. With a node it
shows each class, and asks the device for its own account, which goes on over
restarts of both and knows the device's budget. Sent and received are the
device's.`,
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
				t, err := c.NodeTraffic(cmd.Context(), n.ID)
				if err != nil {
					return e.explain(c, err)
				}
				if asJSON {
					return e.printJSON(t)
				}
				return e.printTraffic(t)
			}
			all, err := c.NodesTraffic(cmd.Context())
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(all)
			}
			return e.printAllTraffic(all)
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) printAllTraffic(all []*api.NodeTraffic) error {
	if len(all) == 0 {
		fmt.Fprintln(e.Out, "no device has had a link to this server since it started")
		return nil
	}
	t := newTable(e.Out, "ID", "NAME", "THIS LINK", "TODAY", "THIS MONTH", "MOST IN")
	for _, n := range all {
		sum, most := n.Server.Sum(), api.TrafficClass{}
		for _, c := range n.Server.Classes {
			if c.Month.Total() > most.Month.Total() {
				most = c
			}
		}
		t.row(fleet.ShortID(n.NodeID), n.Name, bytesOf(sum.Link), bytesOf(sum.Today), bytesOf(sum.Month), most.Class)
	}
	return t.flush()
}

func (e *env) printTraffic(n *api.NodeTraffic) error {
	book, whose := n.Device, "by the device's own account"
	if book == nil {
		book, whose = n.Server, "as this server counted since it started; the device is not asked: "+n.DeviceError
	}
	if err := pairs(e.Out, "ID", n.NodeID, "Name", n.Name, "Counted", whose, "Budget", budgetWords(n)); err != nil {
		return err
	}
	fmt.Fprintln(e.Out)
	t := newTable(e.Out, "CLASS", "LINK SENT", "RECEIVED", "TODAY SENT", "RECEIVED", "MONTH SENT", "RECEIVED")
	row := func(c api.TrafficClass) {
		t.row(c.Class, size(int64(c.Link.Sent)), size(int64(c.Link.Received)), size(int64(c.Today.Sent)), size(int64(c.Today.Received)),
			size(int64(c.Month.Sent)), size(int64(c.Month.Received)))
	}
	for _, c := range book.Classes {
		row(c)
	}
	row(book.Sum())
	return t.flush()
}

// budgetWords is how a device stands with its budget, in one line.
func budgetWords(n *api.NodeTraffic) string {
	switch {
	case n.Device == nil:
		return "the device knows"
	case n.Budget == 0:
		return "none"
	}
	out := fmt.Sprintf("%s of %s a month used, %s into it", bytesOf(n.Device.Sum().Month), size(int64(n.Budget)), brief(n.MonthPassed.Std()))
	if len(n.Slowed) > 0 {
		out += "; slows " + strings.Join(n.Slowed, ", ")
	}
	return out
}

// trafficLine is the line of node status; empty when there is nothing to say.
func trafficLine(n *api.NodeTraffic) string {
	book := n.Device
	if book == nil {
		book = n.Server
	}
	sum := book.Sum()
	out := fmt.Sprintf("%s today, %s this month", bytesOf(sum.Today), bytesOf(sum.Month))
	if n.Budget > 0 {
		out += "; budget: " + budgetWords(n)
	}
	return out
}

func bytesOf(c api.TrafficCount) string { return size(int64(c.Total())) }

func localTraffic(t *agent.Traffic) string {
	out := fmt.Sprintf("%s on this link, %s today, %s this month", size(int64(t.Link)), size(int64(t.Today)), size(int64(t.Month)))
	if t.Budget != "" {
		out += " of " + t.Budget
	}
	if len(t.Slowed) > 0 {
		out += "; slows " + strings.Join(t.Slowed, ", ")
	}
	return out
}

// trafficTimeout bounds what node status waits for a device's own account.
const trafficTimeout = 3 * time.Second
