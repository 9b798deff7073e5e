// Package server puts a region's server together: log, state, scheduling,
// sessions, modules, joining, HTTP. It holds wiring only.
//
// The one idea: parts know each other through the small ports they own
// themselves, and this package is the only place that knows them all.
//
// # Invariants
//
//   - The server serves nothing before its own log is replayed and its region is
//     founded.
//   - Parts end before what they stand on: HTTP and sessions, then the term, then
//     the log, then the socket.
//   - Nothing about a running device depends on this process: when it stops,
//     tasks run on.
//
// Threading: Open and Run are called once, in this order; Run owns all
// goroutines and waits for them.
package server
