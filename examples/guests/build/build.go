// Package guests makes Wasm programs for tests: real ones, built by the Go toolchain from the folders beside this one
// (Build), and tiny ones of a few hundred bytes, assembled on the spot (Tiny…).
//
// Built modules land in the user's cache folder, by a name that holds the toolchain's version; the Go build cache decides
// whether anything is compiled. Safe for parallel tests and parallel test processes: files are put in place by rename.
package guests

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// Names lists the Go guests that Build knows.
var Names = []string{"cat", "eat", "exit", "files", "panic", "report", "shout", "spin"}

var building sync.Map // package path → *sync.Once with result

type built struct {
	once sync.Once
	path string
	err  error
	out  []byte
}

// Build compiles the guest of that name (a folder in examples/guests, or "hello") and returns the path of its module.
// It fails the test when the toolchain cannot build it.
func Build(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(sourceDir(t), name)
	if name == "hello" {
		dir = filepath.Join(sourceDir(t), "..", "hello")
	}
	return BuildPackage(t, dir, ".")
}

// BuildPackage compiles package pkg as seen from folder dir, which may be in another Go module, for GOOS=wasip1.
func BuildPackage(t testing.TB, dir, pkg string) string {
	t.Helper()
	v, _ := building.LoadOrStore(dir+" "+pkg, &built{})
	b := v.(*built)
	b.once.Do(func() { b.build(dir, pkg) })
	if b.err != nil {
		t.Fatalf("build guest %s in %s: %v\n%s", pkg, dir, b.err, b.out)
	}
	return b.path
}

func (b *built) build(dir, pkg string) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "dunlin-test-guests", runtime.Version())
	if b.err = os.MkdirAll(cache, 0o700); b.err != nil {
		return
	}
	name := filepath.Base(dir)
	if pkg != "." {
		name = filepath.Base(pkg)
	}
	tmp, err := os.CreateTemp(cache, name+"-*.tmp")
	if err != nil {
		b.err = err
		return
	}
	defer os.Remove(tmp.Name())
	tmp.Close()
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", tmp.Name(), pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0")
	if b.out, b.err = cmd.CombinedOutput(); b.err != nil {
		return
	}
	b.path = filepath.Join(cache, name+".wasm")
	b.err = os.Rename(tmp.Name(), b.path)
}

// Write puts a tiny module into the test's own folder and returns its path.
func Write(t testing.TB, wasm []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.wasm")
	if err := os.WriteFile(path, wasm, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sourceDir is examples/guests, found from this file's own place.
func sourceDir(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		t.Fatal("the guests' sources cannot be found: the test was built with -trimpath")
	}
	return filepath.Dir(filepath.Dir(file))
}
