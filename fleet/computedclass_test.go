package fleet

import (
	"reflect"
	"testing"
)

// Each field of a node is told by its class, or no rule looks at it.
func TestComputedClassIsComplete(t *testing.T) {
	change := map[string]func(n *Node){
		"Datacenter":  func(n *Node) { n.Datacenter = "x" },
		"NodeClass":   func(n *Node) { n.NodeClass = "x" },
		"NodePool":    func(n *Node) { n.NodePool = "x" },
		"Attributes":  func(n *Node) { n.Attributes = map[string]string{"a": "x"} },
		"Meta":        func(n *Node) { n.Meta = map[string]string{"a": "x"} },
		"Drivers":     func(n *Node) { n.Drivers = map[string]DriverInfo{"wasm": {Detected: true}} },
		"HostVolumes": func(n *Node) { n.HostVolumes = map[string]HostVolume{"v": {}} },
		"NodeResources": func(n *Node) { // its room is counted, by node
			n.NodeResources.Devices = []NodeDeviceResource{{Vendor: "a", Type: "b", Name: "c"}}
		},
	}
	nobodyLooks := map[string]string{
		"ID": "each has its own", "Name": "each has its own", "ReservedResources": "room is counted, by node",
		"Version": "attributes tell it", "LinkTransport": "attributes tell it", "UDPFiltered": "attributes tell it", "NodeBookkeeping": "it is not the agent's",
	}
	plain := (&Node{}).ComputedClass()
	for f := range reflect.TypeFor[Node]().Fields() {
		n := &Node{}
		if _, out := nobodyLooks[f.Name]; !out && change[f.Name] == nil {
			t.Errorf("nothing says whether rules look at %s", f.Name)
		} else if !out {
			if change[f.Name](n); n.ComputedClass() == plain {
				t.Errorf("a node with another %s is of the same class", f.Name)
			}
		}
	}
	if plain == (ComputedClass{}) {
		t.Error("a node has no class")
	}
}

func TestComputedClassLeavesOutWhatIsTheNodesOwn(t *testing.T) {
	node := func(id, host, arch string, healthy bool) ComputedClass {
		return (&Node{
			ID: NodeID(id), Name: id, Attributes: map[string]string{"unique.hostname": host, "cpu.arch": arch}, Meta: map[string]string{"unique.serial": id},
			Drivers: map[string]DriverInfo{"wasm": {Detected: true, Healthy: healthy, HealthDescription: id}},
		}).ComputedClass()
	}
	if node("a", "x", "arm64", true) != node("b", "y", "arm64", true) {
		t.Error("equal nodes are of two classes")
	}
	if node("a", "x", "arm64", true) == node("a", "x", "amd64", true) || node("a", "x", "arm64", true) == node("a", "x", "arm64", false) {
		t.Error("nodes that differ are of one class")
	}
	offers := func(id, model string, healthy bool) ComputedClass {
		n := &Node{}
		n.NodeResources.Devices = []NodeDeviceResource{{Vendor: "a", Type: "b", Name: "c", Attributes: DeviceAttributes{"model": model}, Instances: []NodeDevice{{ID: id, Healthy: healthy}}}}
		return n.ComputedClass()
	}
	if offers("0", "x", true) != offers("1", "x", true) || offers("0", "x", true) == offers("0", "y", true) || offers("0", "x", true) == offers("0", "x", false) {
		t.Error("devices: equal nodes are of two classes, or others of one")
	}
	// What stands beside each other must not run together.
	one, other := (&Node{Meta: map[string]string{"ab": "c"}}).ComputedClass(), (&Node{Meta: map[string]string{"a": "bc"}}).ComputedClass()
	if one == other || (&Node{Attributes: map[string]string{"a": "b"}}).ComputedClass() == (&Node{Meta: map[string]string{"a": "b"}}).ComputedClass() {
		t.Error("names and values run together")
	}
}
