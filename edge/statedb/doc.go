// Package statedb keeps what a device knows on its disk: one bbolt file in the agent's data folder.
//
// The one idea: each device.Persist is one transaction, so the file always holds what the device core held at some moment.
//
// Invariants:
//   - When Save returns, the change is durable.
//   - A file that cannot be trusted (cut short, or a row whose checksum is wrong) is detected by Open, moved aside under the
//     name that ends in ".broken", and reported; the device then starts empty.
//   - A file of a newer version is refused and left alone.
//
// Starting empty kills nothing. Tasks live in the host process, and nothing here or in the device core stops what it does not
// know. The region's next complete desired state names their allocations again; a start is idempotent per attempt, so a task
// in its first attempt is found again rather than doubled. One that had been restarted before (attempt 2 and up) is not found:
// the host goes on running it until it ends, beside its new first attempt. Losing the file of a device is rare enough to accept
// that, and killing what runs because a file is broken would be worse.
//
// Threading: Save and Close may be called from any goroutine; Saves are serialised.
package statedb
