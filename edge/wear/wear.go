// Package wear counts what a device writes to its disk, by class and day: flash dies of it, and its owner should see it coming.
//
// The one idea: sources count for themselves, always upwards from their own beginning; the ledger takes what a source has grown by
// since it was last seen, and puts it to the day that it is. So nothing is counted twice over restarts of agent or host, and what
// is counted needs no write of its own: it rides along when the device's state is written (see edge/statedb), and a power cut
// costs the counts since then, which a host that lives on still has.
//
// Invariants:
//   - Counts never fall. A source that starts again (another epoch) begins at zero.
//   - Days are in the order in which they were lived. A clock that jumps begins a new one; it never changes an old one.
//   - What the kernel does not tell is unknown, and never zero.
//
// Threading: a Ledger is a value of one owner; a Meter may be used by several goroutines.
package wear

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
)

// DaysMax is how many days are kept, today included.
const DaysMax = 31

// Day is one day's writes.
type Day struct {
	Day int64 // days since 1970, UTC
	fleet.WriteClasses
}

// Seen is how far a source was counted.
type Seen struct {
	Epoch int64 // which life of the source
	Count int64
}

// Ledger is what is kept. Its JSON form is on disk.
type Ledger struct {
	Since int64 // of the first count, Unix seconds
	Total fleet.WriteClasses
	Days  []Day // newest first
	Seen  map[string]Seen
	// Kernel and Named make Other: what the kernel saw beyond what was named.
	Kernel int64
	Named  int64
}

// Read decodes a ledger; nil is an empty one.
func Read(b []byte) (Ledger, error) {
	var l Ledger
	if b == nil {
		return l, nil
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return Ledger{}, fmt.Errorf("the count of what was written: %w", err)
	}
	if len(l.Days) > DaysMax {
		l.Days = l.Days[:DaysMax]
	}
	return l, nil
}

// grown is by how much a source has grown, and notes it.
func (l *Ledger) grown(source string, epoch, count int64) int64 {
	before := l.Seen[source]
	if before.Epoch != epoch {
		before.Count = 0
	}
	if l.Seen == nil {
		l.Seen = map[string]Seen{}
	}
	l.Seen[source] = Seen{Epoch: epoch, Count: max(before.Count, count)}
	return max(0, count-before.Count)
}

// Add counts what a source of named bytes has grown by.
func (l *Ledger) Add(class fleet.WriteClass, source string, epoch, count int64, now time.Time) {
	n := l.grown(source, epoch, count)
	l.Named += n
	l.put(class, n, now)
}

// AddKernel counts what the kernel says a process and its children have written. What was named in the meantime is part of it;
// the rest is of class other.
func (l *Ledger) AddKernel(source string, epoch, count int64, now time.Time) {
	l.Kernel += l.grown("kernel/"+source, epoch, count)
	other := int64(0)
	if l.Total.Other != nil {
		other = *l.Total.Other
	}
	// The kernel counts when pages become dirty, and by the page: it may be behind for a while.
	l.put(fleet.WriteOther, max(0, l.Kernel-l.Named-other), now)
}

func (l *Ledger) put(class fleet.WriteClass, n int64, now time.Time) {
	if l.Since == 0 {
		l.Since = now.Unix()
	}
	if n == 0 && (class != fleet.WriteOther || l.Total.Other != nil) {
		return
	}
	l.Total.Add(class, n)
	l.today(now).Add(class, n)
}

func (l *Ledger) today(now time.Time) *Day {
	day := now.Unix() / int64(24*time.Hour/time.Second)
	if len(l.Days) == 0 || l.Days[0].Day != day {
		l.Days = append([]Day{{Day: day}}, l.Days[:min(len(l.Days), DaysMax-1)]...)
	}
	return &l.Days[0]
}

// View is what operators are shown.
func (l *Ledger) View(now time.Time) *fleet.DiskWrites {
	v := &fleet.DiskWrites{Total: l.Total}
	if l.Since != 0 {
		v.Since = time.Unix(l.Since, 0).UTC()
	}
	day := now.Unix() / int64(24*time.Hour/time.Second)
	for _, d := range l.Days {
		if d.Day == day {
			v.Today.Sum(d.WriteClasses)
		}
		v.Days = append(v.Days, fleet.DiskWritesDay{Date: time.Unix(d.Day*int64(24*time.Hour/time.Second), 0).UTC().Format(time.DateOnly), WriteClasses: d.WriteClasses})
	}
	return v
}
