// Command bench measures what the project promises and prints each figure
// beside its target: `make bench`, or `go run ./bench -run submit` after
// `make build`.
//
// The one idea: a line measures the shipped binary from outside, as a user
// would meet it. Servers, agents and guests are processes of ./dunlin; only the
// devices of the fleet lines are simulated, and they speak the real protocol
// over real QUIC. The rejected alternative, Go benchmarks inside the packages,
// leaves out what costs most: fsync, processes, sockets.
//
// # Invariants
//
//   - A line is self-contained: it makes its own folder and processes, and ends
//     them by process ID, also when it fails.
//   - A line is bounded in time (line.limit); a line that cannot be measured is
//     an error in the table and in the exit code, never a made-up figure.
//   - A missed target is shown and is no error: absolute figures move with the
//     machine. MB are 10^6 bytes.
//
// Threading: lines run one after the other, so that none disturbs another; the
// goroutines of a line end with its context, and the line waits for them.
package main
