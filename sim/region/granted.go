package region

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Ports: few numbers, so that many want the same.
const (
	staticPorts   = 2 // from 8080 on
	dynamicsFirst = 20000
	dynamicsLast  = 20004
)

// likely is chance among those that want ports and devices: of every other seed, with
// a source of its own, so that these change nothing of what the others play.
func (u *users) likely(n int) bool { return u.ports != nil && u.ports.IntN(1000) < n }

// network draws what a group asks of its node alone; mostly nothing.
func (u *users) network() []fleet.Network {
	var ports []fleet.Port
	if u.likely(350) {
		ports = append(ports, fleet.Port{Label: "http", Value: 8080 + u.ports.IntN(staticPorts)})
	}
	if u.likely(250) {
		ports = append(ports, fleet.Port{Label: "any"})
	}
	if ports == nil {
		return nil
	}
	return []fleet.Network{{Ports: ports}}
}

// camerasOf are the devices of a machine: of two kinds, so that what is asked for
// overlaps, and few, so that many want the same. Some machines have none.
func camerasOf(i int) []fleet.NodeDeviceResource {
	cameras := func(vendor string, n int) fleet.NodeDeviceResource {
		d := fleet.NodeDeviceResource{Vendor: vendor, Type: "camera", Name: "c"}
		for k := range n {
			d.Instances = append(d.Instances, fleet.NodeDevice{ID: fmt.Sprintf("%s%d", vendor, k), Healthy: true})
		}
		return d
	}
	switch i % 4 {
	case 0:
		return []fleet.NodeDeviceResource{cameras("acme", 2)}
	case 1, 3:
		return []fleet.NodeDeviceResource{cameras("acme", 1), cameras("bolt", 2)}
	}
	return nil
}

// cameras draws which devices a task asks for; mostly none.
func (u *users) cameras() []fleet.RequestedDevice {
	if !u.likely(350) {
		return nil
	}
	d := fleet.RequestedDevice{Name: []string{"camera", "acme/camera", "bolt/camera/c"}[u.ports.IntN(3)]}
	if u.likely(200) {
		d.Count = fleet.Ptr(2)
	}
	if u.likely(300) {
		d.Affinities = []fleet.Affinity{{LTarget: "${device.vendor}", RTarget: "bolt", Weight: fleet.Ptr(50 - 100*u.ports.IntN(2))}}
	}
	out := []fleet.RequestedDevice{d}
	if u.likely(200) {
		out = append(out, fleet.RequestedDevice{Name: "camera"})
	}
	return out
}

// offers reports whether a node has the cameras that a group asks for, whoever holds them.
func offers(n *fleet.Node, g *fleet.TaskGroup) bool {
	for _, d := range g.AllDevices() {
		if !slices.ContainsFunc(n.NodeResources.Devices, func(k fleet.NodeDeviceResource) bool {
			sick := slices.DeleteFunc(slices.Clone(k.Instances), func(x fleet.NodeDevice) bool { return x.Healthy })
			return d.Names(&k) && len(k.Instances)-len(sick) >= *d.Count
		}) {
			return false
		}
	}
	return true
}

// replug makes a camera of some machine sick or well, or takes it out for good. The
// machine's next registration says so.
func (u *users) replug() {
	m := u.s.devices[u.ports.IntN(len(u.s.devices))]
	if len(m.said.NodeResources.Devices) == 0 {
		return
	}
	d := &m.said.NodeResources.Devices[u.ports.IntN(len(m.said.NodeResources.Devices))]
	switch {
	case len(d.Instances) == 0:
		return
	case u.likely(250):
		d.Instances = d.Instances[1:]
	default:
		d.Instances[0].Healthy = !d.Instances[0].Healthy
	}
	m.describe(m.said.Attributes[powerSource])
	m.note("has now %+v", m.said.NodeResources.Devices)
	if m.link != nil {
		m.hangUp("its agent was told of other devices")
	}
}

type heldThing struct {
	node state.NodeKey
	port uint16
	id   string // of a device
}

// heldOnce objects when two that should run hold one port or device of a node, or one
// does not hold what its group asks for. It reads the rows alone.
func (c *checks) heldOnce(v *state.View, index uint64) {
	holders := map[heldThing]*state.Alloc{}
	for a := range v.Allocs() {
		if !a.Holds() {
			continue
		}
		g, err := v.Granted(a).Unpack()
		if want := a.GroupSpec().AllPorts(); err != nil || len(g.Ports) != len(want) {
			c.s.object("entry %d: %s (%s) asks for %d ports and holds %d", index, a.Name(), short(a.ID), len(want), len(g.Ports))
		}
		hold := func(what heldThing) {
			if other := holders[what]; other != nil {
				c.s.object("entry %d gives %+v to %s (%s) and %s (%s)", index, what, other.Name(), short(other.ID), a.Name(), short(a.ID))
			}
			holders[what] = a
		}
		for _, p := range g.Ports {
			hold(heldThing{node: a.Node, port: p.Number})
		}
		cameras := 0
		for _, d := range g.Devices {
			for _, id := range d.IDs {
				cameras++
				hold(heldThing{node: a.Node, id: id})
			}
		}
		for _, d := range a.GroupSpec().AllDevices() {
			cameras -= *d.Count
		}
		if cameras != 0 {
			c.s.object("entry %d: %s (%s) holds %d devices more than it asks for", index, a.Name(), short(a.ID), cameras)
		}
	}
}

// startsAlone objects when a task begins while another allocation's runs there that
// holds the same port or device.
func (c *checks) startsAlone(m *machine, a device.StartTask) {
	for _, id := range slices.Sorted(maps.Keys(m.running)) {
		p := m.running[id]
		if p.in.Alloc != a.Alloc && shares(&p.granted, &a.Granted) {
			c.s.object("device %d starts %s, and %s runs there and holds the same port or device", m.n, instanceID(a.Instance), id)
		}
	}
}

func shares(a, b *wire.Grants) bool {
	for _, p := range a.Ports {
		if slices.ContainsFunc(b.Ports, func(q wire.GrantedPort) bool { return q.Number == p.Number }) {
			return true
		}
	}
	for _, d := range a.Devices {
		for _, id := range d.IDs {
			if slices.ContainsFunc(b.Devices, func(e wire.GrantedDevice) bool { return slices.Contains(e.IDs, id) }) {
				return true
			}
		}
	}
	return false
}

// waitsForOrphan reports whether an orphan of its device holds what an allocation
// is to hold: it waits for as long as nobody stops that one.
func waitsForOrphan(v *state.View, a *state.Alloc) bool {
	mine, err := v.Granted(a).Unpack()
	n := v.Node(a.Node)
	if err != nil || n == nil {
		return false
	}
	for i := range n.Orphans {
		if theirs, err := n.Orphans[i].Granted.Unpack(); err == nil && shares(&mine, &theirs) {
			return true
		}
	}
	return false
}
