package state

import (
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Drain is how a node is being emptied. Which of its allocations are to move now is
// kept here and not in their rows: it ends with the drain, and no other row has to
// pay for it.
type Drain struct {
	Deadline     int64 // Unix nanoseconds; 0: never
	Limit        fleet.Duration
	IgnoreSystem bool
	StartedAt    int64 // Unix nanoseconds
	Forced       bool  // what is marked leaves whether it has another place or not
	Marks        []fleet.UUID
}

// Marked reports whether an allocation is to move now.
func (d *Drain) Marked(id fleet.UUID) bool { return d != nil && slices.Contains(d.Marks, id) }

// View is the API's form.
func (d *Drain) View() *fleet.DrainStrategy {
	if d == nil {
		return nil
	}
	out := &fleet.DrainStrategy{
		DrainSpec: fleet.DrainSpec{Deadline: d.Limit, IgnoreSystemJobs: d.IgnoreSystem}, StartedAt: time.Unix(0, d.StartedAt).UTC(),
	}
	if d.Deadline != 0 {
		out.ForceDeadline = time.Unix(0, d.Deadline).UTC()
	}
	return out
}
