package road

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/edge/agent"
	"github.com/dunlin-edge/dunlin/edge/statedb"
	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
)

const (
	cutsDefault  = 24
	cutsShort    = 4
	cutAfterMax  = 400 * time.Millisecond // from a start to the cut; mostly within what a start and its writes take
	damageMax    = 300                    // bytes at a file's end; more than a record of the state has
	cutWriteGap  = 150 * time.Millisecond // between two writes: allocations live long enough to be told as running
	steady       = 3                      // allocations that nobody changes
	powerBackMax = time.Minute            // for all that was accepted to run again without a server; how soon it does is a line of the benches
)

// TestPowerCuts ends a device's agent, host and guests at once at random points, most of them while it is told to change, and
// damages what its files were last given, as a power cut does on a cheap disk: one copy of the state and of the identity, records of
// the host, the compile cache, logs, partial downloads, leftovers of replaced files. Then the device starts with no server to reach, and what
// it had accepted must run, each once, and nothing that it had told as ended.
//
// DUNLIN_ROAD_CUTS is the number of cuts, DUNLIN_ROAD_SEED the seed of their points.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	seed := number(t, "DUNLIN_ROAD_SEED", int(time.Now().UnixNano()&0x7fffffff))
	cuts := cutsDefault
	if testing.Short() {
		cuts = cutsShort
	}
	cuts = number(t, "DUNLIN_ROAD_CUTS", cuts)
	t.Logf("%d cuts; go test ./sim/road -run TestPowerCuts with DUNLIN_ROAD_SEED=%d DUNLIN_ROAD_CUTS=%d cuts at the same pace", cuts, seed, cuts)
	p := newPowerRig(t, rand.New(rand.NewPCG(uint64(seed), 7)))
	for n := 0; n < cuts; {
		n += p.round(cuts - n)
	}
	slices.Sort(p.back)
	if least := len(p.back) * steady; p.checked < least && cuts >= cutsDefault {
		t.Errorf("after %d cuts only %d allocations had to run, want at least %d: the cuts met too little", cuts, p.checked, least)
	}
	t.Logf("%d cuts, %d damages (%d of state, %d of the identity); %d writes acknowledged; %d times an allocation had to run again; after a cut everything ran again within %s (median), %s (longest)",
		cuts, p.damages, p.stateDamages, p.identityDamages, p.book.acked, p.checked, p.back[len(p.back)/2].Round(time.Millisecond), p.back[len(p.back)-1].Round(time.Millisecond))
	audit(t, p.g, p.d, []*book{p.book})
}

// powerRig is a device with a plug, and a writer that changes what it should run.
type powerRig struct {
	t    *testing.T
	g    *region
	d    *device
	rng  *rand.Rand // of cuts and damages
	book *book
	back []time.Duration // from each start without a server to everything running

	damages, stateDamages, identityDamages, checked int

	state, identity torn
}

// torn is the one of several copies that was damaged last.
type torn struct {
	path string
	to   []byte // what it was left as
}

