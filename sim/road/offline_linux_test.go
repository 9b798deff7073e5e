package road

import (
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/edge/agent"
	"github.com/dunlin-edge/dunlin/edge/statedb"
	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
)

// longLost is a loss limit that no test reaches by accident; soonLost is one that a test waits for, and still far beyond what a busy
// machine holds a beat up.
const (
	longLost = 10 * time.Minute
	soonLost = 10 * time.Second
)

// rawJob is a small job file of one raw process that stays.
const rawJob = `
job "raw" {
  driver = "raw_exec"
  config {
    command = "sleep"
    args    = ["100000"]
  }
  resources {
    cpu    = 20
    memory = 16
  }
}
`

func nothingRuns(s *agent.Status) error { return runs(s, 0) }

// runs complains unless just that many allocations run.
func runs(s *agent.Status, n int) error {
	got := 0
	for _, a := range s.Allocs {
		if a.Status == fleet.ClientRunning {
			got++
		}
	}
	if got != n {
		return errorf("%d allocations run, want %d: %+v", got, n, s.Allocs)
	}
	return nil
}

// starts is when each running task of a device was started, and how often restarted: equal before and after means that
// nothing was started again.
func starts(s *agent.Status) map[string]string {
	out := map[string]string{}
	for _, a := range s.Allocs {
		for name, task := range a.Tasks {
			out[a.ID+"/"+name] = errorf("%s at %s, %d restarts", a.Status, task.StartedAt, task.Restarts).Error()
		}
	}
	return out
}

// restartedOnce complains of tasks that are still shown as they were written down before their host died: an agent answers
// from its journal until it has looked for each task's process.
func restartedOnce(s *agent.Status) error {
	for _, a := range s.Allocs {
		for name, task := range a.Tasks {
			if task.Restarts != 1 {
				return errorf("%s/%s was restarted %d times, want once", a.ID, name, task.Restarts)
			}
		}
	}
	return nil
}

// pids names the processes of a device's running tasks.
func pids(t testing.TB, d *device) map[string]string {
	t.Helper()
	table := processes()
	out := map[string]string{}
	for _, rec := range recorded(t, d.dir, table) {
		i := slices.IndexFunc(table, func(p proc) bool { return p.pid == rec.PID })
		out[rec.ID] = errorf("%d started at tick %s", rec.PID, table[i].start).Error()
	}
	return out
}

// waitWritten waits until the device's disk says that so many tasks run. A start is written a moment later than it is told; an agent
// that dies within that moment finds the process by its name and takes its start for now.
func (d *device) waitWritten(want int) {
	d.r.Helper()
	dir := d.r.TempDir() // for a copy: the agent holds its own
	until(d.r, settleLimit, d.name+" to write what it runs", func() error {
		for _, name := range statedb.FileNames {
			b, err := os.ReadFile(filepath.Join(d.dir, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
			}
			if err != nil {
				return err
			}
		}
		db, state, err := statedb.Open(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		got := 0
		for _, a := range state.Allocs {
			for i := range a.Tasks {
				if a.Tasks[i].Observed.State == fleet.TaskRunning {
					got++
				}
			}
		}
		if got != want {
			err = errorf("%d tasks are written as running, want %d", got, want)
		}
		return errors.Join(err, db.Close())
	})
}

// With no server, an agent that is killed and started again takes up what runs, and starts again what its host's death
// ended; the server's return changes nothing.
func TestOffline(t *testing.T) {
	t.Parallel()
	g := newRegion(newRig(t), longLost)
	d := g.join("kiosk-1", "-allow-raw-exec")
	g.tiny("sleep", guests.TinySleep())
	g.write("app.hcl", twoTimes("sleeper", "sleep"))
	g.write("raw.hcl", rawJob)
	g.ok("run", "app.hcl")
	g.ok("run", "raw.hcl")
	before := d.waitState("all run, and the region knows", func(s *agent.Status) error {
		if s.Untold > 0 {
			return errorf("%d untold", s.Untold)
		}
		return runs(s, 3)
	})
	d.waitWritten(3)
	processesBefore := pids(t, d)
	if len(processesBefore) != 3 {
		t.Fatalf("processes of 3 tasks: %v", processesBefore)
	}

	g.server.kill()
	d.agent.kill()
	d.start()
	after := d.waitState("all run, taken up", func(s *agent.Status) error { return runs(s, 3) })
	if after.Link.Up {
		t.Error("there is no server, and the agent says that it has a link")
	}
	same(t, "after the agent was killed", starts(before), starts(after))
	same(t, "processes after the agent was killed", processesBefore, pids(t, d))

	// The host and all it holds die while no agent is there to see it: what should run is started again from disk.
	d.agent.kill()
	kill(t, d.host().pid)
	killedWith(t, d)
	d.start()
	revived := d.waitState("all run again", func(s *agent.Status) error {
		if err := runs(s, 3); err != nil {
			return err
		}
		if n := len(pids(t, d)); n != 3 {
			return errorf("%d processes", n)
		}
		return restartedOnce(s)
	})
	processesRevived := pids(t, d)
	if got, want := ids(revived), ids(before); !slices.Equal(got, want) {
		t.Errorf("allocations %v, were %v", got, want)
	}

	g.startServer()
	g.waitServer()
	d.waitOnline()
	told := d.waitState("everything told", func(s *agent.Status) error {
		if s.Untold > 0 || !s.Link.Up {
			return errorf("link %+v, untold %d", s.Link, s.Untold)
		}
		return nil
	})
	same(t, "after the server came back", starts(revived), starts(told))
	same(t, "processes after the server came back", processesRevived, pids(t, d))
	for _, job := range []string{"sleeper", "raw"} {
		all, err := g.allocs(job)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			if !running(a) || !slices.Contains(ids(before), string(a.ID)) {
				t.Errorf("%s: %s", job, describe(all))
			}
		}
	}
}

func twoTimes(name, module string) string {
	return errorf(`
job %q {
  group "main" {
    count = 2
    restart {
      attempts = 5
      interval = "10m"
      delay    = "200ms"
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
`, name, module).Error()
}

func ids(s *agent.Status) []string {
	var out []string
	for _, a := range s.Allocs {
		if a.Status == fleet.ClientRunning {
			out = append(out, a.ID)
		}
	}
	slices.Sort(out)
	return out
}

func same(t testing.TB, when string, want, got map[string]string) {
	t.Helper()
	if !maps.Equal(want, got) {
		t.Errorf("%s: now %v, was %v", when, got, want)
	}
}

func kill(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("kill %d: %v", pid, err)
	}
}

