package devices

import (
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// phase is how far an allocation is. Phases only rise.
type phase byte

const (
	started phase = iota + 1
	complete
	stopped
)

// allocation is one on a device.
type allocation struct {
	at     int64  // when it started, in Unix nanoseconds
	ended  int64  // when it ended; 0: it has not
	task   string // of the first task; a simulated device runs no others
	now    phase
	told   phase // that the region has committed
	queued bool
}

// device is the state of one simulated device: values in, values out. The line's lock guards it.
type device struct {
	n      int
	id     fleet.UUID
	region fleet.UUID
	held   wire.Generation
	mark   uint64
	allocs map[fleet.UUID]*allocation
	queue  []fleet.UUID // to be told
	full   bool         // the next batch is the first of its link
	busy   bool         // a batch is under way, or the device waits for a teller
	seq    uint64
}

func newDevice(n int, id fleet.UUID) *device {
	return &device{n: n, id: id, allocs: map[fleet.UUID]*allocation{}}
}

// linked begins a link: all there is is told first.
func (d *device) linked(region fleet.UUID) {
	d.region, d.full, d.queue = region, true, d.queue[:0]
	for id, a := range d.allocs {
		a.queued = true
		d.queue = append(d.queue, id)
	}
}

// desire takes what the region wants. It returns the allocations that are new here, which start now.
func (d *device) desire(m *wire.Desired, tasks *tasks, now int64) (fresh []fleet.UUID) {
	for i := range m.Allocs {
		w := &m.Allocs[i]
		a := d.allocs[w.ID]
		if a == nil {
			a = &allocation{at: now, task: tasks.first(w.Job, w.Group), now: started}
			if w.Stop {
				a.ended, a.now, a.told = now, stopped, stopped // it never ran here
			} else {
				fresh = append(fresh, w.ID)
			}
			d.allocs[w.ID] = a
			d.enqueue(w.ID, a)
		} else if w.Stop && a.now == started {
			a.ended, a.now = now, stopped
			d.enqueue(w.ID, a)
		}
	}
	for _, id := range m.Forget {
		delete(d.allocs, id)
	}
	d.held, d.mark = m.Gen, m.Mark
	return fresh
}

// finish ends an allocation that ran long enough.
func (d *device) finish(id fleet.UUID, now int64) {
	if a := d.allocs[id]; a != nil && a.now == started {
		a.ended, a.now = now, complete
		d.enqueue(id, a)
	}
}

func (d *device) enqueue(id fleet.UUID, a *allocation) {
	if !a.queued {
		a.queued = true
		d.queue = append(d.queue, id)
	}
}

// batch is the next thing to tell; nil: nothing. Each allocation is told as it is now.
func (d *device) batch() *wire.StatusBatch {
	if len(d.queue) == 0 && !d.full {
		return nil
	}
	n := min(len(d.queue), wire.StatusesMax)
	b := &wire.StatusBatch{Full: d.full && n == len(d.queue), TellsOrphans: d.full}
	for _, id := range d.queue[:n] {
		if a := d.allocs[id]; a != nil {
			a.queued = false
			b.Allocs = append(b.Allocs, a.status(id))
		}
	}
	d.queue, d.full = d.queue[n:], false
	d.seq++
	b.Seq = d.seq
	return b
}

// acked takes the region's word that a batch is committed, and adds what it told for the first time to the counts.
func (d *device) acked(b *wire.StatusBatch, c *counters) {
	for i := range b.Allocs {
		a, said := d.allocs[b.Allocs[i].ID], phaseOf(&b.Allocs[i])
		if a == nil || said <= a.told {
			continue
		}
		if a.told < started {
			c.running.Add(1)
		}
		switch said {
		case complete:
			c.complete.Add(1)
		case stopped:
			c.stopped.Add(1)
		}
		a.told = said
	}
}

// What the descriptions of ended allocations say.
const stoppedText = "stopped"

func phaseOf(s *wire.AllocStatus) phase {
	switch {
	case s.Status == fleet.ClientRunning:
		return started
	case s.Description == stoppedText:
		return stopped
	}
	return complete
}

// status is what a real device says of it, with the three events of a start.
func (a *allocation) status(id fleet.UUID) wire.AllocStatus {
	t := fleet.ObservedTask{State: fleet.TaskRunning, StartedAt: a.at, Events: []fleet.CodedEvent{
		{Code: fleet.EventReceived, Time: a.at}, {Code: fleet.EventSetup, Time: a.at}, {Code: fleet.EventStarted, Time: a.at},
	}}
	s := wire.AllocStatus{ID: id, Status: fleet.ClientRunning}
	if a.now != started {
		s.Status, t.State = fleet.ClientComplete, fleet.TaskDead
		t.FinishedAt = a.ended
		if a.now == stopped {
			s.Description = stoppedText
		}
	}
	s.Tasks = []wire.TaskStatus{{Name: a.task, ObservedTask: t}}
	return s
}
