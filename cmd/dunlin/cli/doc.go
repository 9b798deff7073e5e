// Package cli is dunlin's command line: one file per noun, each command a thin
// walk from flags to the API client to a table.
//
// # Invariants
//
//   - Flags are accepted with one dash or two.
//   - Everything read can be printed as JSON (-json), exactly as the API has it.
//   - IDs may be shortened to any unambiguous prefix; nodes also go by name.
//   - Exit codes: 0 done; 1 it failed; 2 the command was wrong; 3 a job is
//     accepted but cannot be placed; 4 nothing answered.
//   - What was wrong, where, and what to do is on standard error; results are on
//     standard output.
//
// Threading: a command runs on the calling goroutine and ends with its context.
package cli

// Exit codes.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitBlocked     = 3
	ExitUnreachable = 4
)
