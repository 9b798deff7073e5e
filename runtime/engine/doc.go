// Package engine runs one WASI preview1 command module in this process, with wazero. It is the inside of a guest process:
// the host starts `dunlin guest`, which is Main.
//
// The one idea: a guest owns its process. Compiled guest code has no preemption points, so a guest in a tight loop stops
// the Go scheduler and garbage collector of whatever process it is in, and no context or deadline gets through to it. The
// rejected alternative, wazero's WithCloseOnContextDone, adds a check to every loop and costs 4 to 31 times. So nothing
// else lives in this process, and stopping a guest is a signal from outside.
//
// Invariants:
//   - The module is verified against its digest before a byte of it is compiled.
//   - A guest sees its arguments, its environment, its mounts, real clocks and real randomness; nothing else. There is no
//     network: sockets are not offered, and a Go guest that dials gets an error from its own fake network.
//   - A mount cannot be left, by ".." or by symbolic link (see confined).
//   - Linear memory never exceeds Spec.MemoryMaxBytes: memory.grow answers -1 there.
//   - The compile cache holds machine code that is run as it is, so its folder belongs to this user alone (0700) and each
//     entry is checked against a seal before use. A damaged entry or a full disk costs a compile, never a failure.
//
// Stop semantics: the host closes standard input, waits out the grace period, and kills the process. A preview1 guest has no
// signals, so the end of standard input is the only notice it can get; a guest that never reads it is not disturbed.
//
// Threading: one Run per process is the intended use. Runs share nothing, so tests and benches may run several at once.
package engine
