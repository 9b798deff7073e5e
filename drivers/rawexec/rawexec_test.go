//go:build linux

package rawexec

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/drivertest"
	"github.com/dunlin-edge/dunlin/drivers/drivertest/program"
)

func TestMain(m *testing.M) { drivertest.Main(m) }

func TestConformance(t *testing.T) {
	_, connect := drivertest.HostClients(t)
	drivertest.Run(t, drivertest.Harness{
		New: func(t *testing.T) (driver.Driver, func()) {
			c := connect(t)
			return New(Options{Host: c, Enabled: true}), func() { c.Close() }
		},
		Config: func(t *testing.T, s program.Spec) (json.RawMessage, map[string]string) {
			command, args := drivertest.NativeCommand(t, s)
			raw, err := json.Marshal(config.RawExec{Command: command, Args: args})
			if err != nil {
				t.Fatal(err)
			}
			return raw, nil
		},
		BadConfigs: []string{
			`{}`, `{"comand":"sh"}`, `{"command":7}`, `nonsense`,
			`{"command":"no-such-program"}`, `{"command":"/etc/passwd"}`, `{"command":"/"}`, `{"command":"./missing"}`,
		},
		Children: true,
	})
}

func TestNotEnabled(t *testing.T) {
	d := New(Options{})
	if p := d.Fingerprint(context.Background()); p.Healthy || p.Attributes["driver.raw_exec"] != "" || !strings.Contains(p.Description, "config must enable it") {
		t.Errorf("fingerprint is %+v", p)
	}
	_, err := d.Start(context.Background(), driver.Task{ID: "a/b"})
	if err == nil || driver.IsRecoverable(err) {
		t.Errorf("start: %v", err)
	}
}

func TestVolumesAreRefused(t *testing.T) {
	d, dir := New(Options{Enabled: true}), t.TempDir()
	_, err := d.Start(context.Background(), driver.Task{
		ID: "a/b", Name: "b", AllocDir: dir, TaskDir: dir, LogDir: dir, Config: json.RawMessage(`{"command":"true"}`),
		Volumes: []driver.Volume{{Name: "certs", Host: dir, Guest: "/certs"}},
	})
	if err == nil || driver.IsRecoverable(err) || !strings.Contains(err.Error(), "raw_exec cannot mount /certs") {
		t.Errorf("start: %v", err)
	}
}

// The task's environment is what the job says, and nothing of the agent's or the host's.
func TestEnvironmentIsTheTasksOwn(t *testing.T) {
	t.Setenv("AGENT_SECRET", "do not tell")
	_, connect := drivertest.HostClients(t)
	c := connect(t)
	defer c.Close()
	d := New(Options{Host: c, Enabled: true})
	dir := t.TempDir()
	h, err := d.Start(context.Background(), driver.Task{
		ID: "env/main", Name: "main", AllocDir: dir, TaskDir: dir, LogDir: dir,
		Env:    map[string]string{"A": "1", "PATH": "/usr/bin:/bin"},
		Config: json.RawMessage(`{"command":"env"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := d.Wait(context.Background(), h); err != nil || !e.Succeeded() {
		t.Fatalf("%+v, %v", e, err)
	}
	text, err := os.ReadFile(dir + "/main.stdout.0")
	if err != nil {
		t.Fatal(err)
	}
	if want := "A=1\nPATH=/usr/bin:/bin\nDUNLIN_TASK_INSTANCE=env/main#0\n"; string(text) != want {
		t.Errorf("environment is %q, want %q", text, want)
	}
}
