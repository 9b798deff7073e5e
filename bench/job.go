package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

// push gives a module to the region and returns its digest.
func push(ctx context.Context, c *api.Client, name string, wasm []byte) (string, error) {
	digest := digestOf(wasm)
	if _, err := c.PushModule(ctx, digest, name, bytes.NewReader(wasm), int64(len(wasm))); err != nil {
		return "", fmt.Errorf("push %s: %w", name, err)
	}
	return digest, nil
}

func digestOf(wasm []byte) string {
	sum := sha256.Sum256(wasm)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// wasmJob is a job of one group with one small task.
func wasmJob(id, kind, digest string, count int) *fleet.Job {
	config, err := json.Marshal(map[string]string{"module": digest})
	if err != nil {
		panic(err) // a map of strings always encodes
	}
	cpu, memoryMB, kill := 10, 10, fleet.Duration(100*time.Millisecond)
	return &fleet.Job{
		ID: fleet.JobID(id), Name: id, Type: kind, Datacenters: []string{"dc1"},
		TaskGroups: []fleet.TaskGroup{{Name: "g", Count: &count, Tasks: []fleet.Task{{
			Name: "t", Driver: "wasm", Config: config, KillTimeout: &kill,
			Resources: &fleet.Resources{CPU: &cpu, MemoryMB: &memoryMB},
		}}}},
	}
}

// hello builds the module of examples/hello, a Go program of some 2.6 MB.
func (r *rig) hello(ctx context.Context) ([]byte, error) {
	out := r.path("hello.wasm")
	if err := build(ctx, out, []string{"GOOS=wasip1", "GOARCH=wasm"}, "./examples/hello"); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// build compiles a package of this module, found from the working directory.
func build(ctx context.Context, out string, env []string, args ...string) error {
	c := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", out}, args...)...)
	c.Env = append(os.Environ(), env...)
	if said, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %v: %w: %s", args, err, tail(said))
	}
	return nil
}
