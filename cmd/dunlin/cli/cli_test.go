package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// result of one command line.
type result struct {
	code     int
	out, err string
}

func invoke(t *testing.T, environ map[string]string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := Main(context.Background(), args, IO{
		In: strings.NewReader(""), Out: &out, Err: &errs,
		Getenv: func(k string) string { return environ[k] }, Environ: func() []string { return nil },
	})
	return result{code, out.String(), errs.String()}
}

func everyCommand(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		everyCommand(sub, f)
	}
}

// TestEveryFlagTakesOneDashOrTwo goes through each flag of each command.
func TestEveryFlagTakesOneDashOrTwo(t *testing.T) {
	root := newRoot(IO{})
	seen := 0
	everyCommand(root, func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			seen++
			for _, form := range []string{"-" + f.Name, "--" + f.Name} {
				for _, tail := range [][]string{{form, "x"}, {form + "=x"}} {
					got := normalize(root, append(strings.Fields(c.CommandPath())[1:], tail...))
					want := "--" + f.Name
					if last := got[len(got)-len(tail)]; last != want && last != want+"=x" {
						t.Errorf("%s %s: became %q", c.CommandPath(), tail, last)
					}
				}
			}
			if f.Shorthand != "" {
				if got := normalize(root, []string{"-" + f.Shorthand}); got[0] != "-"+f.Shorthand {
					t.Errorf("%s -%s: became %q", c.CommandPath(), f.Shorthand, got[0])
				}
			}
		})
	})
	if seen < 40 {
		t.Errorf("only %d flags were looked at", seen)
	}
}

