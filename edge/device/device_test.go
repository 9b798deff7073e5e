package device_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// placed is a linked device that runs one allocation of a service with a task.
func placed(t tb, faults device.Planted) (*world, fleet.UUID) {
	w := newPlanted(t, faults)
	w.link()
	w.settle()
	id := w.place(w.job("web", 0, "service", 1))
	w.push(true, nil)
	w.settle()
	if got := w.status(id); got != fleet.ClientRunning {
		t.Fatalf("the allocation is %s", got)
	}
	return w, id
}

func keepsOrphans(t tb, faults device.Planted) {
	w, id := placed(t, faults)
	delete(w.desired, id)
	w.gen = wire.Generation{Epoch: 2}
	w.push(true, nil)
	w.settle()
	if v, _ := w.dev.Alloc(id); w.runningOf(id) != 1 || !v.Orphan {
		t.Fatalf("the orphan was not kept: %+v", v)
	}
	w.desired[id] = &wire.DesiredAlloc{ID: id, Job: wire.JobKey{Namespace: "default", ID: "web"}, Group: "g"}
	w.push(true, nil)
	if v, _ := w.dev.Alloc(id); v.Orphan || w.runningOf(id) != 1 {
		t.Fatalf("the region knows it again, and it is %+v", v)
	}
}

func refusesOlder(t tb, faults device.Planted) {
	w, id := placed(t, faults)
	w.mustRefuse(&wire.Desired{RegionID: regionID, Gen: wire.Generation{Epoch: 1, N: 1}, Allocs: []wire.DesiredAlloc{{ID: id, Stop: true}}})
	w.mustRefuse(&wire.Desired{RegionID: regionID, Gen: wire.Generation{Epoch: 0, N: 99}})
}

func tellsUntilAcked(t tb, faults device.Planted) {
	w, id := placed(t, faults)
	for in := range w.running {
		w.exit(in, driver.Exit{Code: 3})
	}
	w.now = w.now.Add(time.Second)
	w.step(device.Timer{})
	if w.outgoing == nil {
		t.Fatalf("the end is not told")
	}
	w.unlink() // the batch was lost with its link
	if v, _ := w.dev.Alloc(id); v.Acked {
		t.Fatalf("a status that nobody heard is taken for told")
	}
	w.link()
	if w.outgoing == nil || !w.outgoing.Full || len(w.outgoing.Allocs) != 1 || w.outgoing.Allocs[0].Tasks[0].Restarts != 1 {
		t.Fatalf("the first batch of the link is %+v", w.outgoing)
	}
}

func acksWhatIsOnDisk(t tb, faults device.Planted) { placed(t, faults) } // the world checks each acknowledgement

// TestPlanted shows that each rule holds, and that its check notices when it does not.
func TestPlanted(t *testing.T) {
	for name, c := range map[string]struct {
		run    func(tb, device.Planted)
		faults device.Planted
	}{
		"orphans":      {keepsOrphans, device.Planted{StopOrphans: true}},
		"generations":  {refusesOlder, device.Planted{ObeyOlder: true}},
		"unacked":      {tellsUntilAcked, device.Planted{ForgetUnacked: true}},
		"acknowledged": {acksWhatIsOnDisk, device.Planted{AckBeforePersist: true}},
	} {
		t.Run(name, func(t *testing.T) {
			c.run(t, device.Planted{})
			if !fails(func(r tb) { c.run(r, c.faults) }) {
				t.Fatal("the planted fault was not noticed")
			}
		})
	}
}

// recorder is a tb whose Fatalf ends the run and nothing else.
type recorder struct{}

type failure struct{}

func (recorder) Helper()               { /* nothing to mark */ }
func (recorder) Logf(string, ...any)   { /* silent */ }
func (recorder) Fatalf(string, ...any) { panic(failure{}) }
func fails(run func(tb)) (failed bool) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case failure{}:
			failed = true
		default:
			panic(p)
		}
	}()
	run(recorder{})
	return false
}

func TestColdBootWithoutLink(t *testing.T) {
	w, id := placed(t, device.Planted{})
	w.powerLoss()
	for len(w.pending) > 0 {
		w.answer(0, false)
	}
	if w.runningOf(id) != 1 {
		t.Fatal("a device that booted without a link does not start what it was told to run")
	}
	if v, _ := w.dev.Alloc(id); v.Tasks[0].Failed || w.starts != 2 {
		t.Fatalf("after %d starts: %+v", w.starts, v)
	}
}

