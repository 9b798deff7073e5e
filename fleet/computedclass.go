package fleet

import (
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unique"
)

// ComputedClass is equal for nodes that are equal in all that rules look at and that nodes can share, so that equal nodes are
// checked once; the field's term. The zero value is no class.
type ComputedClass struct{ of unique.Handle[string] }

// OwnPrefix begins the names of attributes and meta keys that each node has a value of its own for. Classes leave them out, and with
// them the node's ID and name: else there would be as many classes as nodes.
const OwnPrefix = "unique."

// ComputedClass is the class of a node as its agent describes it.
func (n *Node) ComputedClass() ComputedClass {
	b := make([]byte, 0, 1<<10)
	text := func(all ...string) {
		for _, s := range all {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	}
	truth := func(is bool) {
		if b = append(b, 0); is {
			b[len(b)-1] = 1
		}
	}
	text(n.Datacenter, n.NodeClass, n.NodePool)
	for _, values := range []map[string]string{n.Attributes, n.Meta} {
		for _, k := range slices.Sorted(maps.Keys(values)) {
			if !strings.HasPrefix(k, OwnPrefix) {
				text(k, values[k])
			}
		}
		text("") // no name is empty: the end
	}
	for _, k := range slices.Sorted(maps.Keys(n.Drivers)) {
		text(k)
		truth(n.Drivers[k].Detected)
		truth(n.Drivers[k].Healthy)
	}
	text("")
	for _, k := range slices.Sorted(maps.Keys(n.HostVolumes)) {
		text(k)
		truth(n.HostVolumes[k].ReadOnly)
	}
	text("")
	if len(n.NodeResources.Devices) > 0 { // what is found besides is in the attributes
		n.deviceClass(text)
	}
	return ComputedClass{unique.Make(string(b))}
}

// deviceClass tells of each kind how many there are, and how many are healthy; their IDs are the node's own.
func (n *Node) deviceClass(text func(...string)) {
	for _, d := range n.Devices() {
		healthy := 0
		for _, x := range d.Instances {
			if x.Healthy {
				healthy++
			}
		}
		text(d.Vendor, d.Type, d.Name, strconv.Itoa(len(d.Instances)), strconv.Itoa(healthy))
		for _, k := range slices.Sorted(maps.Keys(d.Attributes)) {
			text(k, d.Attributes[k])
		}
		text("")
	}
}
