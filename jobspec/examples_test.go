package jobspec

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

// The jobs that are shown are jobs: each parses and has nothing wrong, and what it
// does not do is not promised.
func TestExampleJobs(t *testing.T) {
	files, err := filepath.Glob("../examples/jobs/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d example jobs, %v", len(files), err)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := Format(src); err != nil || !bytes.Equal(out, src) {
			t.Errorf("%s is not in its canonical style: run dunlin fmt (%v)", name, err)
		}
		parsed, diags := Parse(name, src, Options{})
		if err := diags.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		fleet.Canonicalize(parsed.Job)
		if ps := fleet.Validate(parsed.Job, nil); len(ps) > 0 {
			t.Errorf("%s: %v", name, ps)
		}
	}
}

func TestExamplePools(t *testing.T) {
	files, err := filepath.Glob("../examples/pools/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d example pools, %v", len(files), err)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, diags := ParseNodePool(name, src); diags.Err() != nil {
			t.Errorf("%s: %v", name, diags.Err())
		}
	}
}