func TestMissingJobAsksForEverything(t *testing.T) {
	w, _ := placed(t, device.Planted{})
	m := &wire.Desired{RegionID: regionID, Gen: wire.Generation{Epoch: 1, N: 100}, Allocs: []wire.DesiredAlloc{{ID: fleet.UUID{9}, Job: wire.JobKey{ID: "gone"}, Group: "g"}}}
	w.mustRefuse(m)
	if !w.dev.Register().Everything {
		t.Fatal("the device does not ask for what it lacks")
	}
	m.Full = true
	w.step(device.DesiredReceived{Message: m})
	if got := w.status(fleet.UUID{9}); got != fleet.ClientFailed {
		t.Fatalf("an allocation whose job was never sent is %s", got)
	}
	if r := w.dev.Register(); r.Held != m.Gen || r.Everything {
		t.Fatalf("the device says %+v after a complete state of %s", r, m.Gen)
	}
}

func TestInPlaceUpdateRestartsNothing(t *testing.T) {
	w, id := placed(t, device.Planted{})
	next := w.job("web", 1, "service", 1)
	w.desired[id].Job = next
	w.push(false, nil, id)
	w.settle()
	if v, _ := w.dev.Alloc(id); v.Job != next || w.starts != 1 {
		t.Fatalf("after %d starts it runs %s", w.starts, v.Job)
	}
	if len(w.disk.Jobs) != 1 || w.disk.Jobs[0].Key != next {
		t.Fatalf("on disk are %d jobs", len(w.disk.Jobs))
	}
}

func TestStopIsForGood(t *testing.T) {
	w, id := placed(t, device.Planted{})
	w.desired[id].Stop, w.desired[id].StopReason = true, "node drained"
	w.stopped[id] = true
	w.push(false, nil, id)
	w.desired[id].Stop = false
	w.push(false, nil, id)
	w.settle()
	if s := w.known[id]; s.Status != fleet.ClientComplete || s.Description != "node drained" {
		t.Fatalf("the region heard %+v", s)
	}
	w.push(true, nil) // the region still believes that it runs
	if w.now = w.now.Add(time.Second); true {
		w.step(device.Timer{})
	}
	if w.outgoing == nil || w.starts != 1 {
		t.Fatal("the region is not told again that the allocation ended")
	}
}

func TestStopBeforeItWasKnown(t *testing.T) {
	w := newWorld(t)
	w.link()
	id := w.place(w.job("web", 0, "service", 1))
	w.desired[id].Stop = true
	w.push(false, nil, id)
	w.settle()
	if w.known[id].Status != fleet.ClientComplete || w.starts != 0 {
		t.Fatalf("it is %q after %d starts", w.known[id].Status, w.starts)
	}
}

func TestForgetKeepsWhatRuns(t *testing.T) {
	w, id := placed(t, device.Planted{})
	w.push(false, []fleet.UUID{id})
	if w.runningOf(id) != 1 || w.status(id) != fleet.ClientRunning {
		t.Fatal("a running allocation was forgotten")
	}
}

func TestModuleFetch(t *testing.T) {
	w := newWorld(t)
	w.link()
	id := w.place(w.job("web", 0, "service", 1))
	w.push(true, nil)
	var pauses []time.Duration
	for range 8 {
		w.answerFetch(t, device.ModuleFailed{Digest: moduleDigest, Err: "no route"})
		before := w.now
		for len(w.pending) == 0 {
			w.now = w.wakeAt
			w.step(device.Timer{})
			if w.outgoing != nil {
				w.commit(true)
			}
		}
		pauses = append(pauses, w.now.Sub(before))
	}
	if pauses[0] < device.FetchRetryMin || pauses[7] < device.FetchRetryMax || pauses[7] > 2*device.FetchRetryMax {
		t.Fatalf("pauses between tries: %v", pauses)
	}
	w.answerFetch(t, device.ModuleFailed{Digest: moduleDigest, Err: "its content is another", Permanent: true})
	w.settle()
	s := w.known[id]
	last := s.Tasks[0].Events[len(s.Tasks[0].Events)-1]
	if s.Status != fleet.ClientFailed || last.Code != fleet.EventSetupFailed || !strings.Contains(last.Args[0], "its content is another") {
		t.Fatalf("the region heard %+v", s)
	}
}

func (w *world) answerFetch(t *testing.T, with device.Event) {
	t.Helper()
	if len(w.pending) != 1 {
		t.Fatalf("%d actions are pending, want one fetch", len(w.pending))
	}
	if _, ok := w.pending[0].(device.FetchModule); !ok {
		t.Fatalf("pending is a %T", w.pending[0])
	}
	w.pending = nil
	w.step(with)
}

