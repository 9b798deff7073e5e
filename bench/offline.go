package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
)

const (
	idleWritesSettle = 10 * time.Second // after the join, before the count begins
	idleWritesWindow = 90 * time.Second // of beats: three
	writeBlock       = 4096             // what flash writes at least; the handful that is not yet worth a word
	coldBoots        = 7
	coldBootLimit    = 20 * time.Second
)

// idleWrites counts what the kernel says an idle device's agent has sent to disks.
func idleWrites(ctx context.Context, r *rig) (*report, error) {
	_, c, _, err := r.server(ctx)
	if err != nil {
		return nil, err
	}
	agent, err := r.join(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := rest(ctx, idleWritesSettle); err != nil {
		return nil, err
	}
	var counts [2]int64
	for i := range counts {
		if counts[i], err = diskWrites(agent.cmd.Process.Pid); err != nil {
			return nil, err
		}
		if i == 0 {
			if err := rest(ctx, idleWritesWindow); err != nil {
				return nil, err
			}
		}
	}
	rep := &report{}
	rep.add(figure{
		Name: "bytes written to disk per idle client per hour", Unit: "B", Target: writeBlock,
		Value:      float64(counts[1]-counts[0]) * float64(time.Hour) / float64(idleWritesWindow),
		Conditions: fmt.Sprintf("write_bytes of /proc/PID/io over %s with a beat every 30 s; the target is none, and one block is the handful", idleWritesWindow),
	})
	rep.condition("%d bytes were written from the start until the count began, joining not included", counts[0])
	return rep, nil
}

func diskWrites(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, fmt.Errorf("the kernel does not count what processes write: %w", err)
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("write_bytes:")); ok {
			return strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/%d/io has no write_bytes", pid)
}

// coldBoot starts a device's agent where nothing of it runs and no server answers, again and again.
func coldBoot(ctx context.Context, r *rig) (*report, error) {
	server, c, _, err := r.server(ctx)
	if err != nil {
		return nil, err
	}
	agent, err := r.join(ctx, c)
	if err != nil {
		return nil, err
	}
	wasm, err := r.hello(ctx)
	if err != nil {
		return nil, err
	}
	digest, err := push(ctx, c, "hello", wasm)
	if err != nil {
		return nil, err
	}
	if _, err := submitOne(ctx, c, wasmJob("hello", fleet.JobTypeService, digest, 1)); err != nil {
		return nil, err
	}
	if err := server.stop(); err != nil {
		return nil, err
	}
	took := make([]time.Duration, coldBoots)
	for i := range took {
		if err := r.cutPower(ctx, agent); err != nil {
			return nil, err
		}
		begin := time.Now()
		if agent, err = r.start("agent", "agent", "-config", r.path("device", "agent.hcl")); err != nil {
			return nil, err
		}
		if err := until(ctx, coldBootLimit, func() (bool, error) { return r.oneRuns(ctx, begin), nil }); err != nil {
			return nil, fmt.Errorf("wait for the task to run without a server: %w", err)
		}
		took[i] = time.Since(begin)
	}
	slices.Sort(took)
	rep := &report{}
	rep.add(figure{Name: "cold boot offline → running", Value: took[coldBoots/2].Seconds(), Unit: "s", Target: 2,
		Conditions: fmt.Sprintf("a Go guest from the compile cache, from the agent's start until it says that the task runs; median of %d, longest %s", coldBoots, took[coldBoots-1].Round(time.Millisecond))})
	return rep, nil
}

// cutPower kills everything of the device at once and waits until it is gone.
func (r *rig) cutPower(ctx context.Context, agent *process) error {
	_ = agent.cmd.Process.Kill() // it may have ended
	<-agent.ended
	return until(ctx, stopTimeout, func() (bool, error) {
		left, err := r.processes()
		for _, p := range left {
			if q, err := os.FindProcess(p.pid); err == nil {
				_ = q.Kill() // gone meanwhile, or it is asked for again
			}
		}
		return len(left) == 0, err
	})
}

// oneRuns asks the device's agent whether a task runs that was started since then: until it has asked its host, an agent shows what
// ran before.
func (r *rig) oneRuns(ctx context.Context, since time.Time) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.local+"/v1/agent/device", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false // it does not listen yet
	}
	defer resp.Body.Close()
	var s struct {
		Allocs []struct{ Tasks map[string]*fleet.TaskState }
	}
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return false
	}
	for _, a := range s.Allocs {
		for _, task := range a.Tasks {
			if task.State == fleet.TaskRunning && task.StartedAt.After(since) {
				return true
			}
		}
	}
	return false
}
