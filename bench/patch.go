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

// addition is a statement that a rebuilt program has more, at the start of a function.
type addition struct{ source, function, statement string }

// patchSizes rebuilds programs with a statement more in main and one more in a library that they use, and measures what would go to a
// device that holds the version before.
func patchSizes(ctx context.Context, r *rig) (*report, error) {
	rep := &report{}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	std := func(file string) string { return filepath.Join(strings.TrimSpace(string(root)), "src", file) }
	library := addition{std("fmt/print.go"), "func newPrinter() *pp {", `if ppFree.New == nil { panic("no printers are made") }`}
	for _, m := range []struct {
		name, pkg, source string
		target            float64 // bytes of the delta
	}{
		{"hello", "./examples/hello", "examples/hello/main.go", 0},
		{"go cover", "cmd/cover", std("cmd/cover/cover.go"), 60_000},
		{"go vet", "cmd/vet", std("cmd/vet/main.go"), 60_000},
	} {
		before, after, err := r.versions(ctx, m.pkg, addition{m.source, "func main() {", `println("one line more")`}, library)
		if err != nil {
			return nil, err
		}
		if err := formSizes(ctx, rep, fmt.Sprintf("%s, %.1f MB", m.name, float64(len(after))/1e6), m.target, before, after); err != nil {
			return nil, err
		}
	}
	rep.condition("Go programs for wasip1, stripped, rebuilt with a println in main and a comparison in package fmt; the target is for a module of 9 MB")
	return rep, nil
}

// formSizes measures each form of a module for devices that hold the one before.
func formSizes(ctx context.Context, rep *report, what string, target float64, before, after []byte) error {
	base, module := bytes.NewReader(before), bytes.NewReader(after)
	for _, f := range []struct {
		name, made string
		target     float64
		encode     func(w io.Writer) error
	}{
		{"delta", "make the delta", target, func(w io.Writer) error {
			return patch.EncodeDelta(ctx, w, base, base.Size(), module, module.Size())
		}},
		{"patch, for older devices", "make the patch", 0, func(w io.Writer) error {
			return patch.Encode(ctx, w, base, base.Size(), module, module.Size())
		}},
		{"compressed", "compress", 0, func(w io.Writer) error { return patch.Compress(ctx, w, module, module.Size()) }},
	} {
		var form bytes.Buffer
		module.Reset(after)
		begin := time.Now()
		if err := f.encode(&form); err != nil {
			return err
		}
		took, size := time.Since(begin), form.Len()
		rep.add(figure{Name: what + ": " + f.name, Value: float64(size), Unit: "B", Target: f.target})
		rep.add(figure{Name: what + ": " + f.made, Value: millis(took), Unit: "ms"})
		if f.name != "delta" {
			continue
		}
		begin = time.Now()
		p, err := patch.NewReader(&form, module.Size(), base, base.Size())
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, p); err != nil {
			return err
		}
		rep.add(figure{Name: what + ": apply the delta", Value: millis(time.Since(begin)), Unit: "ms"})
	}
	return nil
}

// versions builds a package as it is, and with statements more.
func (r *rig) versions(ctx context.Context, pkg string, more ...addition) (before, after []byte, err error) {
	replace := map[string]string{}
	for i, a := range more {
		source, err := filepath.Abs(a.source)
		if err != nil {
			return nil, nil, err
		}
		text, err := os.ReadFile(source)
		if err != nil {
			return nil, nil, err
		}
		if !strings.Contains(string(text), a.function) {
			return nil, nil, fmt.Errorf("%s has no %q to add a statement to", source, a.function)
		}
		replace[source] = r.path(fmt.Sprintf("changed%d.go", i))
		changed := strings.Replace(string(text), a.function, a.function+"\n\t"+a.statement, 1)
		if err := os.WriteFile(replace[source], []byte(changed), 0o600); err != nil {
			return nil, nil, err
		}
	}
	overlay := r.path("overlay.json")
	doc, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
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
