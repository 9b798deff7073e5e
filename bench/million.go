package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
)

// The million: 1,000 batch jobs × 1,000 on 5,000 nodes.
var (
	millionJobs  = flag.Int("million.jobs", 1000, "jobs of the line million, each with a count of 1,000")
	millionNodes = flag.Int("million.nodes", 5000, "nodes of the line million")
)

const (
	millionCount     = 1000
	millionCPU       = 20 // MHz
	millionMemory    = 16 // MB
	millionNodeCPU   = 8000
	millionNodeMB    = 8192
	millionPerLink   = 100
	millionRegisters = 8 // under way
	millionWait      = 4 * time.Minute
	millionReady     = 2 * time.Minute
	millionLook      = 50 * time.Millisecond
)

// simFleetReport is what `dunlin sim fleet -json` ends with.
type simFleetReport struct {
	Nodes, Running, Broken int64
	RunningPerSecond       float64
}

// million places a million allocations on one server, with devices that report each as running.
func million(ctx context.Context, r *rig) (*report, error) {
	server, c, _, err := r.server(ctx)
	if err != nil {
		return nil, err
	}
	digest, err := push(ctx, c, "sleep", guests.TinySleep())
	if err != nil {
		return nil, err
	}
	want := *millionJobs * millionCount
	sim, err := r.startWith("sim", []string{"DUNLIN_ADDR=" + c.Address()}, "sim", "fleet", "-nodes", fmt.Sprint(*millionNodes),
		"-links", fmt.Sprint((*millionNodes+millionPerLink-1)/millionPerLink), "-cpu", fmt.Sprint(millionNodeCPU), "-memory", fmt.Sprint(millionNodeMB),
		"-until-running", fmt.Sprint(want), "-json")
	if err != nil {
		return nil, err
	}
	if err := nodesReadyWithin(ctx, c, *millionNodes, millionReady); err != nil {
		return nil, err
	}
	logBefore, err := logBytes(r)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	registered := make(chan error, 1)
	go func() { registered <- registerMany(ctx, c, digest) }()
	marks, err := placedMarks(ctx, c, sim.ended, begin, want)
	if err = errors.Join(err, <-registered); err != nil {
		return nil, err
	}
	logAfter, err := logBytes(r)
	if err != nil {
		return nil, err
	}
	select {
	case <-sim.ended:
	case <-time.After(millionWait):
		return nil, fmt.Errorf("not all of the %d placed were reported as running within %s", want, millionWait)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	all := time.Since(begin)
	return millionReport(r, server, sim, marks, all, float64(logAfter-logBefore)/float64(want))
}

func millionReport(r *rig, server, sim *process, marks []time.Duration, all time.Duration, logEach float64) (*report, error) {
	out, err := os.ReadFile(sim.output)
	if err != nil {
		return nil, err
	}
	var s simFleetReport
	if err := json.Unmarshal(lastJSON(out), &s); err != nil {
		return nil, fmt.Errorf("the report of the simulated fleet: %w: %s", err, tail(out))
	}
	peak, err := server.memory("VmHWM")
	if err != nil {
		return nil, err
	}
	want, target := *millionJobs*millionCount, millionTarget
	rep := &report{}
	addPlaced(rep, marks, want, target, "while devices report")
	rep.add(figure{Name: "all reported as running", Value: all.Seconds(), Unit: "s", Target: target(60)})
	rep.add(figure{Name: "server's peak memory", Value: peak, Unit: "MB", Target: target(1000), Conditions: fmt.Sprintf("%s bytes per allocation", number(peak*1e6/float64(want)))})
	rep.add(figure{Name: "log per placement", Value: logEach, Unit: "bytes", Conditions: "growth of the log's files, statuses that came meanwhile included"})
	rep.condition("one server process, raft with fsync; %d batch jobs × %d on %d simulated devices of `dunlin sim fleet`, which share the machine; %d links broke; load at the end %s",
		*millionJobs, millionCount, *millionNodes, s.Broken, loadAverage())
	return rep, nil
}

// millionTarget is a target where it applies: to as many as it was set for.
func millionTarget(v float64) float64 {
	if *millionJobs != 1000 || *millionNodes != 5000 {
		return 0
	}
	return v
}

// addPlaced adds how fast all was placed.
func addPlaced(rep *report, marks []time.Duration, want int, target func(float64) float64, how string) {
	placed := marks[len(marks)-1]
	rep.add(figure{Name: "all placed and committed", Value: placed.Seconds(), Unit: "s", Target: target(20),
		Conditions: fmt.Sprintf("%s placed/s, %s", number(float64(want)/placed.Seconds()), how)})
	rep.add(figure{Name: "last tenth's rate of the first tenth's", Value: 100 * float64(marks[0]) / float64(placed-marks[len(marks)-2]), Unit: "%", Target: target(70), AtLeast: true})
}

// lastJSON is the document that the output ends with.
func lastJSON(out []byte) []byte {
	for i := range out {
		if out[i] == '{' && (i == 0 || out[i-1] == '\n') {
			return out[i:]
		}
	}
	return nil
}

// registerMany registers the jobs, a few at a time.
func registerMany(ctx context.Context, c *api.Client, digest string) error {
	errs := make(chan error, *millionJobs)
	slots := make(chan struct{}, millionRegisters)
	cpu, memory := millionCPU, millionMemory
	for i := range *millionJobs {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			job := wasmJob(fmt.Sprintf("million-%d", i), fleet.JobTypeBatch, digest, millionCount)
			job.TaskGroups[0].Tasks[0].Resources.CPU, job.TaskGroups[0].Tasks[0].Resources.MemoryMB = &cpu, &memory
			_, err := c.Register(ctx, &api.JobRegisterRequest{Job: job})
			errs <- err
		}()
	}
	var err error
	for range *millionJobs {
		err = errors.Join(err, <-errs)
	}
	return err
}

// placedMarks waits until all is placed, and returns when each tenth was. That the fleet ends before is an error.
func placedMarks(ctx context.Context, c *api.Client, fleetEnded <-chan struct{}, begin time.Time, want int) ([]time.Duration, error) {
	var marks []time.Duration
	tick := time.NewTicker(millionLook)
	defer tick.Stop()
	n := 0
	for {
		self, err := c.Self(ctx)
		if err != nil {
			return nil, err
		}
		if n, err = strconv.Atoi(self.Stats["dunlin"]["allocations"]); err != nil {
			return nil, err
		}
		for len(marks) < 10 && n >= want/10*(len(marks)+1) {
			marks = append(marks, time.Since(begin))
		}
		if n >= want {
			return marks, nil
		}
		select {
		case <-tick.C:
		case <-fleetEnded:
			return nil, fmt.Errorf("the simulated fleet ended with %d of %d placed", n, want)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if time.Since(begin) > millionWait {
			return nil, fmt.Errorf("%d of %d placed within %s", n, want, millionWait)
		}
	}
}

// logBytes is the size of the replicated log on the server's disk.
func logBytes(r *rig) (n int64, err error) {
	err = filepath.WalkDir(r.path("server", "server", "raft"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
