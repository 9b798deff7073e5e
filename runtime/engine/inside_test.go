package engine

import (
	"archive/zip"
	"bytes"
	"crypto/x509"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTrimCacheDropsTheOldest(t *testing.T) {
	root := t.TempDir()
	for i, name := range []string{"a", "b", "c", "d"} {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "code"), make([]byte, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		made := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(dir, made, made); err != nil {
			t.Fatal(err)
		}
	}
	if err := trimCache(root, filepath.Join(root, "a"), 2500); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(root, "*"))
	if err != nil || len(left) != 2 || filepath.Base(left[0]) != "a" || filepath.Base(left[1]) != "d" {
		t.Errorf("left %q, %v; want the one to keep and the newest", left, err)
	}
}

// What this binary carries for machines that have nothing.
func TestOwnZonesAndRoots(t *testing.T) {
	z, err := zip.NewReader(bytes.NewReader(zoneinfo), int64(len(zoneinfo)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := z.Open("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := time.LoadLocationFromTZData("Europe/Berlin", data); err != nil {
		t.Error(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(rootsPEM()) {
		t.Error("no certificate can be read back")
	}
	state := t.TempDir()
	mount, guest, err := ownMount(state, "roots", "ca.crt", guestRoots, rootsPEM)
	if err != nil || guest != "/etc/ssl/certs/ca.crt" || !mount.ReadOnly {
		t.Fatalf("%+v, %q, %v", mount, guest, err)
	}
	file := filepath.Join(mount.Host, "ca.crt")
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ownMount(state, "roots", "ca.crt", guestRoots, rootsPEM); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
		t.Errorf("it was written again: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(mount.Host, "*")); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
}

func TestProcessExit(t *testing.T) {
	for code, want := range map[int]int{0: 0, 7: 7, 255: 255, 256: 255, -1: 255} {
		if got := (&Report{ExitCode: code}).processExit(); got != want {
			t.Errorf("exit code %d becomes %d, want %d", code, got, want)
		}
	}
}
