// Package rank orders the nodes that may take a group and hands them out one
// placement at a time.
//
// The one idea: an evaluation places many identical things, so every node is
// scored once, kept in a heap, and only the node that was just taken is scored
// again. That is exact best fit over all nodes at O(log N) per placement;
// sampling two nodes, as the field does, was rejected because it packs worse and
// is no faster than this.
//
// # Invariants
//
//   - Scores are integers; equal inputs give equal orders on every machine.
//   - A node is handed out only if the whole ask fits into what it has free.
//   - Ties go to the worker's own stripe first and then by a hash of the seed, so
//     that workers which run side by side do not all take the same best node.
//
// Threading: a Ranker belongs to one goroutine.
package rank
