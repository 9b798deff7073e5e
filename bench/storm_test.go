package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

const (
	stormLive    = 20 // devices that were there before
	stormDialers = 300
	stormFor     = 8 * time.Second // longer than a live node may be silent: 1.5 beats
	stormBeat    = 4 * time.Second
	stormPatient = 45 * time.Second // for the job to run
)

// TestStormStarvesNobody: while 300 strangers make one full handshake after the other, a job is registered, placed and
// reported running by devices that were there before, none of which is taken for late, and none of which loses its link.
func TestStormStarvesNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("left out with -short")
	}
	r := buildRig(t)
	_, c, quic, err := r.server(t.Context(), fmt.Sprintf("  beat_interval = %q\n", stormBeat))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := push(t.Context(), c, "sleep", guests.TinySleep())
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFleet(context.Background(), r.path("server", "server", "tls"), quic, stormLive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}()
	if first, err := f.linked(t.Context(), f.run); err != nil || len(first.at) < stormLive {
		t.Fatalf("%d of %d devices are linked: %v; %s", len(first.at), stormLive, err, first.left)
	}
	if err := nodesReady(t.Context(), c, stormLive); err != nil {
		t.Fatal(err)
	}

	ctx, calm := context.WithCancel(t.Context())
	defer calm()
	made, wait := strangers(ctx, t, r.path("server", "server", "tls"), quic)
	begin := time.Now()
	late := make(chan string, 1)
	go func() { late <- notOnline(ctx, c) }()

	job, cpu := wasmJob("calm", fleet.JobTypeService, digest, stormLive), nodeCPU/4
	job.TaskGroups[0].Tasks[0].Resources.CPU = &cpu
	if _, err := c.Register(t.Context(), &api.JobRegisterRequest{Job: job}); err != nil {
		t.Fatal(err)
	}
	running := 0
	err = until(t.Context(), stormPatient, func() (bool, error) {
		allocs, _, err := c.JobAllocations(t.Context(), "calm", nil)
		running = 0
		for _, a := range allocs {
			if a.ClientStatus == fleet.ClientRunning {
				running++
			}
		}
		return running == stormLive, err
	})
	if err != nil {
		t.Errorf("%d of %d allocations run: %v", running, stormLive, err)
	}
	took, during := time.Since(begin), made.Load()
	if err := rest(t.Context(), stormFor-took); err != nil {
		t.Fatal(err)
	}
	err = until(t.Context(), stormPatient, func() (bool, error) { return made.Load() >= stormDialers, nil }) // a slow machine takes longer to make a storm
	calm()
	wait()
	if who := <-late; who != "" {
		t.Error(who)
	}
	if n := f.links.Load(); n != stormLive {
		t.Errorf("%d devices made %d links", stormLive, n)
	}
	if err != nil {
		t.Errorf("only %d handshakes: that was no storm: %v", made.Load(), err)
	}
	t.Logf("all ran %s after the job was registered, %d handshakes later; %d handshakes in all", took.Round(time.Millisecond), during, made.Load())
}

// strangers dial without end, and leave as soon as they are let in. None registers, and none resumes.
func strangers(ctx context.Context, t *testing.T, tlsDir, server string) (made *atomic.Int64, wait func()) {
	ca, err := trust.LoadCAFolder(tlsDir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ca.Issue(trust.Identity{Region: ca.Region, Kind: trust.KindGateway, ID: "storm"}, time.Now(), devicesCertTTL, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	made = &atomic.Int64{}
	var wg sync.WaitGroup
	for range stormDialers {
		wg.Go(func() {
			for ctx.Err() == nil {
				end, err := quicnet.Open("127.0.0.1:0", quicnet.Options{Credentials: trust.Client{Source: m.Source(), Clock: trust.NewClock(time.Now)}})
				if err != nil {
					t.Error(err)
					return
				}
				dial, cancel := context.WithTimeout(ctx, devicesDialWait)
				if _, err := end.Dial(dial, server, trust.ProtocolEdge); err == nil {
					made.Add(1)
				}
				cancel()
				if err := end.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	return made, wg.Wait
}

// notOnline watches until ctx ends and says when a node was not online; "" if none.
func notOnline(ctx context.Context, c *api.Client) string {
	tick := time.NewTicker(stormBeat / 8)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ""
		}
		for _, state := range []fleet.LinkState{fleet.LinkLate, fleet.LinkUnreachable, fleet.LinkLost} {
			n, err := metric(ctx, c, fmt.Sprintf("dunlin_nodes{state=%q}", state))
			switch {
			case ctx.Err() != nil:
				return ""
			case err != nil:
				return err.Error()
			case n > 0:
				return fmt.Sprintf("%g nodes are %s", n, state)
			}
		}
	}
}
