package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// NetworkHost is the one network mode that is carried out: tasks use the network of their device, and the group is
// given port numbers there that nobody else is.
const NetworkHost = "host"

// Limits and defaults of ports.
const (
	PortsMax          = 64 // of one group
	PortLabelBytesMax = 63
	MinDynamicPort    = 20000 // where nodes take dynamic ports from, unless they say otherwise
	MaxDynamicPort    = 32000
)

// Network is what a group asks of the network of its node: ports, each under a
// label. Static ones stand in ReservedPorts, as in the public API.
type Network struct {
	Mode          string `hcl:"mode" change:"restart"`
	DynamicPorts  []Port `json:",omitempty" change:"restart"`
	ReservedPorts []Port `json:",omitempty" change:"restart"`
	// Ports is how job files write both: one with a static number is reserved.
	// SortPorts moves them into the lists above.
	Ports []Port `json:"-" hcl:"port,block" change:"none"`

	NetworkUncarried `change:"restart"`
}

// Port is one port of a group.
type Port struct {
	Label string `hcl:",label" change:"restart"`
	Value int    `json:",omitempty" hcl:"static" change:"restart"` // the number; 0: any that is free
	// To is the number inside the task, for drivers that map ports; 0: the same.
	To int `json:",omitempty" hcl:"to" change:"restart"`

	PortUncarried `change:"restart"`
}

// NetworkUncarried are network fields of the public API not carried out yet.
type NetworkUncarried struct {
	Hostname json.RawMessage `json:",omitempty" hcl:"hostname,json"`
	DNS      json.RawMessage `json:",omitempty" hcl:"dns,json"`
	CNI      json.RawMessage `json:",omitempty" hcl:"cni,json"`
	MBits    json.RawMessage `json:",omitempty" hcl:"mbits,json"`
	Device   json.RawMessage `json:",omitempty"`
	CIDR     json.RawMessage `json:",omitempty"`
	IP       json.RawMessage `json:",omitempty"`
}

// PortUncarried are port fields of the public API not carried out yet.
type PortUncarried struct {
	HostNetwork     json.RawMessage `json:",omitempty" hcl:"host_network,json"`
	IgnoreCollision json.RawMessage `json:",omitempty" hcl:"ignore_collision,json"`
}

// AllPorts yields the ports of a canonical group: static ones first, each list by label.
func (g *TaskGroup) AllPorts() (out []Port) {
	for i := range g.Networks {
		out = append(append(out, g.Networks[i].ReservedPorts...), g.Networks[i].DynamicPorts...)
	}
	return out
}

// Wants reports whether an allocation of the group holds something of its node
// alone: ports or devices.
func (g *TaskGroup) Wants() bool {
	for i := range g.Networks {
		if n := &g.Networks[i]; len(n.ReservedPorts)+len(n.DynamicPorts) > 0 {
			return true
		}
	}
	for range g.AllDevices() {
		return true
	}
	return false
}

func canonicalNetworks(ns []Network) []Network {
	for i := range ns {
		n := &ns[i]
		setDefault(&n.Mode, NetworkHost)
		n.SortPorts()
		n.ReservedPorts, n.DynamicPorts = canonicalPorts(n.ReservedPorts), canonicalPorts(n.DynamicPorts)
		clearEmpty(&n.NetworkUncarried)
	}
	return emptyNil(ns)
}

// SortPorts moves what a job file wrote into the lists of the public API.
func (n *Network) SortPorts() {
	for _, p := range n.Ports {
		if p.Value != 0 {
			n.ReservedPorts = append(n.ReservedPorts, p)
		} else {
			n.DynamicPorts = append(n.DynamicPorts, p)
		}
	}
	n.Ports = nil
}

// MarshalJSON writes ports that are not sorted yet as if they were: a copy of a job
// goes through JSON, and would lose them.
func (n Network) MarshalJSON() ([]byte, error) {
	type plain Network // without this method
	n.DynamicPorts, n.ReservedPorts = slices.Clip(n.DynamicPorts), slices.Clip(n.ReservedPorts)
	n.SortPorts()
	return json.Marshal(plain(n))
}

// canonicalPorts sorts by label: the order of ports means nothing, and what an
// allocation holds stays valid under a version that only writes them in another.
func canonicalPorts(ps []Port) []Port {
	for i := range ps {
		if ps[i].To == -1 { // the field's word for "the same number"
			ps[i].To = 0
		}
		clearEmpty(&ps[i].PortUncarried)
	}
	slices.SortStableFunc(ps, func(a, b Port) int { return cmp.Compare(a.Label, b.Label) })
	return emptyNil(ps)
}

var portLabel = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

