package road

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

// meterJob wants one serial port, says which it was told, then runs on.
func meterJob(name string) string {
	return fmt.Sprintf(`
job %q {
  group "g" {
    task "main" {
      driver = "raw_exec"
      config {
        command = "sh"
        args    = ["-c", "echo args ${DUNLIN_DEVICE_SERIAL}; env | grep DEVICE_ | sort; exec sleep 100000"]
      }
      resources {
        cpu    = 20
        memory = 16
        device "usb/serial" {
          constraint {
            attribute = "${device.attr.baud}"
            operator  = ">="
            value     = "9600"
          }
        }
      }
    }
  }
}
`, name)
}

// reconfigure starts the agent of a device anew with another serial port in its configuration, and waits until the region knows it.
func (d *device) reconfigure(id string) {
	d.r.Helper()
	const begin, end = "# devices\n", "# end of devices\n"
	config := filepath.Join(d.dir, "agent.hcl")
	before, rest, found := strings.Cut(readFile(d.r, config), begin)
	if found {
		_, rest, _ = strings.Cut(rest, end)
	} else {
		var ok bool
		if before, rest, ok = strings.Cut(before, "client {\n"); !ok {
			d.r.Fatalf("no client block in %s", config)
		}
		before += "client {\n"
	}
	block := fmt.Sprintf("device \"usb/serial/ftdi\" {\n ids = [%q]\n attributes = { baud = \"19200\" }\n}\n", id)
	d.agent.stop()
	if err := os.WriteFile(config, []byte(before+begin+block+end+rest), 0o600); err != nil {
		d.r.Fatal(err)
	}
	d.start()
	until(d.r, settleLimit, d.name+" tells its devices", func() error {
		ctx, cancel := shortly()
		defer cancel()
		n, _, err := d.r.client.Node(ctx, fleet.NodeID(d.name), nil)
		if err != nil {
			return err
		}
		var have []string
		for _, k := range n.NodeResources.Devices {
			for _, x := range k.Instances {
				if k.ID() == "usb/serial/ftdi" {
					have = append(have, x.ID)
				}
			}
		}
		if n.LinkState != fleet.LinkOnline || !slices.Equal(have, []string{id}) {
			return errorf("it is %s and has %v", n.LinkState, have)
		}
		return nil
	})
}

// A device of a node is held by one allocation alone: what finds it held waits, is told whose it is, and gets it when it is free.
// What a node offers follows its agent's configuration, and what holds a device that is not offered any more runs on.
func TestDevices(t *testing.T) {
	t.Parallel()
	longTest(t)
	g := newRegion(newRig(t), longLost)
	d := g.join("kiosk-1", "-allow-raw-exec")
	g.write("meter.hcl", meterJob("meter"))
	g.fails(3, []string{"1 of usb/serial with ${device.attr.baud} >= 9600"}, "run", "meter.hcl")
	g.saysOfBlocked("meter", "1 node has none", `client { device "VENDOR/TYPE/NAME"`)

	d.reconfigure("/dev/ttyUSB0")
	meter := g.waitAlloc("meter", "runs", running)
	g.waitLog("meter", "args /dev/ttyUSB0\nDUNLIN_DEVICE_SERIAL=/dev/ttyUSB0\nNOMAD_DEVICE_SERIAL=/dev/ttyUSB0\n")
	a := readJSON[fleet.Allocation](g.rig, "alloc", "status", string(meter.ID))
	if ds := a.AllocatedResources.Tasks["main"].Devices; len(ds) != 1 || ds[0].Vendor != "usb" || ds[0].Type != "serial" || ds[0].Name != "ftdi" ||
		len(ds[0].DeviceIDs) != 1 || ds[0].DeviceIDs[0] != "/dev/ttyUSB0" {
		t.Errorf("it holds %+v", ds)
	}
	if out := g.ok("node", "status", "kiosk-1"); !strings.Contains(out, "/dev/ttyUSB0  true     meter.g[0] ("+string(meter.ID[:8])+")") {
		t.Errorf("who holds the device is not in\n%s", out)
	}

	held := []string{"kiosk-1 has 0 free of 1; /dev/ttyUSB0 is held by job meter's group g"}
	g.write("late.hcl", meterJob("late"))
	g.fails(3, held, "plan", "late.hcl")
	g.fails(3, held, "run", "late.hcl")
	g.saysOfBlocked("late", held...)
	if x := g.dunlin("explain", "late", "kiosk-1"); !strings.Contains(x.out, held[0]) {
		t.Errorf("explain: %v", x)
	}

	// Another is plugged in, and the one that is held is gone: both run, each with what it was given.
	d.reconfigure("/dev/ttyUSB1")
	g.waitAlloc("late", "runs", running)
	g.waitLog("late", "args /dev/ttyUSB1\n")
	if again := g.waitAlloc("meter", "runs on", running); again.ID != meter.ID {
		t.Errorf("%s was replaced by %s", meter.ID, again.ID)
	}

	// What is given back goes to who waits, and nothing is registered or evaluated for its sake.
	g.write("last.hcl", meterJob("last"))
	g.fails(3, []string{"/dev/ttyUSB1 is held by job late's group g"}, "run", "last.hcl")
	g.ok("stop", "late")
	g.waitAlloc("last", "runs", running)
	g.waitLog("last", "args /dev/ttyUSB1\n")
}
