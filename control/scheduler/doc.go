// Package scheduler turns an evaluation into a plan.
//
// The one idea: [Schedule] is a function. What it knows is in [Input], what it
// wants is in [Output]; it reads no clock and starts nothing, and its only
// randomness is ChaCha8 over the seed. So any attempt can be dumped and replayed
// ([Dump], [Replay]), and `dunlin plan` is the same call on a state in which the
// new version was registered but never committed.
//
// It works in three steps, each a package: reconcile says what is missing and
// what is too much, feasible says which nodes the rules admit, rank orders those.
//
// # Invariants
//
//   - No plan takes more of a node than it has free, counting plans in flight and
//     what the plan itself stops.
//   - What runs and is wanted is not touched; scheduling again after a plan was
//     applied gives an empty plan.
//   - A running allocation is stopped for a new version only when its successor
//     has a place, or when a sibling's successor took its room.
//   - At most one evaluation of a job is blocked.
//   - No map order, no floating point, reaches a decision.
//
// Blocked evaluations carry no key of what would unblock them. control/term asks
// of each node that gained room whether a group that waits fits there and its rules
// (package feasible) admit the node.
//
// Threading: Schedule may run on any number of goroutines at once.
package scheduler
