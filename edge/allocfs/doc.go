// Package allocfs shows the folder of one allocation to an operator who is far away, and nothing beside it.
//
// The one idea: a path is resolved by name first, so that whoever asks learns in words why it is refused, and what it came to is
// then opened through an os.Root, so that a task which changes its links meanwhile leads nowhere else. The words are for people;
// the root is what keeps.
//
// Invariants:
//   - Nothing outside of the allocation's folder is listed, described or read, by whatever links and dots.
//   - Only regular files are read: opening a pipe or a device may wait for ever, or do something.
//   - A task's secrets are refused, as in the field, though nothing writes any yet.
//   - Memory does not grow with a folder or a file: listings stop at a number of entries, reads go by pieces.
//
// Threading: an FS may be used by several goroutines; Read ends with its context.
package allocfs
