package trust

import (
	"sync/atomic"
	"time"
)

// Clock is the time by which validity windows of certificates are judged.
//
// Many devices have no clock battery and boot in 1970; a plain check then calls every certificate "not yet valid" and
// the device is lost until somebody sets its clock. The rule here: the time is the latest of
//
//   - the wall clock,
//   - the moment our own certificate became valid (it was signed then, so that time has passed),
//   - the highest time told by a peer that we already authenticated (Raise), and
//   - for a peer's certificate under check, the moment it became valid: the region's CA does not date certificates
//     ahead, so the signature itself is evidence that the moment has come.
//
// So "not yet valid" never refuses a peer, and "expired" is judged by the best lower bound that is known. What this
// gives up: a device whose clock stands in the past can be shown a stolen server certificate that has expired since
// the device's lower bound. The rejected alternative, to ask the network for the time first, moves trust to an
// unauthenticated source and adds a dependency to each boot. A clock that runs ahead cannot be told from the truth;
// ExplainHandshake then shows both dates.
//
// A Clock is safe for concurrent use.
type Clock struct {
	now   func() time.Time
	floor atomic.Int64 // Unix seconds; only grows
}

// NewClock returns a clock over a wall clock.
func NewClock(now func() time.Time) *Clock { return &Clock{now: now} }

// Raise notes that t has passed; the caller has it from an authenticated peer or from its own disk. Earlier times are
// ignored.
func (c *Clock) Raise(t time.Time) {
	for {
		old := c.floor.Load()
		if t.Unix() <= old || c.floor.CompareAndSwap(old, t.Unix()) {
			return
		}
	}
}

// Floor is the highest time noted, worth keeping over a restart. The zero time if there is none.
func (c *Clock) Floor() time.Time {
	if s := c.floor.Load(); s != 0 {
		return time.Unix(s, 0)
	}
	return time.Time{}
}

// Now is the latest of the wall clock, the floor and the moments given.
func (c *Clock) Now(passed ...time.Time) time.Time {
	t := c.now()
	for _, p := range append(passed, c.Floor()) {
		if p.After(t) {
			t = p
		}
	}
	return t
}
