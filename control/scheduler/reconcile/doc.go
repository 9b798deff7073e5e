// Package reconcile compares what a job wants with the allocations it has, and
// says what is missing, what is too much and what must change. Where the missing
// ones go is not its business.
//
// The one idea: a group has count slots, named by their indexes. An allocation
// holds a slot while it should run, has done its work, or waits to be placed
// again; slots nobody holds are filled, smallest index first, and a filled slot
// inherits the history of the allocation that last had its index.
//
// # Invariants
//
//   - What runs and is wanted is never touched.
//   - No two holders of a group have the same index.
//   - A device that is late or unreachable keeps its work; only a lost one does not,
//     and what its group's disconnect block says (away.go).
//   - In a group without replacements no two allocations of one name live, counting
//     those that are stopped and whose end is not known.
//   - A failed allocation stays as it is until a plan places its successor (which
//     sets Next in its row). Stopping it in the same plan was rejected: when the
//     placement is refused at the plan check, its reschedule history would go.
//
// Threading: pure functions of their arguments.
package reconcile
