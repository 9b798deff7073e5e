package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

// A node's devices are listed with who holds each: who should run before who is stopping, orphans too, and nobody that has ended.
func TestDevicesAndTheirHolders(t *testing.T) {
	n := &fleet.Node{Name: "shop"}
	kind := fleet.NodeDeviceResource{Vendor: "usb", Type: "serial", Name: "ftdi", Attributes: fleet.DeviceAttributes{"baud": "9600"}}
	for _, id := range []string{"tty0", "tty1", "tty2", "tty3"} {
		kind.Instances = append(kind.Instances, fleet.NodeDevice{ID: id, Healthy: id != "tty3"})
	}
	n.NodeResources.Devices = []fleet.NodeDeviceResource{kind}
	holds := func(ids ...string) []fleet.AllocatedDevice {
		return []fleet.AllocatedDevice{fleet.NewAllocatedDevice("usb/serial/ftdi", ids)}
	}
	alloc := func(name, desired, client string, ids ...string) *fleet.Allocation {
		return &fleet.Allocation{ID: fleet.AllocID(name + "-0000000"), Name: name, DesiredStatus: desired, ClientStatus: client,
			AllocatedResources: &fleet.AllocatedResources{Tasks: map[string]fleet.AllocatedTask{"t": {Devices: holds(ids...)}}}}
	}
	n.Orphans = []fleet.Orphan{{ID: "deadbeef-0000", Name: "old.g[0]", Devices: holds("tty2")}}
	var out bytes.Buffer
	e := &env{IO: IO{Out: &out}}
	err := e.printDevices(n, deviceHolders(n, []*fleet.Allocation{
		alloc("was.g[0]", fleet.DesiredStop, fleet.ClientRunning, "tty0", "tty1"),
		alloc("is.g[0]", fleet.DesiredRun, fleet.ClientPending, "tty0"),
		alloc("done.g[0]", fleet.DesiredRun, fleet.ClientComplete, "tty3"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{"", "HELD BY", "tty0  true", "tty1  true", "tty2  true", "tty3  false"} {
		if !strings.Contains(strings.Join(strings.Fields(lines[i]), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
	for i, want := range map[int]string{2: "is.g[0] (", 3: "was.g[0] (was.g[0]), stopping", 4: "orphan old.g[0] (deadbeef)", 5: "nobody"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
}
