package device

import (
	"fmt"
	"time"
)

// A group may say how long its work may go on without contact (stop_on_client_after). This is the only reason for which a
// device stops anything by itself, and its purpose is that a replacement elsewhere does not run beside it: where the device
// cannot know how long it was without contact, it counts as too long.
//
// The time is counted by the device's own clock from the end of the last link. Over a loss of power it hangs on what is on
// disk, so while such work is here the time of contact is written now and then; without it, never.

// offline is what the rule needs between steps.
type offline struct {
	minds   bool      // a group with the rule is or was here
	asked   time.Time // when a timer will go off; one that is over is none
	doubted bool      // the clock is behind what it was at the last contact
}

// heard notes contact with a server.
func (d *Device) heard() {
	d.facts.Contact = d.now.UnixNano()
	d.offline.doubted = false
	if d.stopsSoonest() > 0 {
		d.unsaved = true
	}
}

// stopsSoonest is the shortest time that anything here may be without contact; 0: nothing minds.
func (d *Device) stopsSoonest() (least time.Duration) {
	if !d.offline.minds {
		return 0
	}
	for _, e := range d.allocs {
		if after := e.stopAfter(); after > 0 && (least == 0 || after < least) {
			least = after
		}
	}
	return least
}

// stopAfter is how long the allocation may run without contact; 0: for ever, or it does not run.
func (e *entry) stopAfter() time.Duration {
	if e.group == nil || e.Terminal() || e.Desired().Stop {
		return 0
	}
	return e.group.spec.StopAfter()
}

// bootContact judges what is on disk of the last contact.
func (d *Device) bootContact() {
	switch now := d.now.UnixNano(); {
	case d.facts.Contact == 0:
		d.facts.Contact = now // from before this was written; or nobody minded
	case now < d.facts.Contact:
		d.offline.doubted = true
	}
}

// watchContact stops what may not go on, and asks to be woken for the next.
func (d *Device) watchContact() {
	if !d.offline.minds {
		return
	}
	least := d.stopsSoonest()
	if least == 0 {
		return
	}
	away := time.Duration(d.now.UnixNano() - d.facts.Contact)
	if d.linkUp {
		if every := max(ContactWriteMin, least/ContactWriteParts); away >= every {
			d.heard()
			away = 0
		}
		d.wakeContact(max(ContactWriteMin, least/ContactWriteParts) - away)
		return
	}
	next := time.Duration(0)
	for _, id := range d.sortedIDs() {
		e := d.allocs[id]
		after := e.stopAfter()
		if reason := d.overdue(after); reason != "" {
			d.stopOffline(e, reason)
		} else if after > 0 && (next == 0 || after-away < next) {
			next = after - away
		}
	}
	if next > 0 {
		d.wakeContact(next)
	}
}

// overdue says why what may run so long without contact must end; empty: it need not.
func (d *Device) overdue(after time.Duration) string {
	away := time.Duration(d.now.UnixNano() - d.facts.Contact)
	switch {
	case after == 0 || d.linkUp:
		return ""
	case d.offline.doubted || away < 0:
		return fmt.Sprintf("for how long there was no contact is not known, as the clock is behind what it was then (stop_on_client_after = %s)", after)
	case away >= after:
		return fmt.Sprintf("no contact with a server for %s (stop_on_client_after = %s)", away.Round(time.Second), after)
	}
	return ""
}

func (d *Device) stopOffline(e *entry, reason string) {
	d.warn("allocation %s (%s) is stopped: %s", e.ID(), e.Desired().Name(), reason)
	d.do(e, e.Stop(reason, d.cmds[:0], d.now))
	d.touch(e)
	d.out.urgent = true
}

func (d *Device) wakeContact(in time.Duration) {
	at := d.now.Add(max(in, time.Millisecond))
	if o := &d.offline; !o.asked.After(d.now) || at.Before(o.asked) {
		o.asked = at
		d.timers.add(timer{at: at, kind: wakeContact})
	}
}
