package road

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
)

const (
	killsDefault = 100
	killsShort   = 10
	killPauseMax = 500 * time.Millisecond // between two kills; mostly shorter than a start, so starts are killed too
	writers      = 3
	jobsEach     = 3
	writeEvery   = 30 * time.Millisecond
	writeLimit   = 3 * time.Second // for one write; a killed server answers none
	countMax     = 2
)

// TestKills kills server, agent and host with SIGKILL at random points under writes, and then audits: everything that was
// acknowledged is there, what should run runs once, and nothing else runs.
func TestKills(t *testing.T) {
	seed := number(t, "DUNLIN_ROAD_SEED", int(time.Now().UnixNano()&0x7fffffff))
	kills := killsDefault
	if testing.Short() {
		kills = killsShort
	}
	kills = number(t, "DUNLIN_ROAD_KILLS", kills)
	t.Logf("%d kills; go test ./sim/road -run TestKills with DUNLIN_ROAD_SEED=%d DUNLIN_ROAD_KILLS=%d kills at the same pace", kills, seed, kills)
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
	start := time.Now()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	books := make([]*book, writers)
	for i := range books {
		books[i] = &book{g: g, rng: rand.New(rand.NewPCG(uint64(seed), uint64(i)+1)), wasm: first.TaskGroups[0].Tasks[0].Config}
		for n := range jobsEach {
			books[i].jobs = append(books[i].jobs, &ledger{id: fleet.JobID(fmt.Sprintf("w%d-%d", i, n))})
		}
		wg.Go(func() { books[i].write(stop) })
	}
	victims := killMany(g, d, rand.New(rand.NewPCG(uint64(seed), 0)), kills)
	close(stop)
	wg.Wait()
	acked, unknown := 0, 0
	for _, b := range books {
		acked, unknown = acked+b.acked, unknown+b.unknown
	}
	t.Logf("%v in %s; %d writes acknowledged, %d unanswered", victims, time.Since(start).Round(time.Millisecond), acked, unknown)
	if acked < kills/2 {
		t.Errorf("only %d writes were acknowledged: the kills met too little", acked)
	}
	g.waitServer()
	d.waitOnline()
	audit(t, g, d, books)
}

func number(t *testing.T, key string, def int) int {
	t.Helper()
	text := cmp.Or(os.Getenv(key), strconv.Itoa(def))
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s=%q is not a number", key, text)
	}
	return n
}

// killMany kills that many times and starts again what it killed; the host is started again by the agent when it needs it.
func killMany(g *region, d *device, rng *rand.Rand, kills int) map[string]int {
	g.Helper()
	victims := map[string]int{}
	for n := 0; n < kills; {
		<-time.After(time.Duration(rng.Int64N(int64(killPauseMax))))
		switch rng.IntN(3) {
		case 0:
			g.server.kill()
			g.startServer()
			victims["server"]++
		case 1:
			d.agent.kill()
			d.start()
			victims["agent"]++
		case 2:
			found := hosts(processes(), d.dir)
			if len(found) == 0 {
				continue // none has been started since the last one was killed
			}
			if err := syscall.Kill(found[0].pid, syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
				continue // it was about to end, as the process does that launches a host
			} else if err != nil {
				g.Errorf("kill %d: %v", found[0].pid, err)
			}
			victims["host"]++
		}
		n++
	}
	return victims
}

// ledger is what one writer knows of one of its jobs. Only that writer writes it, one write at a time.
type ledger struct {
	id     fleet.JobID
	serial int          // of the last write
	acked  state        // the last acknowledged write
	maybe  []state      // writes after it that nobody answered
	index  uint64       // of the last acknowledged write
	past   map[int]bool // serials of acknowledged registrations
}

// state is what a write asked for.
type state struct {
	serial int // 0: the job was never registered
	stop   bool
	count  int
}

// book is one writer.
type book struct {
	g              *region
	rng            *rand.Rand
	wasm           json.RawMessage
	jobs           []*ledger
	every          time.Duration // between writes; 0: writeEvery
	acked, unknown int
}

func (b *book) write(stop <-chan struct{}) {
	tick := time.NewTicker(cmp.Or(b.every, writeEvery))
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			b.one(b.jobs[b.rng.IntN(len(b.jobs))])
		}
	}
}

func (b *book) one(l *ledger) {
	l.serial++
	s := state{serial: l.serial, count: 1 + b.rng.IntN(countMax), stop: l.acked.serial > 0 && !l.acked.stop && b.rng.IntN(4) == 0}
	index, err := b.send(l.id, s)
	if err != nil {
		b.unknown++
		l.maybe = append(l.maybe, s)
		return
	}
	b.acked++
	if index < l.index {
		b.g.Errorf("%s: write %d is acknowledged at index %d, an earlier one at %d", l.id, s.serial, index, l.index)
	}
	l.acked, l.maybe, l.index = s, nil, index
	if !s.stop {
		if l.past == nil {
			l.past = map[int]bool{}
		}
		l.past[s.serial] = true
	}
}

func (b *book) send(id fleet.JobID, s state) (uint64, error) {
	ctx, cancel := contextWithin(writeLimit)
	defer cancel()
	if s.stop {
		r, err := b.g.client.Deregister(ctx, id, false)
		if err != nil {
			return 0, err
		}
		return r.JobModifyIndex, nil
	}
	r, err := b.g.client.Register(ctx, &api.JobRegisterRequest{Job: b.job(id, s)})
	if err != nil {
		return 0, err
	}
	return r.JobModifyIndex, nil
}

// job is a small job, of a guest or of a raw process by the job's name. Its meta says which write it is; some writes change
// nothing but that, some the count.
func (b *book) job(id fleet.JobID, s state) *fleet.Job {
	task := fleet.Task{Name: "main", Driver: "wasm", Config: b.wasm, Resources: &fleet.Resources{CPU: fleet.Ptr(2), MemoryMB: fleet.Ptr(4)}}
	if strings.HasSuffix(string(id), "-0") {
		task.Driver, task.Config = "raw_exec", json.RawMessage(`{"command":"sleep","args":["100000"]}`)
	}
	return &fleet.Job{
		ID: id, Name: string(id), Meta: map[string]string{"serial": strconv.Itoa(s.serial)},
		TaskGroups: []fleet.TaskGroup{{
			Name: "main", Count: fleet.Ptr(s.count), Tasks: []fleet.Task{task},
			// What fails although it may be tried again (a host that dies while a task is set up) moves on at once.
			ReschedulePolicy: &fleet.ReschedulePolicy{Delay: fleet.Ptr(fleet.Duration(time.Second)), DelayFunction: fleet.Ptr(fleet.DelayConstant)},
			RestartPolicy: &fleet.RestartPolicy{
				Attempts: fleet.Ptr(10_000), Interval: fleet.Ptr(fleet.Duration(time.Hour)), Delay: fleet.Ptr(fleet.Duration(100 * time.Millisecond)),
			},
		}},
	}
}
