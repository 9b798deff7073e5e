package grant

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Node is what is held of one node.
type Node struct {
	spec     *fleet.Node
	ports    map[uint16]int // how often each is held
	dynamic  fleet.PortRange
	reserved []fleet.PortRange

	instances map[string]int // by ID, how often each is held; nil: none is
	offered   []fleet.NodeDeviceResource
	read      bool // offered was read
}

// New is a node of which nothing is held.
func New(spec *fleet.Node) *Node {
	n := &Node{spec: spec, ports: map[uint16]int{}, dynamic: spec.DynamicPorts()}
	// The agent checked it; of a node that tells nonsense nothing is reserved.
	n.reserved, _ = fleet.ParsePorts(spec.ReservedResources.Networks.ReservedHostPorts)
	return n
}

// Load is a node with what allocations, orphans and plans in flight hold of it.
// gone leaves allocations out, as those that the same plan stops; nil: none.
func Load(v *state.View, row *state.Node, inFlight wire.Granted, gone func(state.AllocKey) bool) *Node {
	n := New(row.Spec)
	for key, g := range v.Held(row.Key) {
		if gone == nil || !gone(key) {
			n.HoldPacked(g)
		}
	}
	for i := range row.Orphans {
		n.HoldPacked(row.Orphans[i].Granted)
	}
	n.HoldPacked(inFlight)
	return n
}

// HoldPacked counts in what one or several allocations hold.
func (n *Node) HoldPacked(g wire.Granted) { n.packed(g, 1) }

// ReleasePacked counts out what was counted in.
func (n *Node) ReleasePacked(g wire.Granted) { n.packed(g, -1) }

func (n *Node) packed(g wire.Granted, by int) {
	if g == "" {
		return
	}
	all, err := g.UnpackAll()
	if err != nil {
		panic("grant: what is stored was checked when it was read: " + err.Error())
	}
	for i := range all {
		n.count(&all[i], by)
	}
}

// Hold counts in what an allocation holds.
func (n *Node) Hold(g *wire.Grants) { n.count(g, 1) }

func (n *Node) count(g *wire.Grants, by int) {
	for _, p := range g.Ports {
		if n.ports[p.Number] += by; n.ports[p.Number] <= 0 {
			delete(n.ports, p.Number)
		}
	}
	n.countDevices(g.Devices, by)
}

func (n *Node) isReserved(port uint16) bool {
	for _, r := range n.reserved {
		if port >= r.From && port <= r.To {
			return true
		}
	}
	return false
}

func (n *Node) free(port uint16) bool { return n.ports[port] == 0 && !n.isReserved(port) }

// freeDynamic counts the free ports of the dynamic range, as if used were taken too.
func (n *Node) freeDynamic(used []wire.GrantedPort) int {
	if n.dynamic.From > n.dynamic.To {
		return 0
	}
	in := func(p uint16) bool { return p >= n.dynamic.From && p <= n.dynamic.To }
	free := int(n.dynamic.To) - int(n.dynamic.From) + 1
	for p := range n.ports { // a sum: no order reaches it
		if in(p) {
			free--
		}
	}
	for _, r := range n.reserved {
		from, to := max(r.From, n.dynamic.From), min(r.To, n.dynamic.To)
		if from > to {
			continue
		}
		free -= int(to) - int(from) + 1
		for p := range n.ports {
			if p >= from && p <= to {
				free++ // taken twice over
			}
		}
	}
	for _, p := range used {
		if in(p.Number) && n.free(p.Number) {
			free--
		}
	}
	return free
}

// Room is how many allocations that ask so the node can take beside what is held,
// at most limit. A nil Ask takes nothing.
func (n *Node) Room(a *Ask, limit int) int {
	if a == nil {
		return limit
	}
	for _, p := range a.static {
		if !n.free(p.Number) {
			return 0
		}
	}
	room := limit
	if len(a.static) > 0 {
		room = min(room, 1)
	}
	if len(a.dynamic) > 0 {
		room = min(room, n.freeDynamic(a.static)/len(a.dynamic))
	}
	return n.deviceRoom(a, room)
}

// Take picks what one allocation that asks so holds, and counts it in. It reports
// false, and changes nothing, when something is not free.
func (n *Node) Take(a *Ask, seed uint64) (out wire.Grants, ok bool) {
	if a == nil {
		return out, true
	}
	if n.Room(a, 1) == 0 {
		return out, false
	}
	if len(a.devices) > 0 {
		out.Devices, _ = n.picking(a).pick() // there is room
	}
	out.Ports = append(out.Ports, a.static...)
	for _, p := range a.static {
		n.ports[p.Number]++
	}
	if len(a.dynamic) > 0 {
		size := uint64(n.dynamic.To) - uint64(n.dynamic.From) + 1
		// From a point that the seed draws: a number that was just given back may still
		// be in use by those who connected to it.
		at := seed % size
		for _, label := range a.dynamic {
			for !n.free(n.dynamic.From + uint16(at)) {
				at = (at + 1) % size
			}
			port := n.dynamic.From + uint16(at)
			n.ports[port]++
			out.Ports = append(out.Ports, wire.GrantedPort{Label: label, Number: port})
		}
	}
	return out, true
}

// Clash says, in words, what of g somebody else holds; empty: nothing.
func (n *Node) Clash(g *wire.Grants) string {
	for i, p := range g.Ports {
		if n.isReserved(p.Number) {
			return fmt.Sprintf("port %d is reserved on node %s", p.Number, n.spec.Name)
		}
		if n.ports[p.Number] > 0 {
			return fmt.Sprintf("port %d is held on node %s", p.Number, n.spec.Name)
		}
		for _, other := range g.Ports[:i] {
			if other.Number == p.Number {
				return fmt.Sprintf("port %d is given out twice, as %s and %s", p.Number, other.Label, p.Label)
			}
		}
	}
	return n.deviceClash(g)
}
