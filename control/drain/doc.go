// Package drain decides what leaves nodes that are being emptied, and when a drain
// is over.
//
// The one idea: [Decide] compares the draining nodes of a view with what their
// groups allow, and says which allocations are marked to move now. The scheduler
// places the successor of a marked one elsewhere and stops it; when the successors
// run, the next decision finds more that may go. Nothing is remembered between
// decisions, so a new leader goes on where the last one was.
//
// # Invariants
//
//   - A group of a service has at least count - migrate.max_parallel allocations
//     that run and are not marked, until the deadline; over all nodes together.
//   - Batch work is left to end by itself until the deadline.
//   - What every node has goes last, when nothing else holds the node.
//   - At the deadline everything goes, whether it has another place or not.
//   - A drain ends when nothing runs there that the drain is about. The node stays
//     ineligible.
//
// Threading: a pure function of its arguments.
package drain
