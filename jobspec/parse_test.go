package jobspec

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

const varJob = `
variable "n" { type = number }
variable "dcs" {
  type    = list(string)
  default = ["a"]
}
variable "word" { default = "default" }
job "x" {
  priority    = var.n
  datacenters = var.dcs
  region      = var.word
}
`

func TestVariablePrecedence(t *testing.T) {
	opts := Options{
		Env:      EnvVars([]string{"DUNLIN_VAR_n=1", "DUNLIN_VAR_word=env", "DUNLIN_VAR_unrelated=1", "PATH=/bin", "DUNLIN_VAR_broken"}),
		VarFiles: []VarFile{{"a.vars", []byte("n = 2\nword = \"file\"\n")}, {"b.vars", []byte("n = 3\n")}},
		Vars:     map[string]string{"dcs": `["b", "c"]`},
	}
	check := func(priority int, dcs, region string) {
		t.Helper()
		res, diags := Parse("x.hcl", []byte(varJob), opts)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if got := fmt.Sprintf("%d %v %s", *res.Job.Priority, res.Job.Datacenters, res.Job.Region); got != fmt.Sprintf("%d %s %s", priority, dcs, region) {
			t.Errorf("got %s", got)
		}
	}
	check(3, "[b c]", "file")
	opts.Vars["n"] = "4"
	check(4, "[b c]", "file")
	opts.VarFiles = nil
	check(4, "[b c]", "env")
	delete(opts.Vars, "n")
	opts.Env = map[string]string{"n": "1"}
	check(1, "[b c]", "default")
}

func TestVariableErrors(t *testing.T) {
	for _, tc := range []struct {
		opts Options
		want string
	}{
		{Options{}, `x.hcl:2: variable "n" has no value; pass -var n=…, set DUNLIN_VAR_n, or give it a default`},
		{Options{Vars: map[string]string{"n": "1", "wrod": "x"}}, `-var wrod: the job file declares no such variable; did you mean "word"?`},
		{Options{Vars: map[string]string{"n": "many"}}, `-var n: the value of variable "n": want number, got the text "many"`},
		{Options{Vars: map[string]string{"n": "1", "dcs": "[1"}}, `-var dcs:1: unterminated tuple constructor expression: There is no`},
		{Options{Vars: map[string]string{"n": "1", "dcs": "{}"}}, `-var dcs: the value of variable "dcs": want list of string, got an object`},
		{Options{Vars: map[string]string{"n": "1", "dcs": "[var.n]"}}, `-var dcs:1: unknown variable: There is no variable named "var"`},
		{Options{VarFiles: []VarFile{{"v", []byte("nn = 1")}}}, `v:1: the job file declares no variable "nn"; did you mean "n"?`},
		{Options{VarFiles: []VarFile{{"v", []byte("n = ")}}}, `v:1: missing expression`},
		{Options{VarFiles: []VarFile{{"v", []byte("n {}")}}}, `v:1: block "n" in a file of values`},
		{Options{Vars: map[string]string{"n": strings.Repeat("1", FileBytesMax+1)}}, `-var n: the value has 1048577 bytes`},
	} {
		_, diags := Parse("x.hcl", []byte(varJob), tc.opts)
		if len(diags) == 0 || !strings.HasPrefix(diags[0].String(), tc.want) {
			t.Errorf("want %s\ngot %v", tc.want, diags)
		}
	}
}

func TestFileFunction(t *testing.T) {
	opts := Options{ReadFile: func(name string) ([]byte, error) {
		if name == "a" {
			return []byte("content"), nil
		}
		return nil, errors.New("no file " + name)
	}}
	res, diags := Parse("x.hcl", []byte(`job "x" { region = file("a") }`), opts)
	if diags.HasErrors() || res.Job.Region != "content" {
		t.Errorf("%v", diags)
	}
	if _, diags := Parse("x.hcl", []byte(`job "x" { region = file("b") }`), opts); !strings.Contains(diags.String(), "no file b") {
		t.Errorf("got %v", diags)
	}
}

