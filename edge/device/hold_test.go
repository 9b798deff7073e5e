package device_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/fleet"
)

// replacing is a world in which version 0 runs and version 1 is to take its place; nothing of version 1 is here yet.
func replacing(t *testing.T) (w *world, old, next fleet.UUID) {
	t.Helper()
	w = newWorld(t)
	w.link()
	old = w.place(w.job("web", 0, "service", 1))
	w.push(true, nil)
	w.settle()
	next = w.replace(old, w.job("web", 1, "service", 2))
	if w.runningOf(old) != 1 || len(stops(w)) != 0 {
		t.Fatal("the old version was stopped before the new one is here")
	}
	return w, old, next
}

func stops(w *world) (out []device.StopTask) {
	for _, a := range w.pending {
		if s, ok := a.(device.StopTask); ok {
			out = append(out, s)
		}
	}
	return out
}

// one answers the only pending action, which is of type A.
func one[A device.Action](t *testing.T, w *world, fail bool) {
	t.Helper()
	i := slices.IndexFunc(w.pending, func(a device.Action) bool { _, ok := a.(A); return ok })
	if i < 0 {
		t.Fatalf("there is no %T among %v", *new(A), w.pending)
	}
	w.answer(i, fail)
}

func says(w *world, id fleet.UUID, words string) bool {
	v, _ := w.dev.Alloc(id)
	for _, t := range v.Tasks {
		for _, e := range t.Events {
			if len(e.Args) > 0 && strings.Contains(e.Args[0], words) {
				return true
			}
		}
	}
	return false
}

func TestOldVersionRunsUntilTheNewIsReady(t *testing.T) {
	w, old, next := replacing(t)
	if !says(w, old, "waits for version 1 to be ready") {
		t.Error("the old version does not say that it waits")
	}
	if v, _ := w.dev.Alloc(old); !v.Stop {
		t.Error("that it is to be stopped is not shown")
	}
	one[device.FetchModule](t, w, false)
	one[device.PrepareTask](t, w, false)
	if len(stops(w)) != 0 || w.runningOf(old) != 1 {
		t.Fatal("the old version was stopped while one of two tasks is prepared")
	}
	w.boot() // what is prepared is asked for again, and nothing is stopped early
	one[device.RecoverTask](t, w, false)
	if len(stops(w)) != 0 || w.runningOf(old) != 1 {
		t.Fatal("a restart stopped the old version")
	}
	w.link()
	w.settle()
	if w.runningOf(old) != 0 || w.runningOf(next) != 2 {
		t.Fatalf("at rest %d of the old and %d of the new version run", w.runningOf(old), w.runningOf(next))
	}
	if s := w.known[old]; s.Status != fleet.ClientComplete || s.Description != "a new version replaces it" {
		t.Errorf("the region heard of the old version: %+v", s)
	}
}

func TestStopAndStartGoTogether(t *testing.T) {
	w, _, _ := replacing(t)
	one[device.FetchModule](t, w, false)
	one[device.PrepareTask](t, w, false)
	one[device.PrepareTask](t, w, true) // told, and no reason to wait longer
	starts := 0
	for _, a := range w.pending {
		if _, ok := a.(device.StartTask); ok {
			starts++
		}
	}
	if starts != 2 || len(stops(w)) != 1 {
		t.Fatalf("%d starts and %d stops were begun: %v", starts, len(stops(w)), w.pending)
	}
}

func TestPrepareThatFailsIsTold(t *testing.T) {
	w, _, next := replacing(t)
	one[device.FetchModule](t, w, false)
	one[device.PrepareTask](t, w, true)
	if !says(w, next, "no room to compile") {
		t.Error("why it could not be prepared is not told")
	}
}

func TestHoldEndsWhenTheReplacementEnds(t *testing.T) {
	for name, end := range map[string]func(w *world, next fleet.UUID){
		"it can never be fetched": func(w *world, next fleet.UUID) {
			w.step(device.ModuleFailed{Digest: moduleOf(1), Err: "no such module", Permanent: true})
		},
		"it is stopped": func(w *world, next fleet.UUID) {
			w.desired[next].Stop, w.desired[next].StopReason, w.stopped[next] = true, "job stopped", true
			w.push(false, nil, next)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, old, next := replacing(t)
			end(w, next)
			if s := stops(w); len(s) != 1 || s[0].Alloc != old {
				t.Fatalf("the old version is not stopped: %v", w.pending)
			}
			w.settle()
			if s := w.known[old]; s.Description != "a new version replaces it" {
				t.Errorf("the region heard %+v", s)
			}
		})
	}
}

func TestHoldIsBoundedByLinkedTime(t *testing.T) {
	w, old, _ := replacing(t)
	w.pass(device.HoldMax - time.Second)
	w.unlink()
	w.pass(100 * device.HoldMax)
	w.step(device.Timer{})
	w.link()
	w.pass(999 * time.Millisecond)
	w.step(device.Timer{})
	if len(stops(w)) != 0 || w.runningOf(old) != 1 {
		t.Fatal("time without a link was counted")
	}
	w.pass(time.Millisecond)
	w.step(device.Timer{})
	if len(stops(w)) != 1 || !says(w, old, "still not ready") {
		t.Fatalf("after %s with a link it is not stopped: %v", device.HoldMax, w.pending)
	}
}

func TestWantedAgain(t *testing.T) {
	w, old, next := replacing(t)
	w.desired[old].Stop, w.desired[old].StopReason = false, ""
	w.push(true, nil)
	w.settle()
	if w.runningOf(old) != 1 || w.runningOf(next) != 2 {
		t.Fatalf("%d of the old and %d of the new version run", w.runningOf(old), w.runningOf(next))
	}
}

// What needs nothing that is missing does not wait: a stop without a replacement, and one of a job without modules.
func TestNothingToWaitFor(t *testing.T) {
	w := newWorld(t)
	w.link()
	id := w.place(w.job("web", 0, "service", 1))
	w.push(true, nil)
	w.settle()
	w.desired[id].Stop, w.stopped[id] = true, true
	w.place(w.job("other", 1, "service", 1))
	w.push(true, nil)
	if len(stops(w)) != 1 {
		t.Fatalf("a stop waits for the version of another job: %v", w.pending)
	}
}
