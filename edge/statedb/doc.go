// Package statedb keeps what a device knows on its disk: two copies of one journal in the agent's data folder.
//
// The one idea: each device.Persist is one checksummed record, appended and synced to the first copy and then to the second. What
// was accepted is in two files of which only one is ever being written, so whatever a power cut does to the one leaves it whole
// in the other. A B-tree file (bbolt stood here) writes four pages and more for each change and, once torn, takes everything with
// it; a single journal loses what was written last.
//
// Invariants:
//   - When Save returns nil, the change is durable in both copies. When it returns an error, it is taken back.
//   - Open takes the copy that reaches further, and makes the other anew from it when that is damaged, short or absent.
//   - When the ends of both are damaged, something that was accepted may be missing: device.State.Doubtful says so, and what was
//     whole before is used.
//   - When neither copy has anything to trust, both are moved aside under names that end in ".broken"; the device starts empty.
//   - A file of a newer version is refused and left alone.
//   - A disk that takes nothing (full, read-only) is no reason for Open to fail: what is there is read, and Save fails until it can
//     write.
//
// Records are chained: each checksum covers the one before, so that what an older file left in reused blocks is never taken for a
// record. A journal that has grown to several times what it says is written anew, beside the old one and then renamed.
//
// Starting empty kills nothing. Tasks live in the host process, and nothing here or in the device core stops what it does not
// know. The region's next complete desired state names their allocations again; a start is idempotent per attempt, so a task
// in its first attempt is found again rather than doubled. One that had been restarted before (attempt 2 and up) is not found:
// the host goes on running it until it ends, beside its new first attempt.
//
// Threading: Save, Note, Written and Close may be called from any goroutine; Saves are serialised.
package statedb
