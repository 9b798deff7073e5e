package road

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
)

// thirdPartyLimit includes compiling 20 MB of Wasm on a busy machine.
const thirdPartyLimit = 3 * time.Minute

// A large program that nobody wrote for us takes the whole road: esbuild, unchanged, says its version, and
// bundles two modules from its arguments into one, with their arithmetic done.
func TestThirdParty(t *testing.T) {
	t.Parallel()
	longTest(t)
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
		t.Skipf("esbuild's Go module cannot be downloaded, so no third-party program takes the road: %v", err)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "github.com/evanw/esbuild")
	list.Dir = dir
	version, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	g := newRegion(newRig(t), longLost)
	g.join("kiosk-1")
	g.copy(guests.BuildPackage(t, dir, pkg), "esbuild.wasm")
	job := func(name, args string) string {
		text := strings.Replace(wasmJob(name, "batch", "esbuild", "  env {\n    NO_COLOR = \"1\"\n  }"), "memory = 16", "memory = 256", 1)
		return g.write(name+".hcl", strings.Replace(text, `esbuild.wasm"`, `esbuild.wasm"`+"\n    args = "+args, 1))
	}
	through := func(name string) string {
		t.Helper()
		var a *fleet.AllocationListStub
		until(t, thirdPartyLimit, name+" ended", func() error {
			all, err := g.allocs(name)
			if err != nil || len(all) == 0 || !ended(all[0]) {
				return errorf("%s (%v); %s", describe(all), err, g.dunlin("logs", "-stderr", name))
			}
			a = all[0]
			return nil
		})
		if a.ClientStatus != fleet.ClientComplete {
			t.Fatalf("%s: %s\n%s", name, describe([]*fleet.AllocationListStub{a}), g.ok("alloc", "status", string(a.ID)))
		}
		return g.ok("logs", name)
	}
	g.ok("run", job("version", `["--version"]`))
	if got, want := strings.TrimSpace(through("version")), strings.TrimPrefix(strings.TrimSpace(string(version)), "v"); got != want {
		t.Errorf("esbuild says it is %q, want %q", got, want)
	}
	// Work, not only a greeting. The sources are data URLs: a task has no files of its own, its input never ends,
	// and esbuild takes "=" and "*" in a name for an output file and a pattern.
	g.ok("run", job("build", `["--bundle", "--minify", "--footer:js=/* ${NOMAD_JOB_ID} */", "data:text/javascript,import wings from 'data:text/javascript,export default 40+2'; console.log(wings)"]`))
	if got := through("build"); !strings.Contains(got, "=42") || !strings.Contains(got, "console.log(") || strings.Contains(got, "import") || !strings.Contains(got, "/* build */") {
		t.Errorf("esbuild built %q", got)
	}
}
