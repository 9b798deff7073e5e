package device

import (
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// telling is what the region has to be told.
type telling struct {
	queue []fleet.UUID // changed since they were last acknowledged, in that order
	by    time.Time    // when to send at the latest; zero: nothing waits
	full  bool         // a link came up: everything
	seq   uint64
	sent  []told // of the batch under way; nil: none is
	// orphans: which allocations the region does not know has to be told; with the next batch, or alone.
	orphans bool
}

// told is one row of a batch.
type told struct {
	id  fleet.UUID
	rev uint64
}

func (d *Device) goUp(w *wire.Welcome) {
	reason := ""
	switch {
	case !d.facts.Region.IsZero() && w.RegionID != d.facts.Region:
		reason = fmt.Sprintf("the server is of region %s, and this device obeys region %s", w.RegionID, d.facts.Region)
	case w.Epoch < d.facts.Held.Epoch:
		reason = fmt.Sprintf("the server is in epoch %d, and this device has seen epoch %d: the server was restored from an older state", w.Epoch, d.facts.Held.Epoch)
	}
	if reason != "" {
		d.warn("%s", reason)
		d.out.answer = append(d.out.answer, RefuseLink{Reason: reason})
		return
	}
	if d.facts.Region.IsZero() {
		d.facts.Region = w.RegionID
		d.unsaved = true
	}
	if d.facts.Clock = max(d.facts.Clock, w.ServerTime); d.facts.Clock-d.savedClock > int64(ClockWriteEvery) {
		d.unsaved = true
	}
	d.linkUp = true
	d.heard()
	d.status.full, d.status.orphans, d.status.sent = true, true, nil
	d.fetchAll()
	d.countHolds()
}

// goDown takes back what was under way. The next link begins with everything, so nothing is lost.
func (d *Device) goDown() {
	if d.linkUp {
		d.heard()
	}
	d.linkUp = false
	d.pauseHolds()
	d.status.sent = nil
}

// enqueue notes a change that has to be told. A task that began to run, or ended, is worth a message of its own; the rest can
// wait for company.
func (d *Device) enqueue(e *entry) {
	if !e.queued {
		e.queued = true
		d.status.queue = append(d.status.queue, e.ID())
	}
	window := StatusLazyWindow
	if s := e.ClientStatus(); s != e.told && s != fleet.ClientPending || e.Terminal() {
		window = StatusWindow
	}
	if by := d.now.Add(window); d.status.by.IsZero() || by.Before(d.status.by) {
		d.status.by = by
		if d.linkUp {
			d.timers.add(timer{at: by, kind: wakeStatus})
		}
	}
}

// tell sends the next batch when its time has come and none is under way.
func (d *Device) tell() {
	s := &d.status
	if !d.linkUp || s.sent != nil {
		return
	}
	if s.full {
		d.enqueueAll()
	} else if !s.orphans && (len(s.queue) == 0 || d.now.Before(s.by)) {
		return
	}
	batch := &wire.StatusBatch{}
	rest := d.fill(batch)
	batch.Full = s.full && len(rest) == 0
	if s.orphans {
		batch.TellsOrphans, batch.Orphans = true, d.orphans()
	}
	if len(batch.Allocs) == 0 && !s.full && !s.orphans {
		s.queue, s.by, s.sent = nil, time.Time{}, nil
		return
	}
	s.full, s.orphans = false, false
	s.seq++
	batch.Seq = s.seq
	s.queue = rest
	if len(rest) == 0 {
		s.by = time.Time{}
	}
	d.out.send = append(d.out.send, SendStatus{Batch: batch})
}

// orphans lists what runs here and is not known to the region.
func (d *Device) orphans() (out []wire.Orphan) {
	for _, id := range d.sortedIDs() {
		e := d.allocs[id]
		if !e.orphan || e.Terminal() || len(out) == wire.OrphansMax {
			continue
		}
		w := e.Desired()
		out = append(out, wire.Orphan{ID: id, Job: w.Job, Group: w.Group, Index: w.Index, Status: e.ClientStatus(), CreateTime: w.CreateTime, Granted: w.Granted})
	}
	return out
}

func (d *Device) enqueueAll() {
	d.status.queue = d.sortedIDs()
	for _, id := range d.status.queue {
		e := d.allocs[id]
		e.queued, e.acked = true, 0
	}
}

// fill moves rows from the queue into a batch until it is full, and returns the rest of the queue.
func (d *Device) fill(batch *wire.StatusBatch) []fleet.UUID {
	s := &d.status
	s.sent = make([]told, 0, min(len(s.queue), wire.StatusesMax))
	bytes := 0
	for i, id := range s.queue {
		e := d.allocs[id]
		if e == nil || e.acked == e.Rev() {
			if e != nil {
				e.queued = false
			}
			continue
		}
		row := e.Status()
		if bytes += statusBytes(&row); len(batch.Allocs) == wire.StatusesMax || len(batch.Allocs) > 0 && bytes > StatusBatchBytesMax {
			return append([]fleet.UUID(nil), s.queue[i:]...)
		}
		e.queued = false
		e.told = row.Status
		if d.cfg.Planted.ForgetUnacked {
			e.acked = e.Rev()
		}
		batch.Allocs = append(batch.Allocs, row)
		s.sent = append(s.sent, told{id, e.Rev()})
	}
	return nil
}

// statusBytes is an upper bound, near enough, of a row's binary form.
func statusBytes(s *wire.AllocStatus) int {
	n := 64 + len(s.Description)
	for i := range s.Tasks {
		n += 64 + len(s.Tasks[i].Name)
		for _, e := range s.Tasks[i].Events {
			n += 16
			for _, a := range e.Args {
				n += 4 + len(a)
			}
		}
	}
	return n
}

func (d *Device) statusAcked(seq uint64) {
	s := &d.status
	if s.sent == nil || seq != s.seq {
		return // of a batch before; the one under way is still awaited
	}
	for _, t := range s.sent {
		if e := d.allocs[t.id]; e != nil {
			e.acked = t.rev
		}
	}
	s.sent = nil
}
