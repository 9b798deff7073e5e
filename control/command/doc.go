// Package command is what the replicated log carries: commands, their binary
// form, and what each does to the state.
//
// The one idea: families are rows of a table (a byte, a version, a decoder, an
// apply function). A new command is a new row; nothing else learns of it. A
// switch over types was rejected: it is the file everybody edits.
//
// # Invariants
//
//   - [Apply] is a function of the state, the index and the entry. It reads no
//     clock, draws no randomness (evaluation IDs are minted from the command's
//     Seed) and uses no floating point, so equal logs give equal states.
//   - An entry that cannot be applied changes nothing: every apply function
//     checks first and writes after its last check. It gives its proposer an
//     error that wraps one of this package's; the log goes on.
//   - An entry of an unknown family or version is an [UnknownError]. Skipping it
//     would let servers drift apart, so the log must stop there.
//   - What a decoder accepts, a checkpoint can hold: both use the same limits.
//   - Family and version bytes are stored for good: never reuse, only add.
//
// Threading: nothing here is synchronised; whoever owns the transaction calls.
package command
