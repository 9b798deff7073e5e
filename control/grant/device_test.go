package grant

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"pgregory.net/rapid"
)

var nobody = Holders{View: state.New().View(), Node: &state.Node{}}

func deviceGroup(ds ...fleet.RequestedDevice) *fleet.TaskGroup {
	j := &fleet.Job{ID: "j", TaskGroups: []fleet.TaskGroup{{
		Name: "g", Tasks: []fleet.Task{{Name: "t", Driver: "wasm", Resources: &fleet.Resources{Devices: ds}}},
	}}}
	fleet.Canonicalize(j)
	return &j.TaskGroups[0]
}

func kind(id string, attributes fleet.DeviceAttributes, ids ...string) fleet.NodeDeviceResource {
	parts := strings.Split(id, "/")
	d := fleet.NodeDeviceResource{Vendor: parts[0], Type: parts[1], Name: parts[2], Attributes: attributes}
	for _, x := range ids {
		d.Instances = append(d.Instances, fleet.NodeDevice{ID: strings.TrimPrefix(x, "sick"), Healthy: !strings.HasPrefix(x, "sick")})
	}
	return d
}

func deviceNode(ds ...fleet.NodeDeviceResource) *fleet.Node {
	n := &fleet.Node{Name: "shop"}
	n.NodeResources.Devices = ds
	return n
}

func TestWhatIsGeneralLeavesWhatIsSpecial(t *testing.T) {
	ask := Of(deviceGroup(fleet.RequestedDevice{Name: "gpu"}, fleet.RequestedDevice{Name: "nvidia/gpu"}))
	n := New(deviceNode(kind("nvidia/gpu/a", nil, "n0"), kind("amd/gpu/b", nil, "a0")))
	g, ok := n.Take(ask, 1)
	if why := ask.Differs(&g); !ok || why != "" {
		t.Fatalf("%+v %v %s", g, ok, why)
	}
	if _, again := n.Take(ask, 1); again {
		t.Fatal("what is held was given out again")
	}
	if l := n.Lacks(ask, nobody); len(l) != 2 || !strings.HasPrefix(l[0].Has, "shop has 0 free of 1; n0 is held by ") || l[0].Dimension != "device gpu" {
		t.Fatalf("%+v", l)
	}
}

func TestRulesOfDevices(t *testing.T) {
	big := fleet.Constraint{LTarget: "${device.attr.memory}", RTarget: "8 GiB", Operand: ">="}
	ask := Of(deviceGroup(fleet.RequestedDevice{Name: "gpu", Constraints: []fleet.Constraint{big}}))
	small := New(deviceNode(kind("nvidia/gpu/a", fleet.DeviceAttributes{"memory": "4096 MiB"}, "n0")))
	if small.Room(ask, 1) != 0 {
		t.Error("a device of 4 GiB is given to who wants 8")
	}
	sick := New(deviceNode(kind("nvidia/gpu/a", fleet.DeviceAttributes{"memory": "16 GiB"}, "sickn0", "n1")))
	g, ok := sick.Take(ask, 1)
	if !ok || g.Devices[0].IDs[0] != "n1" || sick.Room(ask, 1) != 0 {
		t.Errorf("%+v %v", g, ok)
	}
	if why := small.Missing(&g); !strings.Contains(why, "n1 (nvidia/gpu/a) is not offered by node shop") {
		t.Error(why)
	}
	if why := sick.Missing(&g); why != "" {
		t.Error(why)
	}
	if why := sick.Clash(&g); !strings.Contains(why, "device n1 (nvidia/gpu/a) is held on node shop") {
		t.Error(why)
	}
}

// A request gets what it likes best of what is free, and says before how much it will.
func TestWhatIsLikedIsGivenFirst(t *testing.T) {
	like := func(model string, weight int) fleet.Affinity {
		return fleet.Affinity{LTarget: "${device.model}", RTarget: model, Weight: &weight}
	}
	ask := Of(deviceGroup(fleet.RequestedDevice{Name: "gpu", Affinities: []fleet.Affinity{like("b", 50), like("c", -50)}}))
	n := New(deviceNode(kind("x/gpu/c", nil, "c0"), kind("x/gpu/a", nil, "a0"), kind("x/gpu/b", nil, "b0", "b1")))
	if got := fmt.Sprint(n.Likes(ask, 9, 1000)); got != "[500 500 0 -500]" || !ask.Prefers() {
		t.Fatal(got)
	}
	for _, want := range []string{"b0", "b1", "a0", "c0"} {
		if g, ok := n.Take(ask, 1); !ok || g.Devices[0].IDs[0] != want {
			t.Fatalf("%+v %v, want %s", g, ok, want)
		}
	}
	plain := Of(deviceGroup(fleet.RequestedDevice{Name: "gpu"}))
	if plain.Prefers() || n.Likes(plain, 9, 1000) != nil || (*Ask)(nil).Prefers() {
		t.Error("who has no wish prefers nothing")
	}
	// Two requests that would like the same: the one with fewer kinds to choose from has it, and the sum is over both.
	both := Of(deviceGroup(fleet.RequestedDevice{Name: "gpu", Affinities: []fleet.Affinity{like("b", 100)}},
		fleet.RequestedDevice{Name: "x/gpu/b", Affinities: []fleet.Affinity{like("b", 100)}}))
	m := New(deviceNode(kind("x/gpu/a", nil, "a0"), kind("x/gpu/b", nil, "b0")))
	if got := fmt.Sprint(m.Likes(both, 9, 1000)); got != "[500]" {
		t.Fatal(got)
	}
}

