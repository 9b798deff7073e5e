package device_test

import (
	"testing"

	"github.com/dunlin-edge/dunlin/edge/device"
)

// TestBootKeepsModulesOfLaterAllocations: an ended allocation that still has to
// be destroyed gives its module back during the boot, before the next one, which
// runs the same module, had its turn. Without a server it could not be fetched
// again. (Found by sim/region.)
func TestBootKeepsModulesOfLaterAllocations(t *testing.T) {
	w := newWorld(t)
	w.link()
	job := w.job("web", 0, "service", 1)
	first, second := w.place(job), w.place(job)
	w.push(true, nil)
	w.settle()
	w.desired[first].Stop, w.stopped[first] = true, true
	w.push(false, nil, first)
	for len(w.pending) > 0 {
		if _, ok := w.pending[0].(device.DestroyTask); ok {
			break
		}
		w.answer(0, false)
	}
	if w.runningOf(first) != 0 || w.runningOf(second) != 1 || len(w.pending) != 1 {
		t.Fatalf("%d and %d tasks run, %d actions wait", w.runningOf(first), w.runningOf(second), len(w.pending))
	}
	w.unlink()
	w.powerLoss()
	w.settle()
	if w.runningOf(second) != 1 {
		t.Fatal("a device that booted without a server does not start what it has the module for")
	}
}
