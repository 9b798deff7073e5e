package grant

import (
	"fmt"
	"slices"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Ask is what one allocation of a group wants to hold.
type Ask struct {
	static  []wire.GrantedPort
	dynamic []string // labels
	devices []device // in the order of tasks, and of the requests of each
	weight  int64    // of all affinities of devices; 0: none is preferred
}

// Of is what a group of a canonical job asks for; nil: nothing.
func Of(g *fleet.TaskGroup) *Ask {
	if !g.Wants() {
		return nil
	}
	a := &Ask{devices: devicesOf(g)}
	for i := range a.devices {
		a.weight += a.devices[i].Weight()
	}
	for _, p := range g.AllPorts() {
		if p.Value != 0 {
			a.static = append(a.static, wire.GrantedPort{Label: p.Label, Number: uint16(p.Value)})
		} else {
			a.dynamic = append(a.dynamic, p.Label)
		}
	}
	return a
}

// Prefers reports whether it matters which devices are given.
func (a *Ask) Prefers() bool { return a != nil && a.weight > 0 }

// Differs says how what a placement was given is not what the group asks for;
// empty: it is. A nil Ask wants nothing.
func (a *Ask) Differs(g *wire.Grants) string {
	if a == nil {
		a = &Ask{}
	}
	if len(g.Ports) != len(a.static)+len(a.dynamic) {
		return fmt.Sprintf("it holds %d ports and asks for %d", len(g.Ports), len(a.static)+len(a.dynamic))
	}
	for _, want := range a.static {
		if !slices.Contains(g.Ports, want) {
			return fmt.Sprintf("it does not hold port %d as %s", want.Number, want.Label)
		}
	}
	for _, label := range a.dynamic {
		if !slices.ContainsFunc(g.Ports, func(p wire.GrantedPort) bool { return p.Label == label }) {
			return "it holds no port as " + label
		}
	}
	return a.devicesDiffer(g)
}
