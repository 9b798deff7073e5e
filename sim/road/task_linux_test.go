package road

import (
	"fmt"
	"strings"
	"testing"
	"time"

	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
)

// A guest that would never look up is stopped at once: within stopMax, of the spinGrace that its job would leave it. They are far
// apart, so that a busy machine is not taken for a stop that waits.
const (
	spinGrace = 2 * time.Minute
	stopMax   = 45 * time.Second
)

// A guest in a tight loop delays neither its agent's beats nor its own end.
func TestSpin(t *testing.T) {
	t.Parallel()
	g := newRegion(newRig(t), longLost)
	d := g.join("kiosk-1")
	g.tiny("spin", guests.TinySpin())
	g.write("app.hcl", wasmJob("spinner", "service", "spin", fmt.Sprintf("  kill_timeout = %q", spinGrace)))
	g.ok("run", "app.hcl")
	g.waitLog("spinner", "up")
	d.beatsOn(4 * beatEvery)
	start := time.Now()
	g.ok("stop", "spinner")
	g.waitAlloc("spinner", "ended", ended)
	until(t, settleLimit, "the guest's process gone", func() error {
		if left := pids(t, d); len(left) > 0 {
			return errorf("%v", left)
		}
		return nil
	})
	took := time.Since(start)
	t.Logf("stopped within %s", took)
	if took > stopMax {
		t.Errorf("the stop of a spinning guest took %s, want at most %s", took, stopMax)
	}
}

// beatsOn watches the device for a while. A beat is late after half a period, which one busy core may cost it; one that a guest holds
// up stays late, and then is unreachable.
func (d *device) beatsOn(while time.Duration) {
	d.r.Helper()
	watch := time.NewTimer(while)
	defer watch.Stop()
	for looks, late := 0, 0; ; looks++ {
		select {
		case <-watch.C:
			if 2*late > looks {
				d.r.Errorf("while the guest spins, beats are late %d of %d times", late, looks)
			}
			return
		case <-time.After(pollEvery * 5):
		}
		ctx, cancel := shortly()
		n, _, err := d.r.client.Node(ctx, d.id, nil)
		cancel()
		switch {
		case err != nil:
			d.r.Fatalf("while the guest spins: %v", err)
		case n.LinkState == fleet.LinkLate:
			late++
		case n.LinkState != fleet.LinkOnline:
			d.r.Fatalf("while the guest spins the device is %s", n.LinkState)
		}
	}
}

// A task that fails is tried again as its policy says, then elsewhere, and its last words are in its events.
func TestFailingTask(t *testing.T) {
	t.Parallel()
	longTest(t)
	g := newRegion(newRig(t), longLost)
	g.join("kiosk-1", "-allow-raw-exec")
	g.write("app.hcl", `
job "failing" {
  type = "batch"
  group "main" {
    restart {
      attempts = 2
      interval = "10m"
      delay    = "100ms"
      mode     = "fail"
    }
    reschedule {
      attempts       = 1
      interval       = "1h"
      delay          = "5s"
      delay_function = "constant"
      unlimited      = false
    }
    task "main" {
      driver = "raw_exec"
      config {
        command = "sh"
        args    = ["-c", "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i >&2; done; exit 7"]
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
`)
	g.dunlin("run", "app.hcl") // it may have failed before run looks, or not: both exit codes are right
	first := g.waitAlloc("failing", "failed", func(a *fleet.AllocationListStub) bool { return a.ClientStatus == fleet.ClientFailed })
	task := first.TaskStates["main"]
	if task == nil || task.Restarts != 2 || !task.Failed || task.State != fleet.TaskDead {
		t.Fatalf("task: %+v", task)
	}
	var exit, last string
	for _, e := range task.Events {
		switch e.Type {
		case "Terminated":
			exit = e.DisplayMessage
		case "Last Output":
			last = e.DisplayMessage
		}
	}
	if !strings.Contains(exit, "Exit code: 7") {
		t.Errorf("exit: %q", exit)
	}
	if !strings.HasPrefix(last, "line 11\n") || !strings.HasSuffix(strings.TrimSpace(last), "line 30") {
		t.Errorf("last output: %q", last)
	}
	second := g.waitAlloc("failing", "was rescheduled and failed again", func(a *fleet.AllocationListStub) bool {
		return a.ID != first.ID && a.ClientStatus == fleet.ClientFailed
	})
	full := readJSON[fleet.Allocation](g.rig, "alloc", "status", string(second.ID))
	if full.PreviousAllocation != first.ID || full.RescheduleTracker == nil || len(full.RescheduleTracker.Events) != 1 {
		t.Errorf("the second try says it replaces %q (%+v), want %s", full.PreviousAllocation, full.RescheduleTracker, first.ID)
	}
	if text := g.ok("alloc", "status", string(second.ID[:8])); !strings.Contains(text, "Exit code: 7") || !strings.Contains(text, "line 30") {
		t.Errorf("alloc status hides why: %s", text)
	}
}

// Traps and memory limits end in words, not in numbers alone.
func TestTrap(t *testing.T) {
	t.Parallel()
	longTest(t)
	g := newRegion(newRig(t), longLost)
	g.join("kiosk-1")
	for name, c := range map[string]struct {
		wasm []byte
		want string
	}{"trap": {guests.TinyTrap(), "unreachable"}, "eat": {guests.TinyEat(), "memory"}, "exit": {guests.TinyHello(9), "Exit code: 9"}} {
		g.tiny(name, c.wasm)
		g.write(name+".hcl", fmt.Sprintf(`
job %q {
  type = "batch"
  group "main" {
    restart {
      attempts = 0
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    task "main" {
      driver = "wasm"
      config {
        module = "./%s.wasm"
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
`, name, name))
		g.dunlin("run", name+".hcl")
		a := g.waitAlloc(name, "failed", func(a *fleet.AllocationListStub) bool { return a.ClientStatus == fleet.ClientFailed })
		if text := g.ok("alloc", "status", string(a.ID)); !strings.Contains(text, c.want) {
			t.Errorf("%s: want %q said: %s", name, c.want, text)
		}
	}
}

// Raw processes run only where the device's configuration allows them, and plan says so.
func TestRawExecAllowed(t *testing.T) {
	t.Parallel()
	longTest(t)
	g := newRegion(newRig(t), longLost)
	g.join("kiosk-1")
	g.write("raw.hcl", rawJob)
	g.fails(3, []string{"driver", "raw_exec"}, "plan", "raw.hcl")
	g.fails(3, []string{"driver", "raw_exec"}, "run", "raw.hcl")
	d := g.join("kiosk-2", "-allow-raw-exec")
	if a := g.waitAlloc("raw", "runs", running); a.NodeID != d.id {
		t.Errorf("it runs on %s", a.NodeName)
	}
	if n := len(rawTasks(processes(), d.dir)); n != 1 {
		t.Errorf("%d raw tasks run, want 1", n)
	}
	g.ok("stop", "raw")
	until(t, settleLimit, "the process gone", func() error {
		if left := rawTasks(processes(), d.dir); len(left) > 0 {
			return errorf("%v", left)
		}
		return nil
	})
}
