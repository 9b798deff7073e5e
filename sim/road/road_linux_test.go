package road

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/api"
	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
)

// The first road: a module is pushed from a job file, runs on a device, and everything about it can be read and stopped.
func TestRoad(t *testing.T) {
	t.Parallel()
	g := newRegion(newRig(t), longLost)
	d := g.join("kiosk-1")
	g.module("hello")
	g.write("app.hcl", wasmJob("greeter", "service", "hello", ""))

	plan := g.ok("plan", "app.hcl")
	if !strings.Contains(plan, "1 to place") || !strings.Contains(plan, "would be pushed") {
		t.Errorf("plan: %s", plan)
	}
	out := g.ok("run", "app.hcl")
	for _, w := range []string{"module hello.wasm", "pushed", `job "greeter" registered`, "on kiosk-1", "running after"} {
		if !strings.Contains(out, w) {
			t.Errorf("run does not say %q: %s", w, out)
		}
	}
	a := g.waitAlloc("greeter", "runs", running)
	g.waitLog("greeter", "hello from greeter.greeter[0], 1")
	if out := g.ok("logs", "-n", "1", string(a.ID[:8])); strings.Count(out, "\n") != 1 {
		t.Errorf("logs -n 1 of a short ID: %q", out)
	}
	if again := g.ok("run", "app.hcl"); !strings.Contains(again, "the region has it") {
		t.Errorf("the module was pushed again: %s", again)
	}
	if same := g.waitAlloc("greeter", "runs", running); same.ID != a.ID || same.TaskStates["greeter"].Restarts != 0 {
		t.Errorf("the same job again made %s of %s", describe([]*fleet.AllocationListStub{same}), a.ID)
	}
	reads(t, g, d, a)

	stop := g.ok("stop", "greet") // a prefix
	if !strings.Contains(stop, `job "greeter" stopped`) {
		t.Errorf("stop: %s", stop)
	}
	g.waitAlloc("greeter", "ended", func(a *fleet.AllocationListStub) bool {
		return a.DesiredStatus == fleet.DesiredStop && a.ClientStatus == fleet.ClientComplete
	})
	d.waitState("nothing runs", nothingRuns)
	if g.ok("logs", string(a.ID)) == "" {
		t.Error("the output of a stopped task is gone")
	}
}

// reads asks for everything, in words and as JSON, by long, short and given names.
func reads(t *testing.T, g *region, d *device, a *fleet.AllocationListStub) {
	for _, c := range []struct {
		args  string
		words []string
	}{
		{"status", []string{"greeter", "running"}},
		{"status greeter", []string{"kiosk-1", "running"}},
		{"job inspect greeter", []string{`"TaskGroups"`, "sha256:"}},
		{"job history greeter", []string{"version 0"}},
		{"alloc status", []string{"greeter.greeter[0]"}},
		{"alloc status " + string(a.ID[:8]), []string{string(a.ID), "Started", "kiosk-1"}},
		{"node status", []string{"kiosk-1", "online"}},
		{"node status kiosk-1", []string{string(d.id), "wasm", "${attr.", "Written today", "state ", "Written in all"}},
		{"node status kiosk-1 -json", []string{`"Written"`, `"State"`, `"Modules"`}},
		{"node status " + string(d.id[:8]), []string{"kiosk-1"}},
		{"module list", []string{"hello.wasm"}},
		{"module inspect hello.wasm", []string{"preview1"}},
		{"server members", []string{"hub", "alive", "true"}},
		{"eval list", []string{"greeter", "job-register", "complete"}},
		{"agent status -http " + d.local, []string{"greeter.greeter[0]", "running", "up, to", "Logs kept", "Written in all"}},
		{"agent check -config " + d.dir + "/agent.hcl", []string{"clock", "accepted"}},
		{"validate app.hcl", nil},
		{"version", []string{"Dunlin"}},
	} {
		out := g.ok(strings.Fields(c.args)...)
		for _, w := range c.words {
			if !strings.Contains(out, w) {
				t.Errorf("dunlin %s does not say %q:\n%s", c.args, w, out)
			}
		}
	}
	for _, args := range []string{"status", "status greeter", "job history greeter", "alloc status", "alloc status " + string(a.ID[:8]),
		"node status", "node status kiosk-1", "module list", "server members", "eval list", "agent status -http " + d.local} {
		if v := readJSON[json.RawMessage](g.rig, strings.Fields(args)...); len(v) < 3 {
			t.Errorf("dunlin %s -json: %s", args, v)
		}
	}
	if jobs := readJSON[[]api.JobListStub](g.rig, "status"); len(jobs) != 1 || jobs[0].ID != "greeter" || jobs[0].Status != fleet.JobStatusRunning {
		t.Errorf("status -json: %+v", jobs)
	}
}

