//go:build linux

package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/drivertest"
	"github.com/dunlin-edge/dunlin/drivers/drivertest/program"
	"github.com/dunlin-edge/dunlin/runtime/engine"
)

func TestMain(m *testing.M) { drivertest.Main(m) }

// buildGuest builds the suite's program for wasip1 and returns its path and digest.
func buildGuest(t *testing.T) (path, digest string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "../drivertest/guest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	code, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(code)
	return path, "sha256:" + hex.EncodeToString(sum[:])
}

func TestConformance(t *testing.T) {
	path, digest := buildGuest(t)
	state, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	_, connect := drivertest.HostClients(t)
	drivertest.Run(t, drivertest.Harness{
		New: func(t *testing.T) (driver.Driver, func()) {
			c := connect(t)
			return New(Options{Host: c, StateDir: state, CacheDir: cache}), func() { c.Close() }
		},
		Config: func(t *testing.T, s program.Spec) (json.RawMessage, map[string]string) {
			cfg := config.Wasm{Module: digest, Args: []string{s.Encode()}}
			if s.OnStop != program.StopDefault {
				cfg.Stop = config.StopStdin
			}
			raw, err := json.Marshal(cfg)
			if err != nil {
				t.Fatal(err)
			}
			return raw, map[string]string{digest: path}
		},
		BadConfigs: []string{
			`{}`, `{"modul":"x"}`, `{"module":"./local.wasm"}`, `{"module":"sha256:12"}`,
			`{"module":"sha256:` + strings.Repeat("0", 64) + `"}`, `{"module":"` + digest + `","stop":"maybe"}`,
		},
	})
}

func testTask(t *testing.T, d driver.Driver, config string, artifacts map[string]string) driver.Exit {
	t.Helper()
	dir := t.TempDir()
	h, err := d.Start(context.Background(), driver.Task{
		ID: t.Name() + "/main", Name: "main", AllocDir: dir, TaskDir: dir, LogDir: dir,
		Config: json.RawMessage(config), Artifacts: artifacts,
	})
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.Wait(context.Background(), h)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// What is wrong with a module shows at the task's end, in words.
func TestFileThatIsNoModule(t *testing.T) {
	_, connect := drivertest.HostClients(t)
	c := connect(t)
	defer c.Close()
	d := New(Options{Host: c, StateDir: t.TempDir(), CacheDir: filepath.Join(t.TempDir(), "cache")})
	path := filepath.Join(t.TempDir(), "x.wasm")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("#!/bin/sh\n"))
	digest := "sha256:" + hex.EncodeToString(sum[:])
	e := testTask(t, d, `{"module":"`+digest+`"}`, map[string]string{digest: path})
	if e.Succeeded() || e.Err == "" || e.Code != engine.ExitNotStarted {
		t.Errorf("exit is %+v", e)
	}
}

func TestSpecGivesTheGuestOnlyWhatItsTaskDeclares(t *testing.T) {
	d := New(Options{CacheDir: "/cache"})
	digest := "sha256:" + strings.Repeat("a", 64)
	s, err := d.spec(driver.Task{Name: "web", AllocDir: "/a", TaskDir: "/a/web", MemoryBytes: 64 << 20, Artifacts: map[string]string{digest: "/m"}},
		config.Wasm{Module: "https://example.org/x.wasm#" + digest, Args: []string{"-v"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []engine.Mount{{Host: "/a", Guest: "/alloc"}, {Host: "/a/web", Guest: "/local"}}
	if s.Module != "/m" || s.Digest != digest || s.Name != "web" || !slices.Equal(s.Args, []string{"-v"}) || !slices.Equal(s.Mounts, want) || s.MemoryMaxBytes != 64<<20 {
		t.Errorf("spec is %+v", s)
	}
}

func TestMergeEnvPrefersTheTask(t *testing.T) {
	got := mergeEnv([]string{"ZONEINFO=/z", "SSL_CERT_FILE=/c"}, []string{"A=1", "ZONEINFO=/mine"})
	if want := []string{"SSL_CERT_FILE=/c", "A=1", "ZONEINFO=/mine"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A prepared module is found in the cache by its start, and what is wrong with one is said in words.
func TestPrepare(t *testing.T) {
	// A command that does nothing: what is compiled does not matter here, and the race detector makes compiles slow.
	code := []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x07\x0a\x01\x06_start\x00\x00\x0a\x04\x01\x02\x00\x0b")
	path := filepath.Join(t.TempDir(), "nop.wasm")
	if err := os.WriteFile(path, code, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(code)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	cache := filepath.Join(t.TempDir(), "cache")
	d := New(Options{CacheDir: cache})
	task := driver.Task{Name: "main", Config: json.RawMessage(`{"module":"` + digest + `"}`), Artifacts: map[string]string{digest: path}}
	for range 2 {
		if err := d.Prepare(context.Background(), task); err != nil {
			t.Fatal(err)
		}
	}
	rep := engine.Prepare().Run(context.Background(), engine.Spec{Module: path, Digest: digest, Name: "main", CacheDir: cache}, strings.NewReader(""), io.Discard, io.Discard)
	if rep.Error != "" || !rep.CacheHit && rep.EngineCompile {
		t.Errorf("the start that follows reports %+v", rep)
	}
	bad := filepath.Join(t.TempDir(), "x.wasm")
	if err := os.WriteFile(bad, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	task.Artifacts[digest] = bad
	if err := d.Prepare(context.Background(), task); err == nil || !strings.Contains(err.Error(), "it is damaged or another file") {
		t.Errorf("a damaged module: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.Prepare(ctx, task); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}
