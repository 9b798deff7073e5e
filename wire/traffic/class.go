package traffic

import (
	"fmt"
	"sync/atomic"
)

// Class is what bytes are for.
type Class byte

// The classes. They are in messages and on disks: only append.
const (
	Beat      Class = iota // signs of life
	Desired                // what the region wants of the device's allocations
	Status                 // what the device observed of them
	Modules                // Wasm modules
	Logs                   // output of tasks
	Exec                   // sessions of operators
	Handshake              // setting up links, and registering on them
	Other                  // headers, acknowledgements, what was sent again, and questions about traffic

	// Classes is their number.
	Classes = int(Other) + 1
)

var classNames = [Classes]string{"beat", "allocations", "status", "modules", "logs", "exec", "handshake", "other"}

// String is the class as people read it.
func (c Class) String() string {
	if int(c) < Classes {
		return classNames[c]
	}
	return fmt.Sprintf("class %d", byte(c))
}

// Count is bytes in both directions, as the side that counts sees them.
type Count struct{ Sent, Received uint64 }

// Total is both directions.
func (c Count) Total() uint64 { return c.Sent + c.Received }

// Tally is bytes by class.
type Tally [Classes]Count

// Total is all bytes of all classes.
func (t *Tally) Total() (n uint64) {
	for _, c := range t {
		n += c.Total()
	}
	return n
}

// Sum is all classes together.
func (t *Tally) Sum() (sum Count) {
	for _, c := range t {
		sum.add(c)
	}
	return sum
}

// Whole completes what was counted on a link to what the link carried, headers included: setup is what it had carried when it came
// up, total what it has carried by now. Setup may have carried the first counted bytes along; they stay with their class. Bytes
// that are written and not yet sent make the rest look too small for a moment; it is never below zero.
func (t Tally) Whole(setup, total Count) Tally {
	sum := t.Sum()
	rest := Count{less(total.Sent, sum.Sent), less(total.Received, sum.Received)}
	setup = Count{min(setup.Sent, rest.Sent), min(setup.Received, rest.Received)}
	t[Handshake].add(setup)
	t[Other].add(Count{rest.Sent - setup.Sent, rest.Received - setup.Received})
	return t
}

func (c *Count) add(d Count) { c.Sent, c.Received = c.Sent+d.Sent, c.Received+d.Received }

func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// Words are classes as people read them.
func Words(classes []Class) (out []string) {
	for _, c := range classes {
		out = append(out, c.String())
	}
	return out
}

// Live is a tally that goroutines count into.
type Live struct {
	classes [Classes]struct{ sent, received atomic.Uint64 }
}

// Sent counts bytes on their way out.
func (l *Live) Sent(c Class, n int) { l.classes[c].sent.Add(uint64(n)) }

// Received counts bytes that came in.
func (l *Live) Received(c Class, n int) { l.classes[c].received.Add(uint64(n)) }

// Tally is what was counted by now.
func (l *Live) Tally() (t Tally) {
	for i := range t {
		t[i] = Count{l.classes[i].sent.Load(), l.classes[i].received.Load()}
	}
	return t
}