func TestReferencesStayText(t *testing.T) {
	for in, want := range map[string]string{
		`"${attr.cpu} ${attr.cpu.arch}"`:                  "${attr.cpu} ${attr.cpu.arch}",
		`"${node.unique.id}${meta.rack-1}"`:               "${node.unique.id}${meta.rack-1}",
		`"${NOMAD_PORT_http}:${DUNLIN_X}"`:                "${NOMAD_PORT_http}:${DUNLIN_X}",
		`env["A B"]`:                                      `${env["A B"]}`,
		`upper("${attr.x}")`:                              "${ATTR.X}",
		`join(",", [for node in ["a", "b"] : node])`:      "a,b",
		`join(",", [for k, meta in {a = 1} : "${meta}"])`: "1",
		`true ? "${attr.a}" : "${attr.b}"`:                "${attr.a}",
		`{ attr = "v" }.attr`:                             "v",
	} {
		res, diags := Parse("x.hcl", []byte(`job "x" { region = `+in+` }`), Options{})
		if diags.HasErrors() {
			t.Errorf("%s: %s", in, diags)
		} else if res.Job.Region != want {
			t.Errorf("%s: got %s, want %s", in, res.Job.Region, want)
		}
	}
}

func TestLocate(t *testing.T) {
	src := `job "x" {
  priority = 500
  constraint {
    attribute = "${attr.a}"
    regexp    = "("
  }
  periodic {
    cron = "x"
  }
  group "g" {
    restart {
      attempts = -1
    }
    task "t" {
      driver = "wasm"
      env {
        OK           = "x"
        API_TOKEN    = "x"
      }
      resources { cpu = 0 }
      user = "root"
    }
  }
}
`
	res, diags := Parse("x.hcl", []byte(src), Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	job := res.Job.Clone()
	fleet.Canonicalize(job)
	got := map[string]int{}
	located := res.Locate(fleet.Validate(job, nil))
	for _, d := range located {
		path, _, _ := strings.Cut(d.Message, ":")
		got[path] = d.Line
		if d.File != "x.hcl" || d.Source == "" {
			t.Errorf("%+v has no place", d)
		}
	}
	want := map[string]int{
		"Priority": 2, "Constraints[0].RTarget": 5, "Periodic": 7,
		"TaskGroups[0].RestartPolicy.Attempts":          12,
		"TaskGroups[0].Tasks[0].Env.API_TOKEN":          18,
		"TaskGroups[0].Tasks[0].Resources.CPU":          20,
		"TaskGroups[0].Tasks[0].RestartPolicy.Attempts": 14, // inherited: the task is the innermost block written
		"TaskGroups[0].Tasks[0].User":                   21,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if err := located.Err(); err == nil || strings.Contains(err.Error(), "API_TOKEN") {
		t.Errorf("warnings are no errors: %v", err)
	}
}

func TestLimits(t *testing.T) {
	nest := func(open, close string, n int) string {
		return `job "x" { region = ` + strings.Repeat(open, n) + "1" + strings.Repeat(close, n) + " }"
	}
	for name, src := range map[string]string{
		"size":        "# " + strings.Repeat("x", FileBytesMax),
		"parentheses": nest("(", ")", 100_000),
		"lists":       nest("[", "]", 100_000),
		"templates":   nest(`"${`, `}"`, 100_000),
		"not":         nest("!", "", 100_000),
		"minus":       nest("-", "", 100_000),
		"sums":        nest("1+", "", 300_000),
		"conditions":  nest("true ? 1 : ", "", 80_000),
		"directives":  `job "x" { region = "` + strings.Repeat("%{if true}", 50_000) + `" }`,
		"heredocs":    nest("<<X\n${", "}\nX\n", 100_000),
		"blocks":      strings.Repeat("a {}\n", 100_000),
	} {
		if res, diags := Parse("x.hcl", []byte(src), Options{}); res != nil || !diags.HasErrors() {
			t.Errorf("%s: accepted", name)
		}
	}
	var many strings.Builder
	for i := range 2 * DiagnosticsMax {
		fmt.Fprintf(&many, "attribute%d = 1\n", i)
	}
	_, diags := Parse("x.hcl", []byte(many.String()), Options{})
	if len(diags) != DiagnosticsMax+1 || diags[DiagnosticsMax].Message != "50 more problems" {
		t.Errorf("%d diagnostics, the last is %v", len(diags), diags[len(diags)-1])
	}
}

// Expressions that would fill the memory are refused before they are evaluated.
func TestExpressionBudget(t *testing.T) {
	for _, e := range []string{
		`format("%[1]s%[1]s", jsonencode(jsonencode(jsonencode(jsonencode(jsonencode(jsonencode(jsonencode(jsonencode(jsonencode(jsonencode(jsonencode("\"")))))))))))))`,
		`"${-1e999999999}"`, `"${1e9000 * 1e999999999}"`, `1e-99999999999`,
		`join(join(join(join("0123456789", split("", "0123456789012345678901234567890123456789")), split("", "0123456789012345678901234567890123456789")), split("", "0123456789012345678901234567890123456789")), split("", "0123456789012345678901234567890123456789"))`,
	} {
		_, diags := Parse("x.hcl", []byte(`job "x" { region = `+e+` }`), Options{})
		if !diags.HasErrors() {
			t.Errorf("%s was accepted", e)
		}
	}
	// Honest loops stay within it.
	src := `locals { n = [for a in split("", "` + strings.Repeat("x", 1000) + `") : "name-${a}"] }
job "x" { datacenters = [for d in local.n : upper("${d}-dc")] }`
	if _, diags := Parse("x.hcl", []byte(src), Options{}); diags.HasErrors() {
		t.Error(diags)
	}
}

func TestSourceLineCannotDriveATerminal(t *testing.T) {
	_, diags := Parse("x.hcl", []byte("job \"x\" { zzz = \"\x1b[31m\tred"+strings.Repeat("é", 200)+"\" }"), Options{})
	if s := diags.String(); strings.ContainsAny(s, "\x1b\t") || !strings.Contains(s, "…") {
		t.Errorf("%q", s)
	}
}

func TestFormat(t *testing.T) {
	out, err := Format([]byte("job   \"x\" {\ntype=\"batch\"\n  priority =5\n}\n"))
	if want := "job \"x\" {\n  type     = \"batch\"\n  priority = 5\n}\n"; err != nil || string(out) != want {
		t.Errorf("%q, %v", out, err)
	}
	_, err = Format([]byte("job \"x\" {\n  type = \n}\n"))
	if err == nil || !strings.HasPrefix(err.Error(), "<input>:2: ") {
		t.Errorf("got %v", err)
	}
	for file, src := range jobFiles(t, "good") {
		once, err := Format(src)
		if err != nil {
			t.Fatal(err)
		}
		if string(once) != string(src) {
			t.Errorf("%s is not in its canonical style", file)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		for _, src := range jobFiles(f, dir) {
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		res, diags := Parse("x.hcl", src, Options{})
		if (res == nil) != diags.HasErrors() {
			t.Fatalf("result %v with diagnostics %v", res, diags)
		}
		if res == nil {
			return
		}
		job := res.Job.Clone()
		fleet.Canonicalize(job)
		for _, d := range res.Locate(fleet.Validate(job, nil)) {
			if d.Line == 0 {
				t.Fatalf("%v has no place", d)
			}
		}
		out, err := Format(src)
		if err != nil {
			t.Fatal(err)
		}
		again, diags := Parse("x.hcl", out, Options{})
		if diags.HasErrors() {
			t.Fatalf("formatting broke the file: %v", diags)
		}
		if string(fleet.CanonicalBytes(again.Job)) != string(fleet.CanonicalBytes(res.Job)) {
			t.Fatal("formatting changed the job")
		}
		twice, err := Format(out)
		if err != nil || string(twice) != string(out) {
			t.Fatalf("formatting twice differs: %v\n%q\n%q", err, out, twice)
		}
	})
}

func TestEveryGoodFileIsReadByEveryPlatform(t *testing.T) {
	src, err := os.ReadFile("testdata/good/full.hcl")
	if err != nil {
		t.Fatal(err)
	}
	crlf := strings.ReplaceAll(string(src), "\n", "\r\n")
	a, diags := Parse("x.hcl", src, Options{})
	b, more := Parse("x.hcl", []byte(crlf), Options{})
	if diags.HasErrors() || more.HasErrors() {
		t.Fatal(diags, more)
	}
	if string(fleet.CanonicalBytes(a.Job)) != string(fleet.CanonicalBytes(b.Job)) {
		t.Error("line ends change the job")
	}
}

// What a shell is to read of ${…}: HCL takes one $ away and the device another.
func TestEscapesForTasks(t *testing.T) {
	r, diags := Parse("x.hcl", []byte("job \"a\" {\n  group \"g\" {\n    task \"t\" {\n      env { A = \"$$${HOME} ${NOMAD_DC}\" }\n    }\n  }\n}"), Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	told := r.Job.TaskGroups[0].Tasks[0].Env["A"]
	if got, err := fleet.Interpolate(told, func(text string) (string, error) { return text, nil }); err != nil || got != "${HOME} NOMAD_DC" {
		t.Errorf("%q became %q, %v", told, got, err)
	}
}
