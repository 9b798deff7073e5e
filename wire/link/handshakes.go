package link

import (
	"sync"
	"time"
)

// What the rate of handshakes is measured by.
const (
	// RateWindow is the time over which it is measured.
	RateWindow = 10 * time.Second
	// RateSettle is how much of a window makes a measurement.
	RateSettle = time.Second
	// CrowdMin is the number of handshakes in progress from which on they wait for this machine, and not for their peers: only
	// then does their rate say what the machine can do.
	CrowdMin = 128
	// ResumedCost is what a resumed handshake costs of a full one, with the registration that follows either.
	ResumedCost = 0.6
)

// Handshakes tell what an endpoint did for clients that dialled it.
type Handshakes struct {
	InProgress int
	Full       uint64 // with a key exchange and certificates
	Resumed    uint64 // took up an earlier session, at ResumedCost
	Failed     uint64 // refused, broken off or too slow
	// PeakRate is the most handshakes per second that were finished over any RateWindow.
	PeakRate float64
	// Rate is how many full handshakes per second this machine was last seen to do with a crowd waiting; 0: it met none.
	Rate float64
}

// HandshakeCounts count handshakes for an adapter. The zero value is ready; it is safe for concurrent use.
type HandshakeCounts struct {
	mu     sync.Mutex
	counts Handshakes
	since  time.Time // of the present window
	done   int       // in it

	crowded time.Time // since when there was a crowd, at most RateWindow ago; zero: there is none
	work    float64   // done since, in full handshakes
}

// Finished counts a handshake that succeeded at the time given, while so many others were in progress.
func (c *HandshakeCounts) Finished(now time.Time, resumed bool, inProgress int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if resumed {
		c.counts.Resumed++
	} else {
		c.counts.Full++
	}
	if now.Sub(c.since) >= RateWindow {
		c.since, c.done = now, 0
	}
	c.done++
	c.counts.PeakRate = max(c.counts.PeakRate, float64(c.done)/RateWindow.Seconds())
	c.measure(now, resumed, inProgress)
}

func (c *HandshakeCounts) measure(now time.Time, resumed bool, inProgress int) {
	if inProgress < CrowdMin {
		c.crowded = time.Time{}
		return
	}
	passed := now.Sub(c.crowded)
	if c.crowded.IsZero() || passed >= RateWindow {
		c.crowded, c.work = now, 0
		return
	}
	if c.work++; resumed {
		c.work += ResumedCost - 1
	}
	if passed >= RateSettle {
		c.counts.Rate = c.work / passed.Seconds()
	}
}

// Failed counts a handshake that did not succeed.
func (c *HandshakeCounts) Failed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Failed++
}

// Get returns the counts so far.
func (c *HandshakeCounts) Get(inProgress int) Handshakes {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.counts
	out.InProgress = inProgress
	return out
}