// What a group may ask for at most fits into what an allocation may hold.
func TestTheLargestGrantFits(t *testing.T) {
	long := func(prefix string, n int) string { return prefix + strings.Repeat("x", n-len(prefix)) }
	var g wire.Grants
	for i := range fleet.PortsMax {
		g.Ports = append(g.Ports, wire.GrantedPort{Label: long(fmt.Sprint(i), fleet.PortLabelBytesMax), Number: 65535})
	}
	for i := range fleet.DevicesMax {
		d := wire.GrantedDevice{Task: long("t", fleet.JobIDBytesMax), Device: long("a/b/", fleet.DeviceNameBytesMax)}
		for k := range fleet.DeviceInstancesMax / fleet.DevicesMax {
			d.IDs = append(d.IDs, long(fmt.Sprint(i, k), fleet.DeviceIDBytesMax))
		}
		g.Devices = append(g.Devices, d)
	}
	packed := g.Pack()
	if len(packed) > wire.GrantedBytesMax {
		t.Errorf("%d bytes, and at most %d are read", len(packed), wire.GrantedBytesMax)
	}
	if _, err := packed.Unpack(); err != nil {
		t.Error(err)
	}
	g.Devices = []wire.GrantedDevice{{Task: "t", Device: "a/b/c", IDs: make([]string, fleet.DeviceInstancesMax)}}
	if _, err := g.Pack().Unpack(); err != nil {
		t.Error(err)
	}
}

// A node is asked for devices until it has none, and some are given back. Nothing is
// given out that a naive set has, and as often as there was said to be room.
func TestDevicesAgainstANaiveSet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var kinds []fleet.NodeDeviceResource
		sick := map[string]bool{}
		for i, id := range []string{"nvidia/gpu/a", "amd/gpu/b", "usb/serial/c"} {
			d := kind(id, nil)
			for k := range rapid.IntRange(0, 3).Draw(rt, "instances") {
				x := fleet.NodeDevice{ID: fmt.Sprint(i, "-", k), Healthy: rapid.IntRange(0, 4).Draw(rt, "health") > 0}
				sick[x.ID] = !x.Healthy
				d.Instances = append(d.Instances, x)
			}
			kinds = append(kinds, d)
		}
		n, taken := New(deviceNode(kinds...)), map[string]bool{}
		var out []wire.Grants
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			if len(out) > 0 && rapid.IntRange(0, 2).Draw(rt, "back") == 0 {
				i := rapid.IntRange(0, len(out)-1).Draw(rt, "which")
				n.ReleasePacked(out[i].Pack())
				for _, d := range out[i].Devices {
					for _, id := range d.IDs {
						delete(taken, id)
					}
				}
				out = append(out[:i], out[i+1:]...)
				continue
			}
			var ds []fleet.RequestedDevice
			for range rapid.IntRange(1, 2).Draw(rt, "requests") {
				name := rapid.SampledFrom([]string{"gpu", "nvidia/gpu", "usb/serial/c", "tpu"}).Draw(rt, "name")
				d := fleet.RequestedDevice{Name: name, Count: fleet.Ptr(rapid.IntRange(1, 2).Draw(rt, "count"))}
				if rapid.Bool().Draw(rt, "wishes") {
					d.Affinities = []fleet.Affinity{{LTarget: "${device.vendor}", RTarget: "amd", Weight: fleet.Ptr(rapid.SampledFrom([]int{-50, 50}).Draw(rt, "weight"))}}
				}
				ds = append(ds, d)
			}
			ask := Of(deviceGroup(ds...))
			room := n.Room(ask, 5)
			if lacks := n.Lacks(ask, nobody); (len(lacks) == 0) != (room > 0) {
				rt.Fatalf("room for %d, and it lacks %+v", room, lacks)
			}
			if likes := n.Likes(ask, room, 1000); ask.Prefers() && len(likes) != room {
				rt.Fatalf("room for %d, and %d are liked", room, len(likes))
			}
			for k := range room + 1 {
				g, ok := n.Take(ask, 1)
				if ok != (k < room) && room < 5 {
					rt.Fatalf("room for %d, and taking the next said %v", room, ok)
				}
				if !ok {
					break
				}
				if why := ask.Differs(&g); why != "" {
					rt.Fatal(why)
				}
				for _, d := range g.Devices {
					for _, id := range d.IDs {
						if taken[id] || sick[id] {
							rt.Fatalf("%s was given out, and is held or sick", id)
						}
						taken[id] = true
					}
				}
				out = append(out, g)
			}
		}
	})
}
