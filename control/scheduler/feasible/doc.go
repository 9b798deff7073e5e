// Package feasible says which nodes may take a group by the rules of its job
// (datacenters, drivers, constraints) and, in words, why the others may not.
//
// The one idea: nodes that are equal in everything the job asks about form a
// class and are judged once. What the job asks about is known when its rules are
// compiled, so the class of a node is the list of just those values.
//
// # Invariants
//
//   - Whether a node is feasible depends on its reported values alone; room and
//     neighbours are the business of ranking.
//   - An explanation names every rule that a node breaks, not only the first.
//   - Node and rule order, never map order, decide what is written.
//
// Threading: a Checker belongs to one goroutine; it learns classes as it goes.
package feasible
