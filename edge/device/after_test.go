package device_test

import (
	"testing"

	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/fleet"
)

// preempted is a world in which one of two runs, and is to give way to another.
func preempted(t *testing.T, faults device.Planted) (w *world, old, next fleet.UUID) {
	t.Helper()
	w = newPlanted(t, faults)
	w.link()
	old = w.place(w.job("low", 0, "service", 1))
	w.push(true, nil)
	w.settle()
	return w, old, w.preempt(old, w.job("high", 1, "service", 1))
}

func TestNewcomerWaitsForTheEnd(t *testing.T) {
	w, old, next := preempted(t, device.Planted{})
	if len(stops(w)) != 1 {
		t.Fatal("what gives way is not stopped at once")
	}
	one[device.FetchModule](t, w, false) // what it needs is fetched meanwhile
	if w.started[next] || !says(w, next, "waits for the end of low.g[0]") {
		t.Fatal("the newcomer does not wait, or does not say so")
	}
	w.unlink() // no server is needed to go on
	w.settle()
	if w.runningOf(old) != 0 || w.runningOf(next) != 1 {
		t.Fatalf("at rest %d and %d run", w.runningOf(old), w.runningOf(next))
	}
}

func TestNewcomerWaitsOverARestart(t *testing.T) {
	w, old, next := preempted(t, device.Planted{})
	one[device.FetchModule](t, w, false)
	w.boot() // world.checkStart looks at each start
	if w.started[next] || w.runningOf(old) != 1 {
		t.Fatal("a restart started the newcomer early")
	}
	w.settle()
	if w.runningOf(old) != 0 || w.runningOf(next) != 1 {
		t.Fatalf("at rest %d and %d run", w.runningOf(old), w.runningOf(next))
	}
}

func TestNewcomerThatIsStoppedMeanwhile(t *testing.T) {
	w, old, next := preempted(t, device.Planted{})
	one[device.FetchModule](t, w, false)
	w.desired[next].Stop, w.stopped[next] = true, true
	w.push(false, nil, next)
	w.settle()
	if w.started[next] || w.runningOf(old) != 0 || !fleet.ClientTerminal(w.status(next)) {
		t.Fatalf("started: %t, status %s", w.started[next], w.status(next))
	}
}

// What the device does not have has ended, as far as room goes.
func TestNewcomerAfterSomethingUnknown(t *testing.T) {
	w := newWorld(t)
	w.link()
	id := w.place(w.job("high", 0, "service", 1))
	w.desired[id].After = []fleet.UUID{{0x77}}
	w.push(true, nil)
	w.settle()
	if w.runningOf(id) != 1 {
		t.Fatal("it waits for what is not there")
	}
}

// An agent that dies while a task starts does not know whether it runs. If it has to give way meanwhile, the newcomer waits until its
// driver has ended whatever there is.
func TestNewcomerAfterAnUnknownStart(t *testing.T) {
	w := newWorld(t)
	w.link()
	old := w.place(w.job("low", 0, "service", 1))
	next := w.job("high", 1, "service", 1)
	w.push(true, nil)
	for i := 0; i < len(w.pending); i++ {
		if s, ok := w.pending[i].(device.StartTask); ok {
			w.running[instanceID(s.Instance)] = true // and nobody hears of it
			by := w.preempt(old, next)
			one[device.FetchModule](t, w, false)
			w.boot()
			w.settle() // world.checkStart looks at each start
			if w.runningOf(old) != 0 || w.runningOf(by) != 1 {
				t.Fatalf("at rest %d and %d run", w.runningOf(old), w.runningOf(by))
			}
			return
		}
		if _, ok := w.pending[i].(device.FetchModule); ok {
			w.answer(i, false)
			i = -1
		}
	}
	t.Fatalf("nothing starts: %v", w.pending)
}
