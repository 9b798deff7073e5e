package tlsnet

import (
	"sync"
	"time"
)

// deadline is a moment after which calls fail, and which may be moved while they wait.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
	gone  chan struct{} // closed when the moment has come; nil until somebody waits
}

// passed is closed when the deadline has come. A move of the deadline wakes the waiting call (see set), which asks again.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.IsZero() {
		return nil
	}
	if d.gone == nil {
		gone := make(chan struct{})
		d.gone = gone
		d.timer = time.AfterFunc(time.Until(d.at), func() { close(gone) })
	}
	return d.gone
}

func (d *deadline) isPassed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.at.IsZero() && !time.Now().Before(d.at)
}

// set moves the deadline and wakes the call that waits.
func (d *deadline) set(t time.Time, wake chan struct{}) {
	d.mu.Lock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.at, d.timer, d.gone = t, nil, nil
	d.mu.Unlock()
	notify(wake)
}
