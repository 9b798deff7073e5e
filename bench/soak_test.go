package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
)

var (
	soakDevices = flag.Int("soak.devices", 150, "devices of the soak")
	soakFor     = flag.Duration("soak.for", 8*time.Second, "how long the soak makes faults")
	soakSeed    = flag.Uint64("soak.seed", 1, "which faults")
)

const (
	soakStep      = 500 * time.Millisecond
	soakKillEvery = 30 * time.Second // in a short soak the server is killed once
	soakCutMax    = 6                // steps that a cut lasts at most: far below the time after which a node is lost
	soakBaseMB    = 120              // of a server with no device, and what a storm leaves to collect
	soakDeviceMB  = 0.2              // per linked device
	soakRowMB     = 0.0015           // per allocation that the region keeps, ended ones too: 670 bytes, and as many for the collector
	soakPerDevice = 2                // allocations
)

// soak is a region with a fleet, and what is done to it.
type soak struct {
	t      *testing.T
	rig    *rig
	api    *api.Client
	quic   string
	server *process
	fleet  *realFleet
	rng    *rand.Rand
	digest string
	cut    map[*realDevice]int // steps until the line is mended
	kills  int
	before map[*realDevice]int64 // links that each device had made when the server was killed last
	second bool                  // the second job is there
	peak   float64
}

// TestSoak plays a fleet whose lines are cut and whose server is killed, while jobs come and go. In the end nothing is lost: every
// device runs what the region says, the first job has the allocations that it had in the beginning, and the server's memory
// stayed within what its links need.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("left out with -short")
	}
	s := newSoak(t)
	n := *soakDevices
	s.register("first", n*soakPerDevice)
	s.settled()
	began := s.running("first")
	steps := int(*soakFor / soakStep)
	tick := time.NewTicker(soakStep)
	defer tick.Stop()
	for step := range steps {
		<-tick.C
		s.lines()
		if s.rng.IntN(8) == 0 {
			s.jobs()
		}
		if step%int(soakKillEvery/soakStep) == min(steps, int(soakKillEvery/soakStep))/2 {
			s.kill()
		}
		s.memory()
	}
	for d := range s.cut {
		d.socket.cut.Store(false)
	}
	begin := time.Now()
	s.settled()
	t.Logf("settled %s after the last fault", time.Since(begin).Round(time.Millisecond))
	if now := s.running("first"); !maps.Equal(now, began) {
		t.Errorf("the first job ran in %d allocations and runs in %d, %d of them the same", len(began), len(now), same(began, now))
	}
	s.memory()
	t.Logf("%d devices, %s, seed %d: %d kills of the server, %d links made, server at most %.0f MB",
		n, *soakFor, *soakSeed, s.kills, s.fleet.links.Load(), s.peak)
}

// buildRig is a rig around the program of this tree.
func buildRig(t *testing.T) *rig {
	t.Helper()
	r, err := newRig("")
	if err != nil {
		t.Fatal(err)
	}
	r.program = r.path("dunlin")
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	// With the settings of go test, so that what it has compiled is not compiled again.
	if said, err := exec.CommandContext(t.Context(), "go", "build", "-o", r.program, "../cmd/dunlin").CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v: %s", err, said)
	}
	return r
}

func newSoak(t *testing.T) *soak {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r := buildRig(t)
	var err error
	s := &soak{t: t, rig: r, rng: rand.New(rand.NewPCG(*soakSeed, 0)), cut: map[*realDevice]int{}}
	// Devices find out with their next beat that a server was killed.
	if s.server, s.api, s.quic, err = r.server(ctx, "  beat_interval = \"2s\"\n  lost_after = \"60s\"\n"); err != nil {
		t.Fatal(err)
	}
	if s.digest, err = push(ctx, s.api, "sleep", guests.TinySleep()); err != nil {
		t.Fatal(err)
	}
	if s.fleet, err = newFleet(ctx, r.path("server", "server", "tls"), s.quic, *soakDevices); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the rig's, as cleanups go
		if err := s.fleet.close(); err != nil {
			t.Error(err)
		}
	})
	first, err := s.fleet.linked(ctx, s.fleet.run)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.at) < first.n {
		t.Fatalf("%d of %d devices were linked after %s; the others: %s", len(first.at), first.n, stormContact, first.left)
	}
	t.Logf("all linked after %s", first.at[first.n-1].Round(time.Millisecond))
	return s
}