func TestNormalize(t *testing.T) {
	root := newRoot(IO{})
	for in, want := range map[string]string{
		"run -var a=1 x":                         "run --var a=1 x",
		"logs -f -n 5 web":                       "logs -f -n 5 web",
		"logs -n5 web":                           "logs -n5 web",
		"logs -fn5 web":                          "logs -fn5 web",
		"logs -- -json":                          "logs -- -json",
		"status -jsn":                            "status --jsn",
		"run - ":                                 "run -",
		"status --json":                          "status --json",
		"-version":                               "--version",
		"plan -var=x=1 a -jso":                   "plan --var=x=1 a --jso",
		"alloc exec -task web -i x ls -la -json": "alloc exec --task web -i x ls -la -json",
		"-token t alloc exec -i=false x -address -x": "--token t alloc exec -i=false x -address -x",
		"alloc fs -stat x -json":                     "alloc fs --stat x --json",
	} {
		if got := strings.Join(normalize(root, strings.Fields(in)), " "); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestWrongCommandLines(t *testing.T) {
	for line, want := range map[string]string{
		"stauts":                               `unknown command "stauts" for dunlin; did you mean "status"?`,
		"node statsu":                          `did you mean "status"?`,
		"status -jsn":                          "unknown flag: -jsn",
		"run":                                  "needs a job file",
		"run a b":                              `does not know what to do with "b"`,
		"version x":                            "takes no argument",
		"agent":                                "-dev or -config",
		"agent -dev -config x":                 "-dev or -config",
		"init -lang cobol":                     "go and c",
		"join nonsense":                        "invite",
		"node eligibility x":                   "-enable or -disable",
		"alloc exec x":                         "needs an allocation or a job, and a command",
		"alloc exec -t -i=false x sh":          "needs input",
		"alloc fs":                             "needs an allocation",
		"alloc fs x y z":                       `does not know what to do with "z"`,
		"alloc fs -n 3 x":                      "give -tail",
		"alloc fs -tail -n 3 -c 4 x":           "either -n or -c",
		"alloc fs -stat -f x":                  "give either",
		"alloc fs -json -f x y":                "-json is for lists",
		"tls cert create -ca-dir /nonexistent": "dunlin tls ca create",
	} {
		r := invoke(t, nil, strings.Fields(line)...)
		if r.code == ExitOK || !strings.Contains(r.err, want) || r.out != "" {
			t.Errorf("%q: exit %d, out %q, err %q; want %q", line, r.code, r.out, r.err, want)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	r := invoke(t, map[string]string{"DUNLIN_ADDR": "http://127.0.0.1:1"}, "status")
	if r.code != ExitUnreachable || !strings.Contains(r.err, "nothing answers at http://127.0.0.1:1") || !strings.Contains(r.err, "dunlin agent -dev") {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestValidate(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "ok.wasm", string(guests.TinySleep()))
	write(t, dir, "part.wasm", "\x00asm\x0d\x00\x01\x00")
	job := func(config string) string { return "job \"a\" {\n  driver = \"wasm\"\n  " + config + "\n}\n" }
	for _, tc := range []struct{ name, text, want string }{
		{"good", job(`config { module = "./ok.wasm" }`), ""},
		{"absent", job(`config { module = "./no.wasm" }`), "is not there"},
		{"component", job(`config { module = "./part.wasm" }`), "GOOS=wasip1"},
		{"typo", job(`confg { module = "./ok.wasm" }`), `did you mean "config"`},
		{"wrong key", job(`config { modul = "./ok.wasm" }`), "module"},
		{"count", job("count = -1\n config { module = \"./ok.wasm\" }"), "-1 is out of range"},
	} {
		p := write(t, dir, tc.name+".hcl", tc.text)
		r := invoke(t, nil, "validate", p)
		switch {
		case tc.want == "" && (r.code != ExitOK || !strings.Contains(r.out, "is valid")):
			t.Errorf("%s: exit %d, %s", tc.name, r.code, r.err)
		case tc.want != "" && (r.code == ExitOK || !strings.Contains(r.err, tc.want) || !strings.Contains(r.err, p+":")):
			t.Errorf("%s: exit %d, %q; want %q with file and line", tc.name, r.code, r.err, tc.want)
		}
	}
}

func TestFmt(t *testing.T) {
	p := write(t, t.TempDir(), "a.hcl", "job \"a\" {\ntype=\"batch\"\n}\n")
	if r := invoke(t, nil, "fmt", "-check", p); r.code != ExitFailed || !strings.Contains(r.out, p) {
		t.Errorf("-check: exit %d, %q", r.code, r.out)
	}
	if r := invoke(t, nil, "fmt", p); r.code != ExitOK {
		t.Errorf("fmt: %s", r.err)
	}
	b, err := os.ReadFile(p)
	if err != nil || string(b) != "job \"a\" {\n  type = \"batch\"\n}\n" {
		t.Errorf("formatted %q, %v", b, err)
	}
	if r := invoke(t, nil, "fmt", "-check", p); r.code != ExitOK || r.out != "" {
		t.Errorf("a second time: exit %d, %q", r.code, r.out)
	}
}

func TestInitWritesNothingOver(t *testing.T) {
	for _, lang := range []string{"go", "c"} {
		dir := filepath.Join(t.TempDir(), "x")
		if r := invoke(t, nil, "init", "-lang", lang, dir); r.code != ExitOK || !strings.Contains(r.out, "build:") {
			t.Fatalf("%s: %s", lang, r.err)
		}
		if r := invoke(t, nil, "init", "-lang", lang, dir); r.code == ExitOK || !strings.Contains(r.err, "is there already") {
			t.Errorf("%s again: exit %d, %s", lang, r.code, r.err)
		}
	}
}

func TestTLSFiles(t *testing.T) {
	dir := t.TempDir()
	if r := invoke(t, nil, "tls", "ca", "create", "-dir", dir); r.code != ExitOK || !strings.Contains(r.out, "fingerprint") {
		t.Fatal(r.err)
	}
	if r := invoke(t, nil, "tls", "ca", "create", "-dir", dir); r.code == ExitOK {
		t.Error("a CA was written over")
	}
	out := filepath.Join(dir, "op")
	if r := invoke(t, nil, "tls", "cert", "create", "-ca-dir", dir, "-dir", out, "-id", "ann"); r.code != ExitOK || !strings.Contains(r.out, "spiffe://global/operator/ann") {
		t.Errorf("%s%s", r.out, r.err)
	}
}

// TestRun plays a region that accepts a job and cannot place it.
func TestRunSaysWhyNotPlaced(t *testing.T) {
	var registered fleet.Job
	mux := http.NewServeMux()
	answer := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Nomad-Index", "7")
			if err := json.NewEncoder(w).Encode(v); err != nil {
				t.Error(err)
			}
		}
	}
	mux.HandleFunc("HEAD /v1/module/{d}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("PUT /v1/jobs", func(w http.ResponseWriter, r *http.Request) {
		var req api.JobRegisterRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		registered = *req.Job
		answer(api.JobRegisterResponse{EvalID: "11111111-aaaa"})(w, r)
	})
	mux.HandleFunc("GET /v1/evaluation/{id}", answer(fleet.Evaluation{
		ID: "11111111-aaaa", Status: fleet.EvalComplete, BlockedEval: "22222222-bbbb", QueuedAllocations: map[string]int{"a": 2},
		FailedTGAllocs: map[string]*fleet.AllocMetric{"a": {Refusals: []fleet.Refusal{{Rule: "memory", Wants: "asks 9 MiB", Has: "n1 has 1 MiB", Fix: "ask for 1"}}}},
	}))
	mux.HandleFunc("GET /v1/job/{id}/allocations", answer([]fleet.AllocationListStub{}))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	dir := t.TempDir()
	write(t, dir, "ok.wasm", string(guests.TinySleep()))
	p := write(t, dir, "a.hcl", "variable \"n\" {\n default = 1\n}\njob \"a\" {\n driver = \"wasm\"\n count = var.n\n config { module = \"./ok.wasm\" }\n}\n")
	r := invoke(t, map[string]string{"DUNLIN_ADDR": srv.URL}, "run", "-var", "n=2", p)
	if r.code != ExitBlocked {
		t.Errorf("exit %d, want %d: %s", r.code, ExitBlocked, r.err)
	}
	for _, want := range []string{"2 not placed", "memory: asks 9 MiB; n1 has 1 MiB", "fix: ask for 1", "22222222"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the output lacks %q:\n%s", want, r.out)
		}
	}
	if g := registered.Group("a"); g == nil || *g.Count != 2 || !strings.Contains(string(g.Tasks[0].Config), "sha256:") {
		t.Errorf("registered %+v", registered)
	}
}
