// Package traffic counts what a device's link carries, by class, and says when a monthly budget slows a class down.
//
// The one idea: a metered byte is counted where its meaning is known. Streams and datagrams are counted by the sessions, which know
// what each is for; what the link's own packet counters show beyond that (headers, acknowledgements, what was sent again) is the
// class Other, so that the classes add up to what the link is billed for.
//
// Invariants:
//   - Beats, desired state, handshakes and exec are never slowed: a device on a used-up budget still lives, obeys and can be repaired.
//   - Modules are slowed no later than logs, and logs no later than statuses.
//   - Periods need no right clock: without one a day is 24 hours and a month 30 days of counted time.
//
// Threading: [Live] is safe for concurrent use. All else is values.
package traffic
