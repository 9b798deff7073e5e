package compat

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// agent is a dev agent of the surrounding repository, in a process of its own.
type agent struct {
	address string // of the HTTP API
	wasm    string // the hello program, compiled
}

// built is made once for all tests.
var built = sync.OnceValues(build)

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := built(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

func build() (string, error) {
	dir, err := os.MkdirTemp("", "compat")
	if err != nil {
		return "", err
	}
	for _, c := range []struct {
		out, pkg string
		env      []string
	}{
		{"dunlin", "./cmd/dunlin", []string{"CGO_ENABLED=0"}},
		{"hello.wasm", "./examples/hello", []string{"GOOS=wasip1", "GOARCH=wasm"}},
	} {
		cmd := exec.Command("go", "build", "-C", filepath.Join("..", ".."), "-o", filepath.Join(dir, c.out), c.pkg)
		cmd.Env = append(os.Environ(), c.env...)
		if text, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", c.pkg, err, text)
		}
	}
	return dir, nil
}

// start runs a dev agent until the test ends, and returns once its API answers.
func start(t *testing.T) *agent {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	// Short, because sockets are made below it; and apart from a user's agent.
	home, err := os.MkdirTemp("", "dn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	a := &agent{address: "http://" + freePort(t, "tcp"), wasm: filepath.Join(dir, "hello.wasm")}
	cmd := exec.Command(filepath.Join(dir, "dunlin"), "agent", "-dev", "-http", a.address[len("http://"):], "-quic", freePort(t, "udp"))
	cmd.Env = append(os.Environ(), "TMPDIR="+home, "HOME="+home, "XDG_RUNTIME_DIR="+home, "XDG_CONFIG_HOME="+home)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.WaitDelay = 10 * time.Second // output that outlives the agent does not hold the test
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { stop(t, cmd, ended, &log) })
	for tick, late := time.Tick(50*time.Millisecond), time.After(waitMax); ; {
		select {
		case <-tick:
			if res, err := http.Get(a.address + "/v1/agent/health"); err == nil {
				_ = res.Body.Close()
				if res.StatusCode == http.StatusOK {
					return a
				}
			}
		case err := <-ended:
			ended <- err
			t.Fatalf("the agent ended: %v", err)
		case <-late:
			t.Fatal("the agent does not answer")
		}
	}
}

// stop asks the agent to end, and puts an end to it if it does not.
func stop(t *testing.T, cmd *exec.Cmd, ended <-chan error, log *bytes.Buffer) {
	_ = cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the agent ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
		t.Error("the agent did not end within 30s of its interrupt")
	}
	if t.Failed() {
		t.Logf("the agent wrote:\n%s", log)
	}
}

// freePort finds a port that was free a moment ago.
func freePort(t *testing.T, network string) string {
	t.Helper()
	var l io.Closer
	var address string
	if network == "tcp" {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, address = tcp, tcp.Addr().String()
	} else {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, address = udp, udp.LocalAddr().String()
	}
	_ = l.Close()
	return address
}

// push gives the region the hello program and returns its digest. Modules are
// Dunlin's own, so the official client has no call for it.
func (a *agent) push(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(a.wasm)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	req, err := http.NewRequest(http.MethodPut, a.address+"/v1/module/"+digest+"?name=hello.wasm", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		t.Fatalf("push: %s: %s", res.Status, text)
	}
	return digest
}
