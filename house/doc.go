// Package house holds no code, only tests of the structure of everything else: which package may import which and why, that
// every package says what it is, and how long a file or function may be.
//
// The one idea: a rule that nothing checks is a wish. Each rule of the house that a program can check is checked here, by
// parsing the tree; what is allowed is written down with its reason, and everything else is refused.
//
// Invariants:
//   - Everything is denied by default: a new package, edge or dependency fails until it has its line in table_test.go.
//   - Lines that nothing needs any more fail too, so the table is the truth about the tree and not its history.
//   - The table runs from the bottom of the house to its roof, and a line may name earlier lines only. So there are no
//     cycles, and the order shows which way is up.
//   - All build tags are read together: what is forbidden on Linux is forbidden everywhere.
//
// Threading: the tree is parsed once and only read afterwards.
package house
