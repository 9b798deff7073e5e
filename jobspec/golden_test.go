package jobspec

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin-edge/dunlin/fleet"
)

var rewrite = flag.Bool("rewrite", false, "write what the parser says into testdata")

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (run with -rewrite to accept):\n%s", file, diff)
	}
}

func jobFiles(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.hcl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no job files in testdata/%s: %v", dir, err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[f] = b
	}
	return out
}

func TestGoodJobFiles(t *testing.T) {
	for file, src := range jobFiles(t, "good") {
		res, diags := Parse(filepath.Base(file), src, Options{})
		if len(diags) > 0 {
			t.Errorf("%s", diags)
			continue
		}
		b, err := json.MarshalIndent(res.Job, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, strings.TrimSuffix(file, ".hcl")+".json", string(b)+"\n")
		again, err := ParseJSON(b)
		if err != nil {
			t.Errorf("%s as JSON: %v", file, err)
			continue
		}
		if got, want := string(fleet.CanonicalBytes(again)), string(fleet.CanonicalBytes(res.Job)); got != want {
			t.Errorf("%s means something else as JSON:\n%s", file, cmp.Diff(want, got))
		}
	}
}

func TestBadJobFiles(t *testing.T) {
	for file, src := range jobFiles(t, "bad") {
		res, diags := Parse(filepath.Base(file), src, Options{})
		if res != nil || !diags.HasErrors() {
			t.Errorf("%s was accepted", file)
		}
		golden(t, strings.TrimSuffix(file, ".hcl")+".txt", diags.String())
	}
}
