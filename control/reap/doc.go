// Package reap decides what of the past a region forgets: evaluations, allocations,
// jobs and nodes whose end is long enough ago.
//
// The one idea: a [Pass] goes through the rows of a view by key, a bounded number
// at a time, and says which are old enough; whether a row may go at all is a
// question of package command, which asks it again when the entry is applied. A
// pass may be thrown away at any time: the next one finds what is left.
//
// # Invariants
//
//   - What runs, or holds a slot of its job, stays.
//   - What a device that may come back may still have stays, however long it is
//     away: without its row it would be an orphan. So an allocation on a lost device
//     is forgotten only after the device told its end, was revoked, or an operator
//     said that it is gone.
//   - One decision looks at [LookMax] rows, beside those of the last job it met, and
//     names at most command.ReapMax.
//
// Threading: a Pass belongs to one goroutine.
package reap
