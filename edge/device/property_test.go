package device_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// TestDeviceProperty plays any order of desired states, ends, links, crashes and power losses. The world checks the rules at each
// action; what is left is checked at rest.
func TestDeviceProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		w.link()
		w.push(true, nil)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			randomStep(rt, w)
		}
		checkRest(rt, w)
	})
}

func randomStep(rt *rapid.T, w *world) {
	switch rapid.SampledFrom([]string{
		"answer", "answer", "answer", "answer", "fail", "exit", "exit", "time", "time", "place", "place", "stop", "update",
		"forget", "replace", "replace", "preempt", "preempt", "evict", "full", "orphan", "older", "foreign", "linkdown", "linkup", "commit", "commit", "lostack", "crash", "power",
	}).Draw(rt, "what") {
	case "answer":
		if n := len(w.pending); n > 0 {
			w.answer(rapid.IntRange(0, n-1).Draw(rt, "pending"), false)
		}
	case "fail":
		if n := len(w.pending); n > 0 {
			w.answer(rapid.IntRange(0, n-1).Draw(rt, "pending"), true)
		}
	case "exit":
		if ids := slices.Sorted(maps.Keys(w.running)); len(ids) > 0 {
			w.exit(rapid.SampledFrom(ids).Draw(rt, "who"), rapid.SampledFrom([]driver.Exit{{}, {Code: 1}, {Trap: "unreachable"}, {Err: "host died"}}).Draw(rt, "how"))
		}
	case "time":
		w.pass(rapid.SampledFrom([]time.Duration{time.Millisecond, 10 * time.Millisecond, time.Second, 10 * time.Second, device.HoldMax / 3}).Draw(rt, "by"))
		w.step(device.Timer{})
	case "place":
		job := w.job(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "job"), 0, rapid.SampledFrom([]string{"service", "batch"}).Draw(rt, "kind"), rapid.IntRange(1, 2).Draw(rt, "tasks"))
		if len(w.desired) < 8 && !wanted(w, job.ID) {
			id := w.place(job)
			if w.linkUp {
				w.push(false, nil, id)
			}
		}
	case "stop":
		if id, ok := anyDesired(rt, w); ok {
			w.desired[id].Stop, w.desired[id].StopReason = true, "the test wants it"
			w.stopped[id] = true
			if w.linkUp {
				w.push(false, nil, id)
			}
		}
	case "update":
		if id, ok := anyDesired(rt, w); ok && w.linkUp && !w.desired[id].Stop {
			old := w.desired[id].Job
			next := old
			next.Version = w.newest(old.ID) + 1
			w.jobs[next], w.modules[next] = w.jobs[old], w.modules[old]
			w.desired[id].Job = next
			w.push(false, nil, id)
		}
	case "replace": // a new version stops one and places another, in one message
		if id, ok := anyDesired(rt, w); ok && w.linkUp && !w.desired[id].Stop && len(w.desired) < 8 {
			next := w.newest(w.desired[id].Job.ID) + 1
			w.replace(id, w.job(string(w.desired[id].Job.ID), next, "service", 1))
		}
	case "preempt": // one of another job gives way
		if id, ok := anyDesired(rt, w); ok && w.linkUp && !w.desired[id].Stop && len(w.desired) < 8 {
			w.preempt(id, w.job("important", 1, "service", 1))
		}
	case "evict":
		w.evict()
	case "forget":
		if id, ok := anyDesired(rt, w); ok && w.linkUp && fleet.ClientTerminal(w.known[id].Status) {
			delete(w.desired, id)
			w.push(false, []fleet.UUID{id})
			if w.status(id) != "absent" {
				rt.Fatalf("a forgotten allocation that had ended is still there")
			}
		}
	case "full":
		if w.linkUp {
			w.push(true, nil)
		}
	case "orphan": // a region restored from an older state does not know it
		if id, ok := anyDesired(rt, w); ok && w.linkUp && !w.stopped[id] && w.status(id) != "absent" {
			delete(w.desired, id)
			w.orphans = append(w.orphans, id)
			w.gen = wire.Generation{Epoch: w.gen.Epoch + 1}
			w.push(true, nil)
		}
	case "older":
		w.mustRefuse(&wire.Desired{RegionID: regionID, Gen: wire.Generation{Epoch: w.gen.Epoch - 1, N: 1 << 40}})
	case "foreign":
		w.mustRefuse(&wire.Desired{RegionID: fleet.UUID{0xbb}, Gen: wire.Generation{Epoch: 1 << 40}})
	case "linkdown":
		if w.linkUp {
			w.unlink()
		}
	case "linkup":
		if !w.linkUp {
			w.link()
		}
	case "commit":
		w.commit(true)
	case "lostack":
		w.commit(false)
	case "crash":
		w.boot()
	case "power":
		w.powerLoss()
	}
}

