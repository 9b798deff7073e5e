package road

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/api"
	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
)

// Whatever is wrong with a job file or a module is said with its place and what to do, and nothing is registered or pushed.
func TestBadJobs(t *testing.T) {
	t.Parallel()
	g := newRegion(newRig(t), longLost)
	g.tiny("good", guests.TinySleep())
	g.tiny("component", []byte("\x00asm\x0d\x00\x01\x00"))
	g.tiny("elf", append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 64)...))
	g.tiny("text", []byte("hello, world\n"))
	g.tiny("empty", nil)
	g.tiny("cut", guests.TinySleep()[:40])
	g.tiny("foreign", guests.TinyImport("env", "print"))
	good := wasmJob("bad", "service", "good", "")
	swap := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("no %q to change", from)
		}
		return strings.Replace(good, from, to, 1)
	}
	for name, c := range map[string]struct {
		job   string
		words []string
	}{
		"component":  {swap("good.wasm", "component.wasm"), []string{"component", "preview", "build"}},
		"elf":        {swap("good.wasm", "elf.wasm"), []string{"an ELF", "raw_exec"}},
		"text":       {swap("good.wasm", "text.wasm"), []string{"not Wasm"}},
		"empty":      {swap("good.wasm", "empty.wasm"), []string{"empty.wasm"}},
		"cut":        {swap("good.wasm", "cut.wasm"), []string{"cut short"}},
		"foreign":    {swap("good.wasm", "foreign.wasm"), []string{"env.print"}},
		"absent":     {swap("good.wasm", "absent.wasm"), []string{"absent.wasm is not there", "build it first"}},
		"syntax":     {swap("}\n", "\n"), []string{"syntax.hcl:"}},
		"attribute":  {swap("driver =", "drivr ="), []string{"attribute.hcl:4", `"driver"`}},
		"driver":     {swap(`"wasm"`, `"wsam"`), []string{"driver.hcl:", `did you mean "wasm"`}},
		"config":     {swap("module =", "modul ="), []string{"config.hcl:", `"module"`}},
		"count":      {swap("  resources {", "  count = -1\n  resources {"), []string{"count.hcl:", "-1"}},
		"cpu":        {swap("cpu    = 20", "cpu = \"lots\""), []string{"cpu.hcl:", "number"}},
		"memory":     {swap("memory = 16", "memory = 0"), []string{"memory.hcl:", "at least 1 MiB"}},
		"type":       {swap(`"service"`, `"sevice"`), []string{"type.hcl:3", "service"}},
		"variable":   {swap("cpu    = 20", "cpu = var.nowhere"), []string{"variable.hcl:", "nowhere"}},
		"constraint": {swap("  resources {", "  constraint {\n    operator = \"~\"\n    attribute = \"a\"\n    value = \"b\"\n  }\n  resources {"), []string{"constraint.hcl:", "~"}},
		"id":         {swap(`"bad"`, `"not good"`), []string{"id.hcl:2"}},
	} {
		file := g.write(name+".hcl", c.job)
		g.fails(1, c.words, "run", name+".hcl")
		if x := g.dunlin("validate", file); x.code == 0 {
			t.Errorf("run refuses %s and validate does not: %v", name, x)
		}
	}
	g.write("good.hcl", good)
	g.fails(1, []string{"absent"}, "run", "-var", "absent=1", "good.hcl")
	g.fails(2, []string{"NAME=VALUE"}, "run", "-var", "novalue", "good.hcl")
	g.fails(1, []string{"no job is named"}, "stop", "nothing")
	g.fails(1, []string{"no node has the name"}, "node", "status", "nobody")
	g.fails(1, []string{"index 77", "does not exist"}, "run", "-check-index", "77", g.write("checked.hcl", good))
	if jobs := readJSON[[]api.JobListStub](g.rig, "status"); len(jobs) != 0 {
		t.Errorf("registered: %+v", jobs)
	}
	// Modules: the one of -check-index was pushed before the region could judge the index; nothing else may be there.
	if out := g.ok("module", "list"); strings.Count(out, ".wasm") > 1 {
		t.Errorf("modules of refused jobs were pushed:\n%s", out)
	}
}

