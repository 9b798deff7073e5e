package road

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

// heldPort is below where dynamic ports are taken from. No task listens on it: both devices are this machine, which has each
// number once, and who holds a number is for the region to say.
const heldPort = 8099

// portJob says what its task was told of its ports, then runs on.
func portJob(name string, count int) string {
	return fmt.Sprintf(`
job %q {
  group "g" {
    count = %d
    network {
      port "http" {
        static = %d
      }
      port "metrics" {}
    }
    task "main" {
      driver = "raw_exec"
      config {
        command = "sh"
        args    = ["-c", "echo args ${NOMAD_PORT_http}; env | grep -E '^NOMAD_(PORT|ADDR)_' | sort; exec sleep 100000"]
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
`, name, count, heldPort)
}

// A static port is held by one allocation of a device alone: what finds it held waits, is told whose it is, and gets it when it
// is free. Tasks find their ports in arguments and environment.
func TestPorts(t *testing.T) {
	t.Parallel()
	longTest(t)
	g := newRegion(newRig(t), longLost)
	g.join("kiosk-1", "-allow-raw-exec")
	g.join("kiosk-2", "-allow-raw-exec")
	held := []string{fmt.Sprintf("port %d is held by job web's group g on kiosk-", heldPort)}

	g.write("web.hcl", portJob("web", 3))
	g.fails(3, held, "run", "web.hcl")
	g.waitAllRunning("web", 2)
	all, err := g.allocs("web")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].NodeID == all[1].NodeID {
		t.Fatalf("want one on each of two devices, there are\n  %s", describe(all))
	}
	for _, a := range all {
		g.checkPorts(a.ID)
	}
	g.saysOfBlocked("web", held...)

	g.write("late.hcl", portJob("late", 1))
	g.fails(3, held, "plan", "late.hcl")
	g.fails(3, held, "run", "late.hcl")
	g.saysOfBlocked("late", held...)

	// One of web goes, and nothing is registered or evaluated for the sake of late.
	g.write("web.hcl", portJob("web", 1))
	g.ok("run", "web.hcl")
	gone := g.waitAlloc("web", "gave its port back", func(a *fleet.AllocationListStub) bool { return ended(a) && a.DesiredStatus == fleet.DesiredStop })
	late := g.waitAlloc("late", "runs", running)
	if late.NodeID != gone.NodeID {
		t.Errorf("late runs on %s, where port %d is held; it is free on %s", late.NodeName, heldPort, gone.NodeName)
	}
	g.checkPorts(late.ID)
	g.waitAllRunning("web", 1)
}

// checkPorts compares the ports that the region says an allocation holds with what its task was told of them.
func (g *region) checkPorts(id fleet.AllocID) {
	g.Helper()
	a := readJSON[fleet.Allocation](g.rig, "alloc", "status", string(id))
	told := []string{fmt.Sprintf("args %d\n", heldPort)}
	number := map[string]int{}
	for _, p := range a.AllocatedResources.Shared.Ports {
		number[p.Label] = p.Value
		told = append(told, fmt.Sprintf("NOMAD_PORT_%s=%d\n", p.Label, p.Value),
			fmt.Sprintf("NOMAD_ADDR_%s=%s\n", p.Label, net.JoinHostPort(p.HostIP, strconv.Itoa(p.Value))))
	}
	if n := number["metrics"]; len(number) != 2 || number["http"] != heldPort || n < fleet.MinDynamicPort || n > fleet.MaxDynamicPort {
		g.Errorf("%s holds %v, want http %d and metrics of %d to %d", a.Name, number, heldPort, fleet.MinDynamicPort, fleet.MaxDynamicPort)
	}
	until(g, settleLimit, "the ports in the output of "+a.Name, func() error {
		x := g.dunlin("logs", string(id))
		for _, w := range told {
			if !strings.Contains(x.out, w) {
				return errorf("no %q: %v", w, x)
			}
		}
		return nil
	})
}

// saysOfBlocked waits until these words come from what shows a job that waits for room: its status, and the status of the
// evaluation that waits or has left one waiting. It asks again, because a blocked evaluation is tried again at any change of a
// device, and for that moment nothing is blocked.
func (g *region) saysOfBlocked(job string, words ...string) {
	g.Helper()
	words = append([]string{"not placed"}, words...)
	until(g, settleLimit, "words about what job "+job+" waits for", func() error {
		ctx, cancel := shortly()
		defer cancel()
		evals, _, err := g.client.JobEvaluations(ctx, fleet.JobID(job), nil)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(evals, func(ev *fleet.Evaluation) bool { return len(ev.FailedTGAllocs) > 0 }) // newest first
		if i < 0 {
			return errorf("none of %d evaluations has left anything waiting", len(evals))
		}
		for _, args := range [][]string{{"status", job}, {"eval", "status", string(evals[i].ID)}} {
			x := g.dunlin(args...)
			for _, w := range words {
				if x.code != 0 || !strings.Contains(x.out, w) {
					return errorf("no %q in %v", w, x)
				}
			}
		}
		return nil
	})
}
