package device_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// tied is a device with a running allocation that may be without contact for ten
// minutes, and one that may be for ever.
func tied(t *testing.T) (w *world, short, free fleet.UUID) {
	w = newWorld(t)
	w.link()
	key := w.job("tied", 1, "service", 1)
	var j fleet.Job
	if err := json.Unmarshal(w.jobs[key], &j); err != nil {
		t.Fatal(err)
	}
	j.TaskGroups[0].Disconnect = &fleet.Disconnect{StopOnClientAfter: fleet.Ptr(fleet.Duration(10 * time.Minute))}
	w.jobs[key] = fleet.CanonicalBytes(&j)
	short, free = w.place(key), w.place(w.job("free", 1, "service", 1))
	w.push(true, nil)
	w.finish()
	if w.runningOf(short) != 1 || w.runningOf(free) != 1 {
		t.Fatal("not everything runs")
	}
	w.stopped[short] = true // from here on it may be stopped
	return w, short, free
}

// finish does what is asked for, and lets no time pass.
func (w *world) finish() {
	for len(w.pending) > 0 || w.outgoing != nil {
		if len(w.pending) > 0 {
			w.answer(0, false)
		} else {
			w.commit(true)
		}
	}
}

// live lets time pass, waking the device when it asked for that.
func (w *world) live(d time.Duration) {
	for end := w.now.Add(d); ; {
		w.finish()
		if w.wakeAt.IsZero() || w.wakeAt.After(end) {
			w.pass(end.Sub(w.now))
			return
		}
		if w.wakeAt.After(w.now) {
			w.pass(w.wakeAt.Sub(w.now))
		}
		w.wakeAt = time.Time{}
		w.step(device.Timer{})
	}
}

func (w *world) mustBe(id fleet.UUID, running int, why string) {
	w.t.Helper()
	w.finish()
	if got := w.runningOf(id); got != running {
		w.t.Fatalf("%s: %d tasks run, want %d", why, got, running)
	}
}

func TestStopsAfterSoLongWithoutContact(t *testing.T) {
	w, short, free := tied(t)
	w.live(24 * time.Hour)
	w.mustBe(short, 1, "a day with a link")
	w.unlink()
	w.live(9 * time.Minute)
	w.mustBe(short, 1, "nine minutes")
	w.link()
	w.live(time.Second)
	w.unlink()
	w.live(9 * time.Minute)
	w.mustBe(short, 1, "nine minutes after the next link")
	w.live(61 * time.Second)
	w.mustBe(short, 0, "ten minutes")
	w.mustBe(free, 1, "work that may be alone")
	v, _ := w.dev.Alloc(short)
	if v.Status != fleet.ClientComplete || !strings.Contains(v.Description, "no contact with a server for 10m") {
		t.Fatalf("%s: %q", v.Status, v.Description)
	}
	w.link()
	w.finish()
	if w.known[short].Description != v.Description {
		t.Fatalf("the region hears %+v", w.known[short])
	}
}

func TestContactIsCountedOverAReboot(t *testing.T) {
	for name, c := range map[string]struct {
		linked, off time.Duration
		clock       time.Duration // what the clock loses with the power
		running     int
	}{
		"off for long":          {3 * time.Hour, 30 * time.Minute, 0, 0},
		"off for a moment":      {3 * time.Hour, time.Minute, 0, 1},
		"off without a battery": {3 * time.Hour, time.Minute, 24 * 365 * time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, short, free := tied(t)
			w.live(c.linked)
			w.now = w.now.Add(c.off - c.clock)
			before := w.starts
			w.powerLoss()
			w.mustBe(short, c.running, "after the boot")
			w.mustBe(free, 1, "work that may be alone")
			if c.running == 0 && w.starts != before+1 {
				t.Fatalf("%d tasks were started", w.starts-before)
			}
		})
	}
}

func TestOrphansAreToldUntilTheyEnd(t *testing.T) {
	w, id := placed(t, device.Planted{})
	orphan := w.place(w.job("other", 2, "service", 1))
	w.push(true, nil)
	w.finish()
	gone := *w.desired[orphan]
	delete(w.desired, orphan)
	w.gen.Epoch++
	w.unlink()
	var told []*wire.StatusBatch
	w.link()
	w.push(true, nil)
	for len(w.pending) > 0 || w.outgoing != nil {
		if w.outgoing != nil {
			told = append(told, w.outgoing)
			w.commit(true)
		} else {
			w.answer(0, false)
		}
	}
	w.now = w.now.Add(time.Second)
	w.step(device.Timer{})
	if b := w.outgoing; b != nil {
		told = append(told, b)
		w.finish()
	}
	last := told[len(told)-1]
	if !last.TellsOrphans || len(last.Orphans) != 1 || last.Orphans[0].ID != orphan || last.Orphans[0].Job != gone.Job {
		t.Fatalf("the last batch is %+v", last)
	}
	if w.runningOf(orphan) != 1 || w.runningOf(id) != 1 {
		t.Fatal("a region in a new epoch stopped something")
	}
	gone.Stop, gone.StopReason = true, "an operator stopped the orphan"
	w.desired[orphan], w.stopped[orphan] = &gone, true
	w.push(false, nil, orphan)
	w.finish()
	w.mustBe(orphan, 0, "after an operator stopped it")
}
