// Package task is the step machine of one task on a device: what it is doing, what must be done next for it, and what is told
// about it.
//
// The one idea: the machine is told what happened and answers with at most one thing to do. It starts nothing itself, so the
// same machine runs under the agent and under the simulator.
//
// Invariants:
//   - What is wanted (run, or be killed for a reason) and what was observed are separate. A task that was told to end is never
//     told to run again.
//   - The position (Attempt, Phase) only grows. Restore is the exception, because a new agent has to ask again: what ran is
//     Recovering, and Starting is Preparing, since nobody knows whether the driver heard of it; Start is idempotent per
//     attempt, so asking again cannot double the task.
//   - Between two Do Start there is an end of the first attempt.
//   - A dead task stays dead.
//
// Threading: a Task belongs to one goroutine. Values it hands out (Record, Observed) are never changed afterwards.
package task
