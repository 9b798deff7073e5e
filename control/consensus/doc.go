// Package consensus is the replicated log: it takes encoded commands, agrees on
// their order, stores them, and applies them to a [state.Store]. It is the only
// package that imports the raft library.
//
// The one idea: the log knows bytes and order; what entries mean is
// control/command's. A batch of committed entries is one state transaction, so
// readers see whole batches and a thousand entries cost one root swap.
//
// # Invariants
//
//   - A proposal that was answered without an error of this package is on disk
//     (fsync) on a majority, and its effect is in the store's newest view.
//   - An error of control/command is the proposer's; the log goes on. An entry of
//     an unknown family halts this server: it applies nothing more, takes no
//     snapshot and says so through [Node.Halted].
//   - Work that only a leader may do runs inside [Node.Lead]: its context ends
//     with the term, and the next term's work starts after it has returned.
//   - At most [ProposalsMax] proposals are under way.
//
// One server needs no network: without a [StreamLayer] the node is its region's
// only member and elects itself in milliseconds.
//
// Threading: a [Node] is safe for concurrent use. It owns its goroutines;
// [Node.Close] waits for them.
package consensus
