// Package plan decides which parts of a proposed plan may be committed.
//
// The one idea: schedulers are optimistic, so nothing they propose is believed.
// [Verify] asks of each node a plan touches whether it still has the room, counting
// the newest state and what was accepted but is not in it yet ([Overlay]). What
// fits is committed in one entry; what does not is refused node by node, and the
// scheduler tries again on a newer state.
//
// # Invariants
//
//   - Whatever is accepted, in whatever order it commits, and whatever of it
//     fails to commit, no node is given more than it has: what a plan in flight
//     frees counts for that plan only, what it takes counts for all.
//   - A stop whose replacement is refused is refused too, unless its node is lost:
//     a refusal must not take down what runs.
//   - Of a job that limits how many of it may be together, a plan that changes places is accepted whole or not at all: what stays
//     because its successor was refused still counts against the limit.
//   - An eviction commits with the placement it is for or not at all; nothing is evicted that is not of lower priority by then,
//     and one whose allocation has ended meanwhile is left out.
//   - A plan that was not accepted whole carries no evaluations and no marks that
//     point to them: its evaluation is not done.
//
// Threading: none; values in, values out.
package plan