// orphanHolds reports whether an orphan runs that holds something.
func (w *world) orphanHolds() bool {
	return slices.ContainsFunc(w.orphans, func(id fleet.UUID) bool { return w.runningOf(id) > 0 && w.record(id).Desired.Granted != "" })
}

// newest is the highest version of a job that was ever registered.
func (w *world) newest(job fleet.JobID) (v uint64) {
	for key := range w.jobs {
		if key.ID == job {
			v = max(v, key.Version)
		}
	}
	return v
}

// wanted says whether a job is in use: its shape must not change under its allocations.
func wanted(w *world, job fleet.JobID) bool {
	for _, a := range w.desired {
		if a.Job.ID == job && a.Job.Version > 0 {
			return true
		}
	}
	return false
}

func anyDesired(rt *rapid.T, w *world) (fleet.UUID, bool) {
	if len(w.desired) == 0 {
		return fleet.UUID{}, false
	}
	ids := slices.SortedFunc(maps.Keys(w.desired), func(a, b fleet.UUID) int { return slices.Compare(a[:], b[:]) })
	return rapid.SampledFrom(ids).Draw(rt, "alloc"), true
}

// checkRest ends the faults, lets the device come to rest, and compares it with what was wanted.
func checkRest(rt *rapid.T, w *world) {
	if !w.linkUp {
		w.link()
	}
	w.push(true, nil)
	w.settle()
	for id, a := range w.desired {
		v, ok := w.dev.Alloc(id)
		if !ok {
			rt.Fatalf("allocation %s is wanted and absent", id)
		}
		if got := w.known[id]; got.Status != v.Status {
			rt.Fatalf("the region believes %s of %s, which is %s", got.Status, id, v.Status)
		}
		terminal := fleet.ClientTerminal(v.Status)
		switch n := w.runningOf(id); {
		case a.Stop && !terminal:
			rt.Fatalf("stopped allocation %s is %s", id, v.Status)
		case terminal && n > 0:
			rt.Fatalf("%s allocation %s has %d running tasks", v.Status, id, n)
		case !terminal:
			alive := 0
			for _, t := range v.Tasks {
				if t.State == fleet.TaskRunning {
					alive++
				} else if t.State == fleet.TaskPending && a.Granted != "" && w.orphanHolds() {
					return // for good, until somebody stops the orphan
				} else if t.State == fleet.TaskPending {
					rt.Fatalf("task %s of %s is pending at rest", t.Name, id)
				}
			}
			if alive != n || n == 0 {
				rt.Fatalf("allocation %s reports %d running tasks; %d run", id, alive, n)
			}
		}
	}
	for _, id := range w.orphans {
		if v, ok := w.dev.Alloc(id); !ok || v.Stop || v.Status == fleet.ClientRunning && (!v.Orphan || w.runningOf(id) == 0) {
			rt.Fatalf("orphan %s was not kept: %+v", id, v)
		}
	}
	if len(w.ended) > 0 {
		rt.Fatalf("ended tasks were never destroyed: %v", w.ended)
	}
	before := w.starts
	w.boot()
	w.link()
	w.settle()
	if w.starts != before {
		rt.Fatalf("%d tasks were started by a restart of the agent and the return of the link", w.starts-before)
	}
	persists, batches := w.persists, w.batches
	w.now = w.now.Add(time.Hour)
	w.step(device.Timer{})
	if w.persists != persists || w.batches != batches {
		rt.Fatalf("an idle device wrote %d times and sent %d batches", w.persists-persists, w.batches-batches)
	}
}
