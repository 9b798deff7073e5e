package engine_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dunlin-edge/dunlin/runtime/engine"
)

// A guest has a writable and a read-only folder, and tries to get further by every way that paths offer.
func TestMountsCannotBeLeft(t *testing.T) {
	base := t.TempDir()
	data, ro, outside := filepath.Join(base, "data"), filepath.Join(base, "ro"), filepath.Join(base, "outside")
	for _, dir := range []string{data, ro, outside, filepath.Join(data, "sub")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, content := range map[string]string{outside + "/secret": "treasure", ro + "/fact": "given", data + "/sub/leaf": "green"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{data + "/abs": outside, data + "/inside": "sub/leaf", data + "/dangling": "../outside/new"} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	mount := func(s *engine.Spec) {
		s.Mounts = []engine.Mount{{Host: data, Guest: "/data"}, {Host: ro, Guest: "/ro", ReadOnly: true}}
	}
	for _, c := range []struct {
		args []string
		ok   bool
		out  string
	}{
		{[]string{"write", "/data/new", "x"}, true, ""},
		{[]string{"read", "/data/new"}, true, "x"},
		{[]string{"read", "/data/inside"}, true, "green"},
		{[]string{"read", "/data/sub/../sub/leaf"}, true, "green"},
		{[]string{"list", "/data/sub"}, true, "leaf\n"},
		{[]string{"read", "/ro/fact"}, true, "given"},
		{[]string{"write", "/ro/fact", "x"}, false, ""},
		{[]string{"write", "/ro/new", "x"}, false, ""},
		{[]string{"remove", "/ro/fact"}, false, ""},
		{[]string{"read", "/data/../outside/secret"}, false, ""},
		{[]string{"read", "/data/abs/secret"}, false, ""},
		{[]string{"list", "/data/abs"}, false, ""},
		{[]string{"remove", "/data/abs/secret"}, false, ""},
		{[]string{"write", "/data/dangling", "x"}, false, ""},
		{[]string{"symlink", "../outside", "/data/mine"}, true, ""}, // the link may be made, but leads nowhere
		{[]string{"read", "/data/mine/secret"}, false, ""},
		{[]string{"write", "/data/mine/new", "x"}, false, ""},
		{[]string{"symlink", "x", "/data/mine/link"}, false, ""},
		{[]string{"read", "/etc/hostname"}, false, ""},
		{[]string{"remove", "/data/mine"}, true, ""},
	} {
		r := runGo(t, "files", "", mount, c.args...)
		if ok := r.ExitCode == 0; ok != c.ok || r.out != c.out {
			t.Errorf("%q: exit code %d, output %q, %s", c.args, r.ExitCode, r.out, r.err)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside was touched: %v, %v", entries, err)
	}
	if b, err := os.ReadFile(ro + "/fact"); err != nil || string(b) != "given" {
		t.Errorf("read-only file is now %q, %v", b, err)
	}
}
