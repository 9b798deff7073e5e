package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/wire/patch"
)

// patchSizes rebuilds two programs with one statement more and measures what would go to a device that holds the version before.
func patchSizes(ctx context.Context, r *rig) (*report, error) {
	rep := &report{}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	for _, m := range []struct {
		name, pkg, source string
		target            float64 // bytes of the patch
	}{
		{"hello", "./examples/hello", "examples/hello/main.go", 0},
		{"go vet", "cmd/vet", filepath.Join(strings.TrimSpace(string(root)), "src/cmd/vet/main.go"), 60_000},
	} {
		before, after, err := r.versions(ctx, m.pkg, m.source)
		if err != nil {
			return nil, err
		}
		var form, compressed bytes.Buffer
		begin := time.Now()
		if err := patch.Compress(ctx, &compressed, bytes.NewReader(after), int64(len(after))); err != nil {
			return nil, err
		}
		compressing := time.Since(begin)
		begin = time.Now()
		if err := patch.Encode(ctx, &form, bytes.NewReader(before), int64(len(before)), bytes.NewReader(after), int64(len(after))); err != nil {
			return nil, err
		}
		encoding, size := time.Since(begin), form.Len()
		begin = time.Now()
		p, err := patch.NewReader(&form, int64(len(after)), bytes.NewReader(before), int64(len(before)))
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(io.Discard, p); err != nil {
			return nil, err
		}
		what := fmt.Sprintf("%s, %.1f MB", m.name, float64(len(after))/1e6)
		rep.add(figure{Name: what + ": patch", Value: float64(size), Unit: "B", Target: m.target})
		rep.add(figure{Name: what + ": compressed", Value: float64(compressed.Len()), Unit: "B"})
		rep.add(figure{Name: what + ": make the patch", Value: millis(encoding), Unit: "ms"})
		rep.add(figure{Name: what + ": compress", Value: millis(compressing), Unit: "ms"})
		rep.add(figure{Name: what + ": apply the patch", Value: millis(time.Since(begin)), Unit: "ms"})
	}
	rep.condition("Go programs for wasip1, stripped, rebuilt with a println at the start of main; the target is for a module of 9 MB")
	return rep, nil
}

// versions builds a package as it is, and with one statement more.
func (r *rig) versions(ctx context.Context, pkg, source string) (before, after []byte, err error) {
	source, err = filepath.Abs(source)
	if err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(source)
	if err != nil {
		return nil, nil, err
	}
	const main = "func main() {"
	if !strings.Contains(string(text), main) {
		return nil, nil, fmt.Errorf("%s has no %q to add a statement to", source, main)
	}
	changed, overlay := r.path("changed.go"), r.path("overlay.json")
	doc, err := json.Marshal(map[string]map[string]string{"Replace": {source: changed}})
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), main, main+"\n\tprintln(\"one line more\")", 1)), 0o600); err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(overlay, doc, 0o600); err != nil {
		return nil, nil, err
	}
	env, out := []string{"GOOS=wasip1", "GOARCH=wasm"}, r.path("version.wasm")
	if err := build(ctx, out, env, pkg); err != nil {
		return nil, nil, err
	}
	if before, err = os.ReadFile(out); err != nil {
		return nil, nil, err
	}
	if err := build(ctx, out, env, "-overlay", overlay, pkg); err != nil {
		return nil, nil, err
	}
	after, err = os.ReadFile(out)
	return before, after, err
}
