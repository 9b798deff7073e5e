// Package term is one term of leadership as a value: evaluations, plans, blocked
// work and the links of nodes, and in which order these are looked after.
//
// The one idea: every decision of a leader is made in [Term.Step], which gets an
// event, the newest view and the time, and returns what the shell shall do. The
// shell (control/leader) and the simulator drive the same object. The term keeps
// nothing that the state does not: it is made from a view, compares itself with
// each newer view, and can be thrown away at any time. Being told of changes
// instead was rejected: a change that nobody told of would be lost.
//
// # Invariants
//
//   - An open evaluation is given to one worker at a time, and each is given at
//     last (see control/broker).
//   - A plan is verified against the newest view plus all plans accepted before it
//     that are not in that view; up to [PipelineMax] commit at the same time.
//   - A worker schedules on a view and an overlay that belong together: no plan
//     counts twice, or work would block for want of room that is there.
//   - A plan is answered only when the view contains it.
//   - Room that comes wakes the blocked evaluations that can use it, and no others
//     (room.go); room that a failed plan gives back wakes all of them.
//   - One proposal of link changes and one of evaluations is under way at a time;
//     what comes meanwhile goes into the next, which is what makes batches.
//
// Threading: none; one goroutine owns a Term.
package term
