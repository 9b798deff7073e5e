package trust

import (
	"crypto/x509"
	"sync"
	"time"
)

// Clock is the time by which validity windows of certificates are judged.
//
// Many devices have no clock battery: they boot in 1970, or, after a bad write to
// a clock chip, in 2090. A plain check then calls every certificate "not yet
// valid" or "expired", and the device is lost until somebody sets its clock. So
// on a device the wall clock is no evidence (NewDeviceClock); it only measures
// how long ago something was. The time is the latest of
//
//   - the day this program was written (ProgramDate): that has passed,
//   - the highest time told by a peer that we authenticated, or kept on disk from
//     then (Raise), and what has gone by since,
//   - the moment our own certificate became valid: it was signed then, and
//   - for a peer's certificate under check, the moment it became valid: the
//     region's CA does not date certificates ahead, so the signature itself is
//     evidence that the moment has come.
//
// So "not yet valid" never refuses a peer, and "expired" is judged by the best
// lower bound that is known. What this gives up: a device that has been off can
// be shown a stolen server certificate that has expired since the device's lower
// bound, until it meets a true server. Two alternatives were rejected: to ask the
// network for the time moves trust to an unauthenticated source; to believe a
// wall clock that looks sensible makes the devices fail first whose clocks are
// wrong by little.
//
// Servers and people's machines have clocks that somebody looks after: NewClock
// takes the wall clock as evidence too.
//
// A Clock is safe for concurrent use.
type Clock struct {
	now     func() time.Time
	believe bool // the wall clock is evidence

	mu    sync.Mutex
	floor time.Time // the highest time noted
	noted time.Time // the wall clock when it was noted
}

// ProgramDate is a day that has passed wherever this program runs.
var ProgramDate = time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)

// NewClock returns a clock that believes the wall clock.
func NewClock(now func() time.Time) *Clock { return &Clock{now: now, believe: true} }

// NewDeviceClock returns a clock that does not believe the wall clock.
func NewDeviceClock(now func() time.Time) *Clock { return &Clock{now: now} }

// Raise notes that t has passed; the caller has it from an authenticated peer or from its own disk. Times before what is
// known are ignored.
func (c *Clock) Raise(t time.Time) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.best(now)) {
		c.floor, c.noted = t, now
	}
}

// best is the floor and, where the wall clock is not believed, what has gone by
// since it was noted. A wall clock that was set in between is a jump and counts
// as no time; time.Time subtracts by the monotonic clock where it has one.
func (c *Clock) best(now time.Time) time.Time {
	if c.floor.IsZero() || c.believe {
		return c.floor
	}
	return c.floor.Add(max(0, now.Sub(c.noted)))
}

// Floor is the highest time that is known to have passed, worth keeping over a restart. The zero time if there is none.
func (c *Clock) Floor() time.Time {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.best(now)
}

// Now is the latest of the floor, the moments given and, if it is believed, the wall clock.
func (c *Clock) Now(passed ...time.Time) time.Time {
	t := ProgramDate
	if c.believe {
		t = c.now()
	}
	for _, p := range append(passed, c.Floor()) {
		if p.After(t) {
			t = p
		}
	}
	return t
}

// SignedTime is what a peer's word about the time is worth: within the life of
// the certificate by which it was authenticated. A server whose own clock went
// astray must not take its devices along for good; beyond the window the answer
// is the moment the certificate became valid.
func SignedTime(told time.Time, by *x509.Certificate) time.Time {
	if told.Before(by.NotBefore) || told.After(by.NotAfter) {
		return by.NotBefore
	}
	return told
}
