package link

import (
	"sync"
	"time"
)

// RateWindow is the time over which the rate of handshakes is measured.
const RateWindow = 10 * time.Second

// Handshakes tell what an endpoint did for clients that dialled it.
type Handshakes struct {
	InProgress int
	Full       uint64 // with a key exchange and certificates
	Resumed    uint64 // took up an earlier session, at about a third of the cost
	Failed     uint64 // refused, broken off or too slow
	// PeakRate is the most handshakes per second that were finished over any RateWindow: what this machine has shown it
	// can do, which is less than what it can do unless it was ever under load.
	PeakRate float64
}

// HandshakeCounts count handshakes for an adapter. The zero value is ready; it is safe for concurrent use.
type HandshakeCounts struct {
	mu     sync.Mutex
	counts Handshakes
	since  time.Time // of the present window
	done   int       // in it
}

// Finished counts a handshake that succeeded at the time given.
func (c *HandshakeCounts) Finished(now time.Time, resumed bool) {
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