// What does not fit is refused in words, waits, and is placed when there is room; a batch job runs to its end with its
// arguments, environment and exit code.
func TestBlockedAndBatch(t *testing.T) {
	t.Parallel()
	longTest(t)
	g := newRegion(newRig(t), longLost)
	g.join("kiosk-1")
	g.module("report")
	g.tiny("sleep", guests.TinySleep())
	big := strings.Replace(wasmJob("big", "service", "sleep", ""), "memory = 16", "memory = 9999999", 1)
	g.write("big.hcl", big)
	g.fails(3, []string{"memory", "9999999", "fix:"}, "plan", "big.hcl")
	if jobs := readJSON[[]api.JobListStub](g.rig, "status"); len(jobs) != 0 {
		t.Errorf("plan registered %+v", jobs)
	}
	g.fails(3, []string{"memory", "fix:", "waits for room"}, "run", "big.hcl")
	if out := g.ok("status", "big"); !strings.Contains(out, "not placed") {
		t.Errorf("status of a blocked job does not say why: %s", out)
	}
	g.write("elsewhere.hcl", wasmJob("elsewhere", "service", "sleep", "  datacenters = [\"nowhere\"]"))
	g.fails(3, []string{"datacenter", "nowhere"}, "plan", "elsewhere.hcl")
	// The job waits until the device that it asks for comes.
	g.write("later.hcl", wasmJob("later", "service", "sleep", "  constraint {\n    attribute = \"${node.unique.name}\"\n    value     = \"kiosk-2\"\n  }"))
	g.fails(3, []string{"kiosk-2"}, "run", "later.hcl")
	g.join("kiosk-2")
	if a := g.waitAlloc("later", "runs", running); a.NodeName != "kiosk-2" {
		t.Errorf("later runs on %s", a.NodeName)
	}

	g.write("batch.hcl", strings.Replace(wasmJob("batch", "batch", "report", "  env {\n    COLOUR = \"dun\"\n  }"),
		`module = "./report.wasm"`, "module = \"./report.wasm\"\n    args = [\"-x\", \"two words\"]", 1))
	g.ok("run", "batch.hcl")
	a := g.waitAlloc("batch", "ended", ended)
	if a.ClientStatus != fleet.ClientComplete {
		t.Fatalf("batch: %s", describe([]*fleet.AllocationListStub{a}))
	}
	out := g.ok("logs", "batch")
	for _, w := range []string{`"two words"`, "env.COLOUR=dun", "env.NOMAD_JOB_ID=batch", "env.NOMAD_ALLOC_ID=" + string(a.ID)} {
		if !strings.Contains(out, w) {
			t.Errorf("the guest does not see %q: %s", w, out)
		}
	}
}

// A command says by its exit code what kind of end it came to.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addr = "http://" + freeTCP(t)
	r.fails(4, []string{"nothing answers", "dunlin agent -dev"}, "status")
	r.fails(4, []string{"no agent of a device answers"}, "agent", "status", "-http", freeTCP(t))
	r.fails(2, []string{"unknown command", `"status"`}, "statsu")
	r.fails(2, []string{"nope"}, "status", "-nope")
	r.fails(2, []string{"a job file"}, "run")
	r.fails(2, []string{"-dev or -config"}, "agent")
	r.fails(1, []string{"there is no file", "dunlin init"}, "run", "missing.hcl")
}

// A development agent is a whole region in one process: commands find it, a second one takes the next ports, and its end
// leaves no process and no folder.
func TestDevAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.start("dev", "agent", "-dev")
	defer first.kill()
	until(t, startLimit, "the dev agent's device", func() error {
		if err := first.ended(); err != nil {
			t.Fatal(err)
		}
		if x := r.dunlin("node", "status"); !strings.Contains(x.out, "online") {
			return errorf("%v", x)
		}
		return nil
	})
	firstOut := readFile(t, first.out)
	r.tiny("sleep", guests.TinySleep())
	r.write("app.hcl", wasmJob("sleeper", "service", "sleep", ""))
	r.ok("run", "app.hcl")
	dataDir := field(t, firstOut, "data")
	// The process that launched the host ends beside the task's start.
	until(t, startLimit, "one host", func() error {
		if n := len(hosts(processes(), dataDir)); n != 1 {
			return errorf("%d hosts below %s", n, dataDir)
		}
		return nil
	})
	t.Cleanup(func() { killBelow(t, dataDir) })

	second := r.start("dev2", "agent", "-dev")
	defer second.kill()
	until(t, startLimit, "the second dev agent", func() error {
		if err := second.ended(); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(second.out); err != nil || !strings.Contains(string(b), "DUNLIN_ADDR=") {
			return errorf("it said %s", b)
		}
		return nil
	})
	a, b := field(t, firstOut, "HTTP API"), field(t, readFile(t, second.out), "HTTP API")
	if a == b {
		t.Errorf("both dev agents say they serve %s", a)
	}
	fixed := r.dunlin("agent", "-dev", "-http", strings.TrimPrefix(a, "http://"), "-quic", freeUDP(t))
	if fixed.code == 0 || !strings.Contains(fixed.err, "-http") || !strings.Contains(fixed.err, strings.TrimPrefix(a, "http://")) {
		t.Errorf("a taken port that was asked for: %v", fixed)
	}
	second.stop()
	first.stop()
	table := processes()
	until(t, startLimit, "the end of the host", func() error {
		table = processes()
		if left := hosts(table, dataDir); len(left) > 0 {
			return errorf("left behind: %+v", left)
		}
		return nil
	})
	if _, err := os.Stat(dataDir); !os.IsNotExist(err) {
		t.Errorf("the temporary folder is still there: %v", err)
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// field is the value of one line that an agent prints when it starts.
func field(t testing.TB, text, key string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no line %q in:\n%s", key, text)
	return ""
}
