// Package alloc is the step machine of one allocation on a device: its tasks together.
//
// The one idea: tasks of a group live together. They begin together, one that fails takes its siblings with it, and the
// allocation's client status is a function of its tasks' states.
//
// Invariants:
//   - A terminal status (complete or failed) is reported only when every task is dead, so that the region never gives away
//     room that is still taken.
//   - A terminal allocation never changes again and never starts anything.
//   - A task is told to end for two reasons only: the region wants the allocation stopped, or a sibling failed.
//
// Threading: an Alloc belongs to one goroutine.
package alloc
