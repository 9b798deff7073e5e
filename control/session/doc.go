// Package session holds the region's end of the links to its devices: it
// registers them, pushes what they shall run as differences, takes in what they
// observed, serves modules, and opens their logs. Nothing ever dials a device.
//
// The one idea: a session reacts to state, not to calls. Whoever wants a device
// to do something commits it; the session sees the commit through a watch and
// pushes the difference between what the device holds and the newest view. A
// lost wake-up costs nothing, because the difference is computed anew.
//
// # Invariants
//
//   - One session per node: a newer link replaces the older one.
//   - A stream that speaks for another node than its link's certificate names is
//     refused, unless the certificate is a gateway's.
//   - A device reads only what its own allocations name and writes only its own
//     status; whatever else it tries is refused, counted and without effect, and
//     a link that goes on trying is ended.
//   - At most one Desired is unacknowledged, and a StatusBatch is acknowledged
//     only once it is committed.
//   - Liveness hears of every link, beat and end; it decides, not the session.
//
// A link that is idle costs one goroutine here and one per stream that its
// device holds open: beats are fetched for all links by one goroutine (hear.go),
// and a push has one only while there is something to tell (push.go).
//
// Threading: [Sessions] is safe for concurrent use. Each link has a goroutine
// that owns its streams' goroutines and waits for them; Serve waits for all.
package session