func (c *checker) networks(path string, g *TaskGroup) {
	if len(g.Networks) > 1 {
		c.refuse(path, fmt.Sprintf("group %q has %d network blocks", g.Name, len(g.Networks)), "write all ports into one")
	}
	if n := len(g.AllPorts()); n > PortsMax {
		c.refuse(path, fmt.Sprintf("group %q has %d ports", g.Name, n), fmt.Sprintf("at most %d", PortsMax))
	}
	labels, numbers := map[string]bool{}, map[int]string{}
	for i := range g.Networks {
		n, p := &g.Networks[i], fmt.Sprintf("%s[%d]", path, i)
		if n.Mode != NetworkHost {
			c.refuse(p+".Mode", fmt.Sprintf("network mode %q is not carried out: tasks use the network of their device", n.Mode), `write mode = "host"`)
		}
		c.checkUncarried("Network", p, &n.NetworkUncarried)
		for _, list := range []struct {
			name   string
			ports  []Port
			static bool
		}{{"ReservedPorts", n.ReservedPorts, true}, {"DynamicPorts", n.DynamicPorts, false}} {
			for k := range list.ports {
				c.port(fmt.Sprintf("%s.%s[%d]", p, list.name, k), &list.ports[k], list.static, labels, numbers)
			}
		}
	}
}

func (c *checker) port(path string, p *Port, static bool, labels map[string]bool, numbers map[int]string) {
	folded := strings.ToLower(p.Label) // on a device that folds the case of variables they would be one
	switch {
	case !portLabel.MatchString(p.Label) || len(p.Label) > PortLabelBytesMax:
		c.refuse(path+".Label", fmt.Sprintf("%q is no label of a port: it becomes part of NOMAD_PORT_<label>", p.Label),
			fmt.Sprintf("use letters, digits and _, at most %d", PortLabelBytesMax))
	case labels[folded]:
		c.refuse(path+".Label", fmt.Sprintf("two ports are named %q", p.Label), "give each its own label")
	}
	labels[folded] = true
	switch other, taken := numbers[p.Value]; {
	case static && (p.Value < 1 || p.Value > 65535):
		c.refuse(path+".Value", fmt.Sprintf("static = %d is no port", p.Value), "use 1 to 65535, or leave static out for one that is free")
	case static && taken:
		c.refuse(path+".Value", fmt.Sprintf("ports %q and %q both want %d", other, p.Label, p.Value), "give each its own number")
	case static:
		numbers[p.Value] = p.Label
	case p.Value != 0:
		c.refuse(path+".Value", fmt.Sprintf("dynamic port %q names the number %d", p.Label, p.Value), "put it into ReservedPorts, or leave the value out")
	}
	switch {
	case p.To < 0 || p.To > 65535:
		c.refuse(path+".To", fmt.Sprintf("to = %d is no port", p.To), "use 1 to 65535, or leave it out for the same number")
	case p.To > 0 && p.To != p.Value:
		c.warn(path+".To", fmt.Sprintf("to = %d counts for drivers that map ports; others find the device's number in NOMAD_PORT_%s and must listen there", p.To, p.Label))
	}
	c.checkUncarried("Port", path, &p.PortUncarried)
}

// PortRange is port numbers, both ends included.
type PortRange struct{ From, To uint16 }

// ParsePorts reads a list of port numbers and ranges such as "22,80,8500-8600". The
// ranges come sorted, and none touches another.
func ParsePorts(list string) ([]PortRange, error) {
	var out []PortRange
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		a, errA := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
		b, errB := strconv.ParseUint(strings.TrimSpace(to), 10, 16)
		if errA != nil || errB != nil || a < 1 || b < a {
			return nil, fmt.Errorf("%q is neither a port nor a range of them; write for example \"22,80,8500-8600\"", part)
		}
		out = append(out, PortRange{uint16(a), uint16(b)})
	}
	slices.SortFunc(out, func(a, b PortRange) int { return cmp.Compare(a.From, b.From) })
	merged := out[:0]
	for _, r := range out {
		if n := len(merged); n > 0 && int(r.From) <= int(merged[n-1].To)+1 {
			merged[n-1].To = max(merged[n-1].To, r.To)
		} else {
			merged = append(merged, r)
		}
	}
	return merged, nil
}

// DynamicPorts is where ports without a number come from on the node. A range
// that is none has no port: From is above To.
func (n *Node) DynamicPorts() PortRange {
	from, to := cmp.Or(n.NodeResources.MinDynamicPort, MinDynamicPort), cmp.Or(n.NodeResources.MaxDynamicPort, MaxDynamicPort)
	if from < 1 || to > 65535 || from > to {
		return PortRange{1, 0}
	}
	return PortRange{uint16(from), uint16(to)}
}
