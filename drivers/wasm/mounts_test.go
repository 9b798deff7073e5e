//go:build linux

package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/drivertest"
	"github.com/dunlin-edge/dunlin/runtime/engine"
)

// TestVolumes: a guest in its process reads what its device offers, writes where it may, and gets nowhere else.
func TestVolumes(t *testing.T) {
	base := t.TempDir()
	module := filepath.Join(base, "files.wasm")
	build := exec.Command("go", "build", "-trimpath", "-o", module, "../../examples/guests/files")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	code, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(code)
	digest := "sha256:" + hex.EncodeToString(sum[:])

	certs, data := filepath.Join(base, "certs"), filepath.Join(base, "data")
	for _, dir := range []string{certs, data} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, content := range map[string]string{base + "/secret": "treasure", certs + "/ca.pem": "trust me"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret", certs+"/link"); err != nil {
		t.Fatal(err)
	}
	_, connect := drivertest.HostClients(t)
	c := connect(t)
	defer c.Close()
	d := New(Options{Host: c, StateDir: t.TempDir(), CacheDir: filepath.Join(t.TempDir(), "cache")})
	for i, tc := range []struct {
		args []string
		ok   bool
		out  string
	}{
		{[]string{"read", "/certs/ca.pem"}, true, "trust me"},
		{[]string{"list", "/certs"}, true, "ca.pem\nlink\n"},
		{[]string{"write", "/certs/ca.pem", "x"}, false, ""},
		{[]string{"write", "/certs/new", "x"}, false, ""},
		{[]string{"remove", "/certs/ca.pem"}, false, ""},
		{[]string{"read", "/certs/../secret"}, false, ""},
		{[]string{"read", "/certs/link"}, false, ""},
		{[]string{"symlink", "../secret", "/certs/mine"}, false, ""},
		{[]string{"write", "/data/new", "x"}, true, ""},
		{[]string{"read", "/data/new"}, true, "x"},
		{[]string{"symlink", "../secret", "/data/mine"}, true, ""}, // it may be made, and leads nowhere
		{[]string{"read", "/data/mine"}, false, ""},
	} {
		dir := t.TempDir()
		raw, err := json.Marshal(config.Wasm{Module: digest, Args: tc.args})
		if err != nil {
			t.Fatal(err)
		}
		h, err := d.Start(context.Background(), driver.Task{
			ID: t.Name() + "/main", Attempt: uint64(i), Name: "main", AllocDir: dir, TaskDir: dir, LogDir: dir, Config: raw, Artifacts: map[string]string{digest: module},
			Volumes: []driver.Volume{{Name: "certs", Host: certs, Guest: "/certs", ReadOnly: true}, {Name: "data", Host: data, Guest: "/data"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		e, err := d.Wait(context.Background(), h)
		out, _ := os.ReadFile(filepath.Join(dir, "main.stdout.0"))
		if err != nil || e.Succeeded() != tc.ok || string(out) != tc.out {
			t.Errorf("%q: %+v, %v, output %q", tc.args, e, err, out)
		}
		if err := d.Destroy(context.Background(), h); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(base + "/secret"); err != nil || string(b) != "treasure" {
		t.Errorf("what lies outside is now %q, %v", b, err)
	}
}

func TestMounts(t *testing.T) {
	if _, err := volumeMounts([]driver.Volume{{Name: "v", Host: "/h", Guest: "/local"}}); err == nil {
		t.Error("a volume over the task's own folder")
	}
	own := []engine.Mount{{Host: "/mine", Guest: "/etc/ssl/certs"}}
	got := addMounts(own, []engine.Mount{{Host: "/etc/ssl/certs", Guest: "/etc/ssl/certs", ReadOnly: true}, {Host: "/z", Guest: "/z"}})
	if want := []engine.Mount{{Host: "/mine", Guest: "/etc/ssl/certs"}, {Host: "/z", Guest: "/z"}}; !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}