// The API answers what it cannot accept with 400 and the place, what it does not know with 404, and keeps nothing.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	longTest(t)
	g := newRegion(newRig(t), longLost)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		word               string
	}{
		"route":      {"GET", "/v1/nothing", "", 404, ""},
		"no JSON":    {"PUT", "/v1/jobs", "{", 400, ""},
		"wrong type": {"PUT", "/v1/jobs", `{"Job":{"ID":"x","TaskGroups":[{"Name":"g","Count":"many"}]}}`, 400, "Count"},
		"no job":     {"PUT", "/v1/jobs", `{}`, 400, "the body has no Job"},
		"negative":   {"PUT", "/v1/jobs", `{"Job":{"ID":"x","Name":"x","TaskGroups":[{"Name":"g","Count":-1,"Tasks":[{"Name":"t","Driver":"raw_exec","Config":{"command":"true"}}]}]}}`, 400, "-1"},
		"driver":     {"PUT", "/v1/jobs", `{"Job":{"ID":"x","Name":"x","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Driver":"rawexec","Config":{}}]}]}}`, 400, "raw_exec"},
		"module":     {"PUT", "/v1/jobs", `{"Job":{"ID":"x","Name":"x","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Driver":"wasm","Config":{"module":"sha256:` + strings.Repeat("ab", 32) + `"}}]}]}}`, 400, "module"},
		"push":       {"PUT", "/v1/module/sha256:" + strings.Repeat("ab", 32), "not that", 400, ""},
		"job":        {"GET", "/v1/job/nothing", "", 404, "nothing"},
		"alloc":      {"GET", "/v1/allocation/zz", "", 0, ""},
		"index":      {"GET", "/v1/jobs?index=minus", "", 400, "index"},
		"wait":       {"GET", "/v1/jobs?index=1&wait=long", "", 400, "wait"},
	} {
		ctx, cancel := shortly()
		status, text, err := exchange(ctx, c.method, g.addr+c.path, c.body)
		cancel()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.status == 0 && status != 400 && status != 404 || c.status != 0 && status != c.status || !strings.Contains(text, c.word) {
			t.Errorf("%s: %s %s answered %d %q, want %d with %q", name, c.method, c.path, status, text, c.status, c.word)
		}
	}
	if jobs := readJSON[[]api.JobListStub](g.rig, "status"); len(jobs) != 0 {
		t.Errorf("registered: %+v", jobs)
	}
	if mods := readJSON[[]json.RawMessage](g.rig, "module", "list"); len(mods) != 0 {
		t.Errorf("kept: %s", mods)
	}
}

func exchange(ctx context.Context, method, url, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// Nobody enters a region without a good invite, and every refusal says what to do.
func TestBadJoins(t *testing.T) {
	t.Parallel()
	g := newRegion(newRig(t), longLost)
	invite := strings.TrimPrefix(strings.TrimSpace(g.ok("node", "invite", "-name", "kiosk-1")), "dunlin join ")
	join := func(code int, line string, words ...string) {
		t.Helper()
		g.fails(code, words, "join", line, "-data-dir", g.path("nobody"), "-http", freeTCP(t), "-no-start")
	}
	join(2, "hello", "dunlin1.", "copy the whole line")
	join(2, invite[:len(invite)-9], "copy the whole line")
	join(4, reinvite(t, invite, "f", strings.Repeat("0", 64)), "the invite was not used", "CA")
	join(1, reinvite(t, invite, "t", strings.Repeat("A", 43)), "dunlin node invite")
	join(4, reinvite(t, invite, "a", []string{freeUDP(t)}), "could be reached", "the invite was not used")
	// None of that has spent it.
	g.ok("join", invite, "-data-dir", g.path("kiosk-1"), "-http", freeTCP(t), "-no-start")
	join(1, invite, "was used", "dunlin node invite")
	g.fails(1, []string{"joined already"}, "join", invite, "-data-dir", g.path("kiosk-1"), "-no-start")
	if nodes := readJSON[[]json.RawMessage](g.rig, "node", "status"); len(nodes) != 0 {
		t.Errorf("nobody has started, and there are %s", nodes)
	}
	if x := g.dunlin("agent", "check", "-config", g.path("nobody", "agent.hcl")); x.code != 2 {
		t.Errorf("a refused join left a configuration: %v", x)
	}
}

// reinvite changes one field of an invite.
func reinvite(t *testing.T, invite, key string, value any) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(invite, "dunlin1."))
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	if _, ok := fields[key]; !ok {
		t.Fatalf("an invite has no %q: %s", key, text)
	}
	fields[key] = value
	if text, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	return "dunlin1." + base64.RawURLEncoding.EncodeToString(text)
}

// A wrong configuration keeps an agent from starting, with the line and what to write instead.
func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	longTest(t)
	r := newRig(t)
	for name, c := range map[string]struct {
		text  string
		words []string
		code  int
	}{
		"neither":  {`name = "x"`, []string{"neither server nor client"}, 2},
		"unknown":  {"server {\n  enabled = true\n  nope = 1\n}", []string{"unknown.hcl:3", "nope"}, 2},
		"duration": {"server {\n  enabled = true\n  beat_interval = \"soon\"\n}", []string{"beat_interval", `"soon"`, "30s"}, 2},
		"order":    {"server {\n  enabled = true\n  beat_interval = \"9s\"\n  lost_after = \"3s\"\n}", []string{"lost_after", "longer"}, 2},
		"servers":  {"client {\n  enabled = true\n}", []string{"client.servers is empty"}, 2},
		"plugin":   {"client {\n  enabled = true\n  servers = [\"127.0.0.1\"]\n}\nplugin \"docker\" {}", []string{`"docker"`}, 2},
		"no certificate": {"data_dir = \"" + r.path("fresh") + "\"\nclient {\n  enabled = true\n  servers = [\"127.0.0.1:1\"]\n}",
			[]string{"no certificate", "dunlin node invite", "dunlin join"}, 1},
		"level": {"log_level = \"loud\"\nserver {\n  enabled = true\n}", []string{"loud", "debug, info, warn or error"}, 2},
	} {
		r.fails(c.code, c.words, "agent", "-config", r.write(strings.ReplaceAll(name, " ", "-")+".hcl", c.text), "-http", freeTCP(t), "-quic", freeUDP(t))
	}
	r.fails(2, []string{"missing.hcl"}, "agent", "-config", "missing.hcl")
}
