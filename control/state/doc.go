// Package state is the region at one raft index: rows, indexes, immutable views,
// transactions, watches, and the checkpoint.
//
// Rows live in copy-on-write B-trees with small integer keys. A transaction
// copies the roots (constant time), changes its own copy and swaps one pointer
// when it commits; whoever holds the old [View] keeps it, unchanged, for as long
// as it likes. hashicorp/go-memdb was rejected for memory (2,005 bytes of index
// per object against 256), a plain map for having no snapshots.
//
// # Invariants
//
//   - Keys are handed out in order by transactions, and transactions run in the
//     order of the log, so equal logs give equal keys on every server. That is
//     why plans may carry node keys instead of 36-byte IDs.
//   - A row reached from a view is never changed; to change it is to put a copy.
//   - A node's usage is the sum over its allocations for which [Alloc.Holds] is
//     true, kept as a running sum by [Txn].
//   - A job version stays as long as an allocation row points to it, even when
//     the job's own history has dropped it.
//   - Nothing here reads a clock, draws randomness, or uses floating point.
//
// Threading: one goroutine at a time runs transactions; views may be read by any
// number of goroutines without locks.
package state
