package devices

import (
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"pgregory.net/rapid"
)

// TestEachAllocationCountsOnce plays links, wishes of the region, ends and acknowledgements in any order, some of them lost with their
// link, against a naive account of what each allocation is.
func TestEachAllocationCountsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, c := newDevice(0, fleet.UUID{1}), &counters{}
		d.linked(fleet.UUID{9})
		is := map[fleet.UUID]phase{} // what each allocation should be
		ran := map[fleet.UUID]bool{} // those that did not arrive as stopped already
		var flying *wire.StatusBatch
		now := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"want": func(t *rapid.T) {
				id := fleet.UUID{2, byte(rapid.IntRange(0, 7).Draw(t, "alloc"))}
				stop := rapid.Bool().Draw(t, "stop")
				fresh := d.desire(&wire.Desired{Allocs: []wire.DesiredAlloc{{ID: id, Stop: stop}}}, &tasks{}, now)
				switch was := is[id]; {
				case was == 0 && stop:
					is[id] = stopped
				case was == 0:
					is[id], ran[id] = started, true
				case was == started && stop:
					is[id] = stopped
				}
				if (len(fresh) == 1) != (ran[id] && is[id] == started && d.allocs[id].at == now) {
					t.Fatalf("allocation %s: fresh %v", id, fresh)
				}
			},
			"finish": func(t *rapid.T) {
				id := fleet.UUID{2, byte(rapid.IntRange(0, 7).Draw(t, "alloc"))}
				d.finish(id, now)
				if is[id] == started {
					is[id] = complete
				}
			},
			"tell": func(t *rapid.T) {
				if flying == nil {
					flying = d.batch()
				}
			},
			"acknowledge": func(t *rapid.T) {
				if flying != nil {
					d.acked(flying, c)
					flying = nil
				}
			},
			"link": func(t *rapid.T) {
				flying = nil // what was under way is told again
				d.linked(fleet.UUID{9})
			},
			"": func(*rapid.T) { now++ },
		})
		if flying != nil {
			d.acked(flying, c)
		}
		for b := d.batch(); b != nil; b = d.batch() {
			d.acked(b, c)
		}
		var want counters
		for id, p := range is {
			if !ran[id] {
				continue
			}
			want.running.Add(1)
			switch p {
			case complete:
				want.complete.Add(1)
			case stopped:
				want.stopped.Add(1)
			}
		}
		if c.running.Load() != want.running.Load() || c.complete.Load() != want.complete.Load() || c.stopped.Load() != want.stopped.Load() {
			t.Fatalf("counted %d running, %d complete, %d stopped; want %d, %d, %d", c.running.Load(), c.complete.Load(), c.stopped.Load(),
				want.running.Load(), want.complete.Load(), want.stopped.Load())
		}
	})
}

func TestTheFirstBatchOfALinkTellsAll(t *testing.T) {
	d := newDevice(0, fleet.UUID{1})
	d.linked(fleet.UUID{9})
	var m wire.Desired
	for n := range wire.StatusesMax + 1 {
		m.Allocs = append(m.Allocs, wire.DesiredAlloc{ID: fleet.UUID{2, byte(n >> 8), byte(n)}})
	}
	d.desire(&m, &tasks{}, 1)
	first, second := d.batch(), d.batch()
	if first.Full || !first.TellsOrphans || len(first.Allocs) != wire.StatusesMax {
		t.Errorf("the first of two: full %t, %d", first.Full, len(first.Allocs))
	}
	if second == nil || second.Full || len(second.Allocs) != 1 {
		t.Errorf("the second: %+v", second)
	}
	d.linked(fleet.UUID{9})
	d.allocs = map[fleet.UUID]*allocation{{2}: {now: started}}
	d.linked(fleet.UUID{9})
	if b := d.batch(); !b.Full || len(b.Allocs) != 1 {
		t.Errorf("a batch that holds everything: %+v", b)
	}
}

// What the region wants of a device may be read before the welcome that was sent ahead of it: the device waits for a teller once even
// so, or the queue of those that wait has no room for all, and who fills it waits for ever.
func TestADeviceWaitsForATellerOnce(t *testing.T) {
	opts := Options{Lines: []Line{{Nodes: []fleet.UUID{{1}, {2}}}}, Servers: []link.Server{{}}}
	f, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	l := f.lines[0]
	for round := range 3 { // links
		for i, d := range l.devices {
			l.obey(d, &wire.Desired{Allocs: []wire.DesiredAlloc{{ID: fleet.UUID{byte(10*round + i)}}}}, time.Unix(1, 0))
			l.registered(d, fleet.UUID{9})
		}
		if n := len(l.untold); n != len(l.devices) {
			t.Fatalf("link %d: %d devices wait %d times", round, len(l.devices), n)
		}
		l.unlinked()
		if n := len(l.untold); n != 0 {
			t.Fatalf("link %d ended and %d wait", round, n)
		}
	}
}
