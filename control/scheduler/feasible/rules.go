package feasible

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dunlin-edge/dunlin/fleet"
)

// datacenterRule wants a node in one of some datacenters, given as globs.
type datacenterRule struct{ globs []string }

func newDatacenterRule(globs []string) datacenterRule { return datacenterRule{globs} }

func (r datacenterRule) all() bool { return slices.Contains(r.globs, "*") }

func (r datacenterRule) appendKey(b []byte, n *fleet.Node) []byte {
	return target{kind: nodeDatacenter}.appendKey(b, n)
}

func (r datacenterRule) holds(n *fleet.Node) bool {
	for _, g := range r.globs {
		if ok, err := path.Match(g, n.Datacenter); ok && err == nil {
			return true
		}
	}
	return false
}

func (r datacenterRule) has(n *fleet.Node) string { return n.Datacenter }
func (r datacenterRule) name() string             { return "datacenter " + strings.Join(r.globs, ", ") }

func (r datacenterRule) refusal(fails []fail) fleet.Refusal {
	wants := strings.Join(r.globs, ", ")
	best := most(fails)
	return counted(fleet.Refusal{
		Rule: "datacenter", Wants: "the job wants " + wants, Has: placeList(fails, "no datacenter"),
		Fix: fmt.Sprintf("add %q to datacenters or add a node in %s", best.has, wants),
	}, fails)
}

// driverRule wants a driver that is there and healthy.
type driverRule struct{ driver string }

type driverState byte

const (
	driverReady driverState = iota
	driverMissing
	driverUnhealthy
)

func (r driverRule) state(n *fleet.Node) (driverState, fleet.DriverInfo) {
	d, ok := n.Drivers[r.driver]
	switch {
	case !ok || !d.Detected:
		return driverMissing, d
	case !d.Healthy:
		return driverUnhealthy, d
	}
	return driverReady, d
}

func (r driverRule) appendKey(b []byte, n *fleet.Node) []byte {
	s, _ := r.state(n)
	return append(b, byte(s))
}

func (r driverRule) holds(n *fleet.Node) bool {
	s, _ := r.state(n)
	return s == driverReady
}

func (r driverRule) has(n *fleet.Node) string {
	if s, _ := r.state(n); s == driverUnhealthy {
		return "it unhealthy"
	}
	return "no such driver"
}

func (r driverRule) name() string { return "driver " + r.driver }

func (r driverRule) refusal(fails []fail) fleet.Refusal {
	out := fleet.Refusal{Rule: "driver", Wants: r.driver, Has: haveList(fails)}
	for _, f := range fails {
		if s, d := r.state(f.example); s == driverUnhealthy {
			why := d.HealthDescription
			if why == "" {
				why = "it gives no reason"
			}
			out.Fix = fmt.Sprintf("repair the driver on %s: %s", f.example.Name, why)
		}
	}
	if out.Fix == "" {
		out.Fix = "install the driver on a device"
		if there := healthyDrivers(fails); len(there) > 0 {
			out.Fix += " or use one that is there: " + strings.Join(there, ", ")
		}
	}
	return counted(out, fails)
}

// healthyDrivers are those of the example nodes, sorted.
func healthyDrivers(fails []fail) []string {
	var out []string
	for _, f := range fails {
		for name, d := range f.example.Drivers {
			if d.Healthy && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out
}
