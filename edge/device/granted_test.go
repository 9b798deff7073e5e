package device_test

import (
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

func portGranted(number uint16) wire.Granted {
	g := wire.Grants{Ports: []wire.GrantedPort{{Label: "http", Number: number}}}
	return g.Pack()
}

// holds is a world in which one runs that holds a port, and another job that is to hold the same was placed.
func holds(t *testing.T) (w *world, old, next fleet.UUID) {
	t.Helper()
	w = newWorld(t)
	w.link()
	old = w.place(w.job("a", 0, "service", 1))
	w.desired[old].Granted = portGranted(8080)
	w.push(true, nil)
	w.settle()
	w.now = w.now.Add(time.Second)
	next = w.place(w.job("b", 0, "service", 2))
	w.desired[next].Granted = portGranted(8080)
	w.push(false, nil, next)
	w.settle()
	if w.runningOf(old) != 1 || w.runningOf(next) != 0 {
		t.Fatalf("%d of the holder run, and %d of the one that waits", w.runningOf(old), w.runningOf(next))
	}
	if !says(w, next, "waits for port 8080, which allocation "+old.String()) {
		t.Error("it does not say what it waits for")
	}
	return w, old, next
}

func TestAPortIsWaitedFor(t *testing.T) {
	w, old, next := holds(t)
	w.desired[old].Stop, w.stopped[old] = true, true
	w.push(false, nil, old)
	if w.runningOf(next) != 0 {
		t.Fatal("it was started while the holder is stopping")
	}
	w.settle()
	if w.runningOf(old) != 0 || w.runningOf(next) != 2 {
		t.Fatalf("%d of the old and %d of the new run", w.runningOf(old), w.runningOf(next))
	}
}

// A device goes from hand to hand like a port: also when its kind was renamed in between, and what else both hold does not matter.
func TestADeviceIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.link()
	hold := func(kind string, ids ...string) wire.Granted {
		g := wire.Grants{Devices: []wire.GrantedDevice{{Task: "main", Device: kind, IDs: ids}}}
		return g.Pack()
	}
	old := w.place(w.job("a", 0, "service", 1))
	w.desired[old].Granted = hold("usb/serial/ftdi", "tty0", "tty1")
	w.push(true, nil)
	w.settle()
	w.now = w.now.Add(time.Second)
	next, other := w.place(w.job("b", 0, "service", 1)), w.place(w.job("c", 0, "service", 1))
	w.desired[next].Granted, w.desired[other].Granted = hold("usb/serial/x", "tty2", "tty1"), hold("usb/serial/ftdi", "tty3")
	w.push(false, nil, next, other)
	w.settle()
	if w.runningOf(old) != 1 || w.runningOf(next) != 0 || w.runningOf(other) != 1 {
		t.Fatalf("%d, %d and %d run", w.runningOf(old), w.runningOf(next), w.runningOf(other))
	}
	if !says(w, next, "waits for device tty1 (usb/serial/ftdi), which allocation "+old.String()) {
		t.Error("it does not say what it waits for")
	}
	w.desired[old].Stop, w.stopped[old] = true, true
	w.push(false, nil, old)
	if w.runningOf(next) != 0 {
		t.Fatal("it was started while the holder is stopping")
	}
	w.settle()
	if w.runningOf(old) != 0 || w.runningOf(next) != 1 {
		t.Fatalf("%d of the old and %d of the new run", w.runningOf(old), w.runningOf(next))
	}
}

func TestAPortIsWaitedForOverRestarts(t *testing.T) {
	w, old, next := holds(t)
	w.boot()
	w.settle()
	if w.runningOf(old) != 1 || w.runningOf(next) != 0 {
		t.Fatalf("after a restart of the agent %d and %d run", w.runningOf(old), w.runningOf(next))
	}
	w.powerLoss()
	w.settle()
	if w.runningOf(old) != 1 || w.runningOf(next) != 0 {
		t.Fatalf("after a loss of power %d and %d run", w.runningOf(old), w.runningOf(next))
	}
	w.link()
	w.desired[old].Stop, w.stopped[old] = true, true
	w.push(false, nil, old)
	w.settle()
	if w.runningOf(next) != 2 {
		t.Fatalf("%d of the new one run", w.runningOf(next))
	}
}

func TestWhoeverWaitsMayBeStopped(t *testing.T) {
	w, old, next := holds(t)
	w.desired[next].Stop, w.stopped[next] = true, true
	w.push(false, nil, next)
	w.settle()
	if w.runningOf(old) != 1 || w.status(next) != fleet.ClientComplete {
		t.Fatalf("%d of the holder run, and the other is %s", w.runningOf(old), w.status(next))
	}
}

// A new version that takes its predecessor's port is fetched and prepared while that one runs, and begins when it has ended.
func TestAReplacementTakesThePort(t *testing.T) {
	w := newWorld(t)
	w.link()
	old := w.place(w.job("web", 0, "service", 1))
	w.desired[old].Granted = portGranted(8080)
	w.push(true, nil)
	w.settle()
	w.desired[old].Stop, w.desired[old].StopReason = true, "a new version replaces it"
	w.stopped[old] = true
	next := w.place(w.job("web", 1, "service", 1))
	w.desired[next].Granted = portGranted(8080)
	w.push(false, nil, next, old)
	w.settle()
	if w.runningOf(old) != 0 || w.runningOf(next) != 1 {
		t.Fatalf("%d of the old and %d of the new version run", w.runningOf(old), w.runningOf(next))
	}
}

func TestOrphansTellWhatTheyHold(t *testing.T) {
	w, old, _ := holds(t)
	delete(w.desired, old)
	w.orphans = append(w.orphans, old)
	w.gen = wire.Generation{Epoch: w.gen.Epoch + 1}
	w.push(true, nil)
	for range 100 {
		if b := w.outgoing; b != nil && b.TellsOrphans {
			if len(b.Orphans) != 1 || b.Orphans[0].Granted != portGranted(8080) {
				t.Fatalf("orphans: %+v", b.Orphans)
			}
			return
		}
		w.commit(true)
	}
	t.Fatal("the orphan was not told")
}