func TestOfflineFetchWaitsForTheLink(t *testing.T) {
	w := newWorld(t)
	w.link()
	w.place(w.job("web", 0, "service", 1))
	w.push(true, nil)
	w.boot()
	if len(w.pending) != 0 {
		t.Fatalf("without a link a fetch was begun: %v", w.pending)
	}
	w.link()
	if len(w.pending) != 1 {
		t.Fatalf("the link is back and %d fetches were begun", len(w.pending))
	}
}

func TestSiblings(t *testing.T) {
	w := newWorld(t)
	w.link()
	id := w.place(w.job("pair", 0, "batch", 2))
	w.push(true, nil)
	for w.runningOf(id) < 2 {
		w.settle()
	}
	first := task.Exited{Exit: driver.Exit{Code: 0}}
	delete(w.running, id.String()+"/t0#1")
	w.happened(device.Instance{Alloc: id, Task: "t0", Attempt: 1}, first)
	w.settle()
	if w.status(id) != fleet.ClientRunning || w.runningOf(id) != 1 {
		t.Fatal("a sibling that succeeded took the other with it")
	}
	for n := uint64(1); n <= 3; n++ { // two restarts are allowed
		w.exit(fmt.Sprintf("%s/t1#%d", id, n), driver.Exit{Code: 2})
		w.settle()
	}
	if s := w.known[id]; s.Status != fleet.ClientFailed || s.Description != `task "t1" failed` {
		t.Fatalf("the region heard %+v", s)
	}
}

func TestStatusesOfManyAreSplit(t *testing.T) {
	w := newWorld(t)
	w.link()
	w.settle()
	job := w.job("many", 0, "service", 1)
	n := wire.StatusesMax + 10
	for i := range n {
		u := fleet.UUID{1, byte(i >> 8), byte(i)}
		w.desired[u] = &wire.DesiredAlloc{ID: u, Job: job, Group: "g"}
	}
	w.push(true, nil)
	w.pending = nil // the module never comes
	w.settle()
	if len(w.known) != n {
		t.Fatalf("the region knows %d of %d", len(w.known), n)
	}
	w.unlink()
	w.link()
	if w.outgoing.Full || len(w.outgoing.Allocs) != wire.StatusesMax {
		t.Fatalf("a batch of %d is called complete: %v", len(w.outgoing.Allocs), w.outgoing.Full)
	}
}

func TestStatusWindow(t *testing.T) {
	w, _ := placed(t, device.Planted{})
	before := w.batches
	for in := range w.running {
		w.exit(in, driver.Exit{Code: 1})
	}
	if w.batches != before {
		t.Fatal("a change was sent without waiting for company")
	}
	w.settle()
	if w.batches == before {
		t.Fatal("a change was not sent")
	}
}

func TestReap(t *testing.T) {
	w := newWorld(t)
	w.link()
	job := w.job("short", 0, "batch", 1)
	for range 6 {
		id := w.place(job)
		w.push(false, nil, id)
		w.settle()
		w.exit(id.String()+"/t0#1", driver.Exit{})
		w.settle()
	}
	cleared := 0
	for _, v := range w.dev.View().Allocs {
		if v.Cleared {
			cleared++
		}
	}
	if cleared != 3 {
		t.Fatalf("%d of 6 ended allocations lost their files; 3 are kept", cleared)
	}
	w.boot()
	w.link()
	w.push(true, nil)
	w.settle()
	if w.starts != 6 || len(w.running) != 0 {
		t.Fatalf("a tombstone was started: %d starts", w.starts)
	}
}

func TestForeignServer(t *testing.T) {
	w, id := placed(t, device.Planted{})
	w.unlink()
	w.step(device.LinkUp{Welcome: &wire.Welcome{RegionID: fleet.UUID{0xbb}, Epoch: 9}})
	if _, ok := w.answers[0].(device.RefuseLink); !ok || w.runningOf(id) != 1 || w.outgoing != nil {
		t.Fatal("a server of another region was accepted")
	}
	w.step(device.LinkUp{Welcome: &wire.Welcome{RegionID: regionID, Epoch: 0}})
	if _, ok := w.answers[0].(device.RefuseLink); !ok {
		t.Fatal("a server of an earlier epoch was accepted")
	}
}

func TestBrokenJob(t *testing.T) {
	w := newWorld(t)
	w.link()
	key := wire.JobKey{Namespace: "default", ID: "bad"}
	w.jobs[key] = []byte(`{"TaskGroups": 7}`)
	id := w.place(key)
	w.push(true, nil)
	w.settle()
	if s := w.known[id]; s.Status != fleet.ClientFailed || !strings.Contains(s.Description, "cannot be read") {
		t.Fatalf("the region heard %+v", s)
	}
}