func newPowerRig(t *testing.T, rng *rand.Rand) *powerRig {
	g := newRegion(newRig(t), longLost)
	d := g.join("kiosk-1", "-allow-raw-exec")
	g.tiny("sleep", guests.TinySleep())
	g.write("first.hcl", wasmJob("first", "service", "sleep", ""))
	g.ok("run", "first.hcl") // pushes the module
	first, _, err := g.client.Job(t.Context(), "first", nil)
	if err != nil {
		t.Fatal(err)
	}
	g.ok("stop", "first")
	text, err := os.ReadFile(filepath.Join(d.dir, "agent.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	nobody := regexp.MustCompile(`servers *= *\[.*\]`).ReplaceAll(text, fmt.Appendf(nil, "servers = [%q]", freeUDP(t)))
	g.write(filepath.Join("kiosk-1", "offline.hcl"), string(nobody))
	b := &book{g: g, every: cutWriteGap, rng: rand.New(rand.NewPCG(rng.Uint64(), 1)), wasm: first.TaskGroups[0].Tasks[0].Config}
	for n := range jobsEach {
		b.jobs = append(b.jobs, &ledger{id: fleet.JobID(fmt.Sprintf("w0-%d", n))})
	}
	// These stay as they are; the writer's come and go.
	g.write("app.hcl", twoTimes("sleeper", "sleep"))
	g.write("raw.hcl", rawJob)
	g.ok("run", "app.hcl")
	g.ok("run", "raw.hcl")
	d.waitState("all run, and the region knows", func(s *agent.Status) error {
		if s.Untold > 0 {
			return errorf("%d untold", s.Untold)
		}
		return runs(s, steady)
	})
	return &powerRig{t: t, g: g, d: d, rng: rng, book: b}
}

// round cuts the power of a device that is being told things, starts it without a server, now and then cuts that short too, and
// gives it its server back. It returns how many cuts it made, at most the given number.
func (p *powerRig) round(most int) int {
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { p.book.write(stop) })
	p.pause()
	known := p.allocs(running)
	p.cut()
	close(stop)
	writer.Wait()
	// What the region still wants of what the device said it runs, it must run; what it said has ended, it must not.
	wanted := p.allocs(func(a *fleet.AllocationListStub) bool { return a.DesiredStatus == fleet.DesiredRun })
	must := slices.DeleteFunc(known, func(id string) bool { return !slices.Contains(wanted, id) })
	never := p.allocs(ended)
	n := 1
	for ; n < most && p.rng.IntN(2) == 0; n++ {
		p.offline()
		p.pause()
		p.cut()
	}
	p.checked += len(must)
	p.offline()
	start := time.Now()
	until(p.t, powerBackMax, "what was accepted to run after a power cut", func() error { return p.runs(must, never) })
	p.back = append(p.back, time.Since(start))
	p.d.agent.kill()
	p.d.start()
	p.d.waitState("its region again", func(s *agent.Status) error {
		if !s.Link.Up || s.Untold > 0 {
			return errorf("link %+v, %d untold", s.Link, s.Untold)
		}
		return nil
	})
	return n
}

func (p *powerRig) pause() { <-time.After(time.Duration(p.rng.Int64N(int64(cutAfterMax)))) }

// offline starts the device with no server to reach: not the one of its configuration, and none that it has learnt.
func (p *powerRig) offline() {
	if err := os.Remove(filepath.Join(p.d.dir, "servers.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.t.Fatal(err)
	}
	p.d.agent = p.g.start(p.d.name, "agent", "-config", filepath.Join(p.d.dir, "offline.hcl"))
}

func (p *powerRig) allocs(f func(*fleet.AllocationListStub) bool) (ids []string) {
	p.t.Helper()
	ctx, cancel := shortly()
	defer cancel()
	all, _, err := p.g.client.Allocations(ctx, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, a := range all {
		if f(a) {
			ids = append(ids, string(a.ID))
		}
	}
	return ids
}

// runs complains unless all that must run does, each in one process, and nothing that must not.
func (p *powerRig) runs(must, never []string) error {
	if err := p.d.agent.ended(); err != nil {
		p.t.Fatal(err)
	}
	s, err := p.d.state()
	if err != nil {
		return err
	}
	up := map[string]bool{}
	for _, a := range s.Allocs {
		up[a.ID] = a.Status == fleet.ClientRunning
	}
	table := processes()
	alive := map[string]int{}
	records, err := readRecords(p.d.dir, table)
	if err != nil {
		return err // damaged, and the host has not met it yet
	}
	for _, rec := range records {
		id, _, _ := strings.Cut(rec.ID, "/")
		alive[id]++
	}
	for _, id := range must {
		if !up[id] || alive[id] != 1 {
			return errorf("allocation %s was accepted and is running: %t, in %d processes: %+v", id, up[id], alive[id], s.Allocs)
		}
	}
	for _, id := range never {
		if up[id] || alive[id] > 0 {
			p.t.Fatalf("allocation %s was told as ended and runs again", id)
		}
	}
	return nil
}

// cut ends all of the device's processes and damages what they wrote last.
func (p *powerRig) cut() {
	p.d.agent.kill()
	killBelow(p.t, p.d.dir)
	if p.rng.IntN(4) > 0 {
		p.damageOne(&p.state, statedb.FileNames[:]...)
		p.stateDamages++
	}
	if p.rng.IntN(3) > 0 {
		p.damageOne(&p.identity, "tls/key.pem", "tls/cert.pem", "tls/ca.pem", "tls/identity.pem")
		p.identityDamages++
	}
	for _, pattern := range []string{
		"host/tasks/*.json", "compiled/*/*/*", "alloc/*/alloc/logs/*", "modules/partial/*", statedb.FileNames[0] + ".tmp", statedb.FileNames[1] + ".tmp",
		"tls/key.pem.tmp", "tls/cert.pem.tmp",
	} {
		if p.rng.IntN(3) > 0 {
			continue
		}
		found, err := filepath.Glob(filepath.Join(p.d.dir, pattern))
		if err != nil {
			p.t.Fatal(err)
		}
		switch {
		case len(found) > 0:
			p.damage(found[p.rng.IntN(len(found))])
		case !strings.Contains(pattern, "*"): // what a replacement that was cut short leaves
			p.g.write(filepath.Join(p.d.name, pattern), strings.Repeat("\x00garbage", p.rng.IntN(damageMax)))
		case pattern == "modules/partial/*":
			p.g.write(filepath.Join(p.d.name, "modules", "partial", strings.Repeat("ab", 32)), "a part of something")
		}
	}
}

// damageOne damages one of several copies. Only what was being written can be torn: as long as the copy that was torn last time has
// not been mended, the others have not been written to.
func (p *powerRig) damageOne(last *torn, names ...string) {
	if last.path != "" {
		if b, err := os.ReadFile(last.path); err == nil && !bytes.Equal(b, last.to) {
			last.path = ""
		}
	}
	if last.path == "" {
		last.path = filepath.Join(p.d.dir, names[p.rng.IntN(len(names))])
	}
	p.damage(last.path)
	last.to, _ = os.ReadFile(last.path) // nothing, when it was removed
}

// damage cuts a file short, or makes noise or zeroes of its end, or adds to it, or removes it.
func (p *powerRig) damage(path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		if os.IsNotExist(err) {
			return
		}
		p.t.Fatal(err)
	}
	p.damages++
	n := min(len(b), 1+p.rng.IntN(damageMax))
	switch end := b[len(b)-n:]; p.rng.IntN(5) {
	case 0:
		b = b[:len(b)-n]
	case 1:
		for i := range end {
			end[i] = byte(p.rng.Uint32())
		}
	case 2:
		clear(end)
	case 3:
		b = append(b, make([]byte, n)...)
	case 4:
		if err := os.Remove(path); err != nil {
			p.t.Fatal(err)
		}
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, b, info.Mode()); err != nil {
		p.t.Fatal(err)
	}
}

// A device that is switched on with no server to reach runs what it was told to, soon; how soon is a line of the benches.
func TestColdBoot(t *testing.T) {
	t.Parallel()
	p := newPowerRig(t, rand.New(rand.NewPCG(1, 1)))
	must := p.allocs(running)
	p.g.server.kill()
	p.d.agent.kill()
	killBelow(t, p.d.dir)
	start := time.Now()
	p.offline()
	until(t, startLimit, "what was accepted to run", func() error { return p.runs(must, nil) })
	t.Logf("a Wasm job of two and a raw process run %s after the agent's start", time.Since(start).Round(time.Millisecond))
}
