package road

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

const simJob = `
job "many" {
  type   = "batch"
  driver = "raw_exec"
  count  = 300
  config {
    command = "true"
  }
  resources {
    cpu    = 20
    memory = 16
  }
}
`

// simReport is what `sim fleet -json` ends with.
type simReport struct {
	Nodes, Links, Ready, Linked, Placed, Running, Complete, Stopped int
	ReadySeconds                                                    float64
}

// A simulated fleet on shared links runs all that is placed, also over a kill of the server in the middle, and each allocation counts
// once; one with its own identities gets in by an invite that it makes.
func TestSimFleet(t *testing.T) {
	t.Parallel()
	longTest(t)
	g := newRegion(newRig(t), longLost)
	x := g.start("sim", "sim", "fleet", "-nodes", "60", "-links", "3", "-until-running", "600", "-json")
	g.write("many.hcl", simJob)
	g.write("more.hcl", strings.Replace(simJob, `"many"`, `"more"`, 1))
	until(t, startLimit, "60 ready nodes", func() error {
		nodes, err := g.readyNodes()
		if err == nil && nodes != 60 {
			err = errorf("%d are ready", nodes)
		}
		return err
	})
	g.ok("run", "-detach", "many.hcl")
	g.waitAllRunning("many", 300)
	g.server.kill()
	g.startServer()
	g.waitServer()
	g.ok("run", "-detach", "more.hcl")
	<-x.done
	b, err := os.ReadFile(g.path("sim.out"))
	if err != nil {
		t.Fatal(err)
	}
	var r simReport
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatalf("%v in:\n%s", err, b)
	}
	// The fleet may end before its last link is back: one with few devices had nothing to report.
	if r.Nodes != 60 || r.Links != 3 || r.Linked < 4 || r.Placed != 600 || r.Running != 600 || r.Complete != 0 || r.Stopped != 0 {
		t.Errorf("the report: %+v", r)
	}
	r = readJSON[simReport](g.rig, "sim", "fleet", "-nodes", "10", "-datacenter", "dc2", "-for", "3s")
	if r.Nodes != 10 || r.Links != 10 || r.Ready != 10 || r.ReadySeconds == 0 {
		t.Errorf("the report of devices that joined: %+v", r)
	}
	g.fails(2, []string{"-links 1", "at least -links 2"}, "sim", "fleet", "-nodes", "400", "-links", "1")
}

// readyNodes counts the nodes that are linked.
func (g *region) readyNodes() (n int, err error) {
	ctx, cancel := shortly()
	defer cancel()
	nodes, _, err := g.client.Nodes(ctx, nil)
	for _, node := range nodes {
		if node.Status == "ready" {
			n++
		}
	}
	return n, err
}

func (g *region) waitAllRunning(job string, n int) {
	g.Helper()
	until(g, settleLimit, "all of job "+job+" to run", func() error {
		allocs, err := g.allocs(job)
		if err != nil {
			return err
		}
		got := 0
		for _, a := range allocs {
			if running(a) {
				got++
			}
		}
		if got != n {
			return errorf("%d of %d run", got, n)
		}
		return nil
	})
}
