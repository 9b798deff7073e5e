package agent_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/edge/agent"
	"github.com/dunlin-edge/dunlin/edge/statedb"
)

func TestGeneralize(t *testing.T) {
	dir := t.TempDir()
	quiet := slog.New(slog.DiscardHandler)
	gone := []string{"tls/identity.pem", "tls/key.pem", "tls/cert.pem", "tls/cert.pem.damaged", "alloc/x/alloc/logs/t.stdout.0", "host/ends"}
	stays := []string{"tls/ca.pem", "agent.hcl", "modules/sha256/aa", "invite"}
	for _, name := range append(gone, stays...) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, _, err := statedb.Open(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	err = agent.Generalize(dir, filepath.Join(dir, "tls"))
	if err == nil || !strings.Contains(err.Error(), "agent runs") {
		t.Errorf("beside a running agent: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "tls", "key.pem")); err != nil {
		t.Error("a refusal removed the key")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range statedb.Files() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time there is nothing left to remove
		if err := agent.Generalize(dir, filepath.Join(dir, "tls")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range append(gone, statedb.Files()...) {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	for _, name := range stays {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "server"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := agent.Generalize(dir, filepath.Join(dir, "tls")); err == nil {
		t.Error("a server's folder was generalized")
	}
}
