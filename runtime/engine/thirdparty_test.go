package engine_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/runtime/engine"
)

// A large program that nobody wrote for us does its work as a guest: esbuild bundles a small site.
func TestThirdPartyProgram(t *testing.T) {
	const pkg = "github.com/evanw/esbuild/cmd/esbuild"
	dir, err := filepath.Abs("../../examples/thirdparty")
	if err != nil {
		t.Fatal(err)
	}
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "github.com/evanw/esbuild")
	download.Dir = dir
	if out, err := download.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("esbuild's Go module cannot be downloaded: %v\n%s", err, out)
		}
		t.Skipf("esbuild's Go module cannot be downloaded, so the third-party program is not tried: %v", err)
	}
	s := spec(t, guests.BuildPackage(t, dir, pkg), "--bundle", "--minify-syntax", "--log-level=warning", "/main.js", "--outfile=/out/app.js")
	outDir := t.TempDir()
	s.CacheDir = sharedCache
	s.MemoryMaxBytes = 256 << 20
	s.Mounts = []engine.Mount{{Host: filepath.Join(dir, "site"), Guest: "/", ReadOnly: true}, {Host: outDir, Guest: "/out"}}
	r := run(t, s, "")
	if r.Error != "" || r.ExitCode != 0 {
		t.Fatalf("%+v", r)
	}
	bundle, err := os.ReadFile(filepath.Join(outDir, "app.js"))
	if err != nil {
		t.Fatal(err)
	}
	if js := string(bundle); !strings.Contains(js, "wing beats of") || !strings.Contains(js, `greet("dunlin")`) || strings.Contains(js, "import") || strings.Contains(js, "must not be") {
		t.Errorf("bundle: %s", js)
	}
	t.Logf("%d MiB of memory, compile %d ms (from cache: %t), run %d ms", r.MemoryBytes>>20, r.CompileNanos/1e6, r.CacheHit, r.RunNanos/1e6)
}