// killedWith waits until nothing of a killed host's tasks is left.
func killedWith(t testing.TB, d *device) {
	t.Helper()
	until(t, startLimit, "the host's tasks gone with it", func() error {
		table := processes()
		if left := recorded(t, d.dir, table); len(left) > 0 {
			return errorf("%+v", left)
		}
		return nil
	})
}

// A device that is lost is replaced elsewhere, and when it comes back what it still runs is stopped with a reason.
func TestNodeLost(t *testing.T) {
	t.Parallel()
	longTest(t)
	g := newRegion(newRig(t), soonLost)
	first, second := g.join("kiosk-1"), g.join("kiosk-2")
	devices := map[string]*device{"kiosk-1": first, "kiosk-2": second}
	g.tiny("sleep", guests.TinySleep())
	g.write("app.hcl", wasmJob("sleeper", "service", "sleep", ""))
	g.ok("run", "app.hcl")
	a := g.waitAlloc("sleeper", "runs", running)
	lost := devices[a.NodeName]

	// Only the agent dies: what runs on the device goes on, unseen.
	lost.agent.kill()
	b := g.waitAlloc("sleeper", "runs elsewhere", func(b *fleet.AllocationListStub) bool { return running(b) && b.NodeID != a.NodeID })
	if n := len(pids(t, lost)); n != 1 {
		t.Errorf("%d tasks run on the device without an agent, want 1", n)
	}
	old := g.waitAlloc("sleeper", "is lost", func(x *fleet.AllocationListStub) bool { return x.ID == a.ID && x.ClientStatus == fleet.ClientLost })
	if old.DesiredStatus != fleet.DesiredStop || old.DesiredDescription == "" {
		t.Errorf("the lost allocation has no reason: %s", describe([]*fleet.AllocationListStub{old}))
	}
	if full := readJSON[fleet.Allocation](g.rig, "alloc", "status", string(b.ID)); full.PreviousAllocation != a.ID {
		t.Errorf("the replacement says it replaces %q, want %s", full.PreviousAllocation, a.ID)
	}

	lost.start()
	lost.waitOnline()
	lost.waitState("the old task is stopped", nothingRuns)
	until(t, settleLimit, "no process of the old task", func() error {
		if left := pids(t, lost); len(left) > 0 {
			return errorf("%v", left)
		}
		return nil
	})
	all, err := g.allocs("sleeper")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, x := range all {
		if running(x) {
			n++
		}
	}
	if n != 1 || len(all) != 2 {
		t.Errorf("want one replacement and the old one: %s", describe(all))
	}

	// Agent and host die together: the same, with nothing left to stop.
	now := devices[b.NodeName]
	now.agent.kill()
	kill(t, now.host().pid)
	g.waitAlloc("sleeper", "runs on the first device again", func(c *fleet.AllocationListStub) bool { return running(c) && c.NodeID == a.NodeID })
	now.start()
	now.waitOnline()
	now.waitState("nothing of the past runs", nothingRuns)
}
