// Package preempt chooses which allocations of a node give way to one of higher priority.
//
// The one idea: giving way is judged as a set. Taking allocations one by one until the newcomer fits, as the field does, ends
// small work that a later, larger one makes needless; here a set of which a member could be left out is never chosen.
//
// # The order
//
// Of all sufficient sets the least is chosen, and of nodes the one with the least set, by, in this order:
//
//  1. the highest priority in the set: the least important work goes first;
//  2. how many of it go beyond what their groups' migrate blocks let go at a time;
//  3. what is taken away beyond need, as a share of the node;
//  4. how many give way;
//  5. of one node: the lower priorities, and of those the younger, which lose less work.
//
// # Invariants
//
//   - A set that is chosen is sufficient, and without any one of its members it is not.
//   - It has the least highest priority there is.
//   - Up to [ExactMax] allocations that may have to go are weighed against each other in all combinations. Beyond that, which is
//     rare on the machines this is for, the set is a good one by the same order and not always the least.
//   - Integers only; equal inputs give equal sets.
//
// Threading: none needed; values in, values out.
package preempt
