package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/jobspec"
)

// TestExamplesAreValid: what people copy works, and is in the canonical style.
func TestExamplesAreValid(t *testing.T) {
	files, err := filepath.Glob("../../../examples/jobs/*.hcl")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	for _, file := range files {
		if r := invoke(t, nil, "fmt", "-check", file); r.code != ExitOK {
			t.Errorf("%s is not in its canonical style: run dunlin fmt", file)
		}
		if !strings.HasSuffix(file, ".pool.hcl") {
			if r := invoke(t, nil, "validate", file); r.code != ExitOK || r.err != "" {
				t.Errorf("%s: %s", file, r.err)
			}
			continue
		}
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, diags := jobspec.ParseNodePool(file, src)
		if diags.HasErrors() {
			t.Errorf("%s", diags)
		} else if err := p.Validate().Err(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
