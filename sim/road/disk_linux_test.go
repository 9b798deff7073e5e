package road

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/edge/agent"
	"github.com/dunlin-edge/dunlin/fleet"
)

const smallDiskOptions = "size=16m,mode=0755"

// newSmallDevice joins a device whose data folder is a small file system of its own. Its host's folder is another one, as when it
// is in /run. Two tasks run on it.
func newSmallDevice(t *testing.T) (g *region, d *device) {
	g = newRegion(newRig(t), longLost)
	dir := g.path("kiosk-1")
	mount(t, dir, smallDiskOptions)
	mount(t, filepath.Join(dir, "host"), "size=4m,mode=0700")
	t.Cleanup(func() { killBelow(t, dir) }) // before both are unmounted
	d = g.join("kiosk-1", "-allow-raw-exec")
	// They print nothing: a file that is open for writing keeps a file system from becoming read-only by order.
	g.write("app.hcl", strings.Replace(rawJob, `job "raw"`, `job "quiet"`, 1))
	g.write("raw.hcl", rawJob)
	g.write("second.hcl", strings.Replace(rawJob, `job "raw"`, `job "second"`, 1))
	g.ok("run", "app.hcl")
	g.ok("run", "raw.hcl")
	d.waitState("two run, and the region knows", func(s *agent.Status) error {
		if s.Untold > 0 {
			return errorf("%d untold", s.Untold)
		}
		return runs(s, 2)
	})
	d.waitWritten(2)
	return g, d
}

func mount(t *testing.T, dir, options string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("dunlin-test", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("no file system of one's own can be mounted (%v): run as root to try a full and a read-only disk", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// unwritten checks that a device whose disk takes nothing goes on with what it runs, says so in its log, and neither acknowledges nor
// starts a new job; and that it does both once well makes the disk take something again.
func unwritten(t *testing.T, g *region, d *device, word string, well func()) {
	t.Helper()
	before := pids(t, d)
	x := g.start("second-run", "run", "-detach", "second.hcl")
	logged := func() error {
		b, err := os.ReadFile(g.path("kiosk-1.log"))
		if err != nil {
			return err
		}
		if !strings.Contains(string(b), "state cannot be written") || !strings.Contains(string(b), word) {
			return errorf("no word of it in the agent's log")
		}
		return nil
	}
	until(t, settleLimit, "the agent's word that its state cannot be written", logged)
	<-time.After(2 * beatEvery)
	same(t, "processes while the disk takes nothing", before, pids(t, d))
	a := g.waitAlloc("second", "is placed", func(a *fleet.AllocationListStub) bool { return a.DesiredStatus == fleet.DesiredRun })
	if a.ClientStatus != fleet.ClientPending {
		t.Errorf("a job that is not on the device's disk is told as %s", a.ClientStatus)
	}
	well()
	g.waitAlloc("second", "runs", running)
	<-x.done
	after := pids(t, d)
	for id, p := range before {
		if after[id] != p {
			t.Errorf("task %s is now %q, was %q", id, after[id], p)
		}
	}
}

// A full disk stops nothing that runs and loses nothing that was accepted; with room, what waited is taken.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	longTest(t)
	g, d := newSmallDevice(t)
	ballast := filepath.Join(d.dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	// The ends of both journals have room in their last blocks for small changes; a big one is what does not fit.
	g.write("second.hcl", strings.Replace(readFile(t, g.path("second.hcl")), "driver =", fmt.Sprintf("meta {\n    text = %q\n  }\n  driver =", strings.Repeat("x", 30<<10)), 1))
	unwritten(t, g, d, "no space left", func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	})
}

// A device that comes up with a read-only file system reads what it has, takes up what runs, and goes on when the disk is well again.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	longTest(t)
	g, d := newSmallDevice(t)
	d.agent.kill()
	remount := func(flags uintptr) error {
		return syscall.Mount("dunlin-test", d.dir, "tmpfs", syscall.MS_REMOUNT|flags, smallDiskOptions)
	}
	if err := remount(syscall.MS_RDONLY); err != nil {
		t.Fatal(err)
	}
	d.start()
	d.waitState("both taken up", func(s *agent.Status) error { return runs(s, 2) })
	unwritten(t, g, d, "read-only file system", func() {
		if err := remount(0); err != nil {
			t.Fatal(err)
		}
	})
}