// register puts a job of so many allocations, at most four on a device.
func (s *soak) register(id string, count int) {
	s.t.Helper()
	job, cpu := wasmJob(id, fleet.JobTypeService, s.digest, count), nodeCPU/4
	job.TaskGroups[0].Tasks[0].Resources.CPU = &cpu
	s.patient("register "+id, func() error {
		_, err := s.api.Register(s.t.Context(), &api.JobRegisterRequest{Job: job})
		return err
	})
}

// patient tries again while the server is away.
func (s *soak) patient(what string, f func() error) {
	s.t.Helper()
	err := until(s.t.Context(), readyTimeout, func() (bool, error) {
		err := f()
		if refused, ok := errors.AsType[*api.Error](err); ok && refused.Status < 500 {
			return false, err
		}
		return err == nil, nil
	})
	if err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// lines cuts some lines and mends others.
func (s *soak) lines() {
	for d, left := range s.cut {
		if s.cut[d] = left - 1; left <= 1 {
			d.socket.cut.Store(false)
			delete(s.cut, d)
		}
	}
	for range 1 + len(s.fleet.devices)/50 {
		d := s.fleet.devices[s.rng.IntN(len(s.fleet.devices))]
		d.socket.cut.Store(true)
		s.cut[d] = 1 + s.rng.IntN(soakCutMax)
	}
}

// jobs lets the second job come or go.
func (s *soak) jobs() {
	if s.second = !s.second; s.second {
		s.register("second", len(s.fleet.devices))
		return
	}
	s.patient("stop the second job", func() error {
		_, err := s.api.Deregister(s.t.Context(), "second", false)
		return err
	})
}

// kill ends the server without a word and starts it again.
func (s *soak) kill() {
	s.t.Helper()
	s.kills++
	if err := s.server.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.server.ended
	s.before = map[*realDevice]int64{}
	for _, d := range s.fleet.devices {
		s.before[d] = d.links.Load()
	}
	var err error
	s.server, err = s.rig.start(fmt.Sprintf("server-%d", s.kills), "agent", "-config", s.rig.path("server.hcl"),
		"-http", strings.TrimPrefix(s.api.Address(), "http://"), "-quic", s.quic)
	if err == nil {
		_, err = s.server.says(s.t.Context(), "HTTP API")
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// memory checks that the server holds no more than its links and its history need: a job that comes and goes for ten minutes leaves
// more than a hundred thousand allocations that have ended.
func (s *soak) memory() {
	s.t.Helper()
	mb, err := s.server.memory("VmRSS")
	if err != nil {
		s.t.Fatal(err)
	}
	if limit := soakBaseMB + soakDeviceMB*float64(len(s.fleet.devices)); mb > limit {
		rows, err := metric(s.t.Context(), s.api, `dunlin_rows{table="allocations"}`)
		if err != nil {
			s.t.Fatal(err)
		}
		if limit += soakRowMB * rows; mb > limit {
			s.t.Fatalf("the server takes %.0f MB; %d devices and %.0f allocations explain %.0f", mb, len(s.fleet.devices), rows, limit)
		}
	}
	s.peak = max(s.peak, mb)
}

// settled waits until all devices are linked and run what the region says they do, and nothing of it was lost.
func (s *soak) settled() {
	s.t.Helper()
	why := ""
	err := until(s.t.Context(), stormContact, func() (bool, error) {
		why = s.unsettled()
		return why == "", s.fleet.err()
	})
	if err != nil {
		s.t.Fatalf("%s (%v)", why, errors.Join(err, s.fleet.err()))
	}
}

// unsettled says what is missing; "" when all is as it should be.
func (s *soak) unsettled() string {
	if up := int(s.fleet.up.Load()); up != len(s.fleet.devices) {
		return fmt.Sprintf("%d of %d devices are linked", up, len(s.fleet.devices))
	}
	for _, d := range s.fleet.devices {
		if d.links.Load() == s.before[d] {
			return fmt.Sprintf("device %s has not come back since the server was killed", d.id)
		}
	}
	allocs, _, err := s.api.Allocations(s.t.Context(), nil)
	if err != nil {
		return err.Error()
	}
	want := map[fleet.NodeID]map[fleet.AllocID]bool{}
	counts := map[fleet.JobID]int{}
	for _, a := range allocs {
		switch {
		case a.ClientStatus == fleet.ClientLost || a.ClientStatus == fleet.ClientFailed:
			s.fleet.failed(fmt.Errorf("allocation %s of %s on node %s is %s: %s", a.ID, a.JobID, a.NodeID, a.ClientStatus, a.ClientDescription))
		case a.DesiredStatus == fleet.DesiredRun && a.ClientStatus != fleet.ClientRunning:
			return fmt.Sprintf("allocation %s of %s is %s on node %s", a.ID, a.JobID, a.ClientStatus, a.NodeID)
		case a.DesiredStatus == fleet.DesiredRun:
			if want[a.NodeID] == nil {
				want[a.NodeID] = map[fleet.AllocID]bool{}
			}
			want[a.NodeID][a.ID] = true
			counts[a.JobID]++
		case a.ClientStatus == fleet.ClientRunning:
			return fmt.Sprintf("allocation %s is to stop and runs", a.ID)
		}
	}
	second := 0
	if s.second {
		second = len(s.fleet.devices)
	}
	if counts["first"] != soakPerDevice*len(s.fleet.devices) || counts["second"] != second {
		return fmt.Sprintf("%d allocations of the first job and %d of the second run", counts["first"], counts["second"])
	}
	for _, d := range s.fleet.devices {
		has := map[fleet.AllocID]bool{}
		for id := range d.running() {
			has[fleet.AllocID(id.String())] = true
		}
		if !maps.Equal(has, want[fleet.NodeID(d.id.String())]) && len(has)+len(want[fleet.NodeID(d.id.String())]) > 0 {
			return fmt.Sprintf("device %s runs %d allocations, of the %d that it should run", d.id, len(has), len(want[fleet.NodeID(d.id.String())]))
		}
	}
	return ""
}

// running lists where a job's allocations run.
func (s *soak) running(job fleet.JobID) map[fleet.AllocID]fleet.NodeID {
	s.t.Helper()
	allocs, _, err := s.api.JobAllocations(s.t.Context(), job, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[fleet.AllocID]fleet.NodeID{}
	for _, a := range allocs {
		if a.DesiredStatus == fleet.DesiredRun {
			out[a.ID] = a.NodeID
		}
	}
	return out
}

func same(a, b map[fleet.AllocID]fleet.NodeID) (n int) {
	for id, node := range a {
		if b[id] == node {
			n++
		}
	}
	return n
}

// TestCuttable: a cut line swallows both ways and tells nobody, and mended it carries again.
func TestCuttable(t *testing.T) {
	open := func() *cuttable {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return &cuttable{UDPConn: c}
	}
	a, b := open(), open()
	say := func(from, to *cuttable, text string) {
		if n, err := from.WriteTo([]byte(text), to.LocalAddr()); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	hears := func(c *cuttable, want string) {
		p := make([]byte, 100)
		patience := stormPatient
		if want == "" {
			patience = 200 * time.Millisecond
		}
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, _, err := c.ReadFrom(p)
		if string(p[:n]) != want || want == "" && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("heard %q, %v; want %q", p[:n], err, want)
		}
	}
	a.cut.Store(true)
	say(a, b, "lost")
	hears(b, "")
	say(b, a, "lost too")
	hears(a, "")
	a.cut.Store(false)
	say(a, b, "here")
	hears(b, "here")
}
