// Package host is the one small process that outlives the agent, and the client that talks to it.
//
// The one idea: the parent of running tasks must not be the program that is upgraded and restarted. `dunlin host -dir DIR`
// starts tasks (raw processes, and one guest process per Wasm task), pumps and rotates their logs, reaps whatever they leave
// behind, and keeps how they ended on disk until told to forget. The agent is one of its clients and may come and go. One
// small process serves all tasks; a helper per task, the usual alternative, costs tens of megabytes each.
//
// Invariants:
//   - One host per DIR, by a lock on DIR/host.lock. DIR is mode 0700; a peer on DIR/host.sock must have our user or be root.
//   - Start is idempotent by task ID: a client that lost its link in the middle of a call simply repeats it.
//   - The leader of each task dies with the host (PDEATHSIG), so nothing runs that nobody watches. What a leader had started
//     and the host's death left behind is killed by the next host, if it is provably ours, and the task is recorded as ended
//     with Err HostDied.
//   - When a task's leader ends, everything it started ends: its session, what was moved out of the session, and orphans.
//   - Every frame, queue, log and wait has a limit in limits.go.
//   - The host exits after IdleTimeout without running tasks and calls. Ends that nobody has read stay on disk, and the next
//     host answers for them; keeping a process for them would only cost memory.
//
// Protocol: frames of a 4-byte big-endian length and JSON. The first frame each way is a hello; after it requests carry an ID
// and are answered in any order on the same connection, so thousands of Waits need one descriptor.
//
// How a Wasm guest is asked to stop: a preview1 guest has no signals. StopKill (the default) kills it at once, and its standard
// input is at its end from the start, as /dev/null is; StopStdin keeps that open, ends it and waits for the whole grace. The host cannot know whether a guest looks
// at its standard input, and guessing by whether it has read from it before would make stops depend on the guest's past.
//
// Threading: Client is safe for concurrent use. In the host, one goroutine on a thread of its own forks (PDEATHSIG follows
// the forking thread, which must therefore live as long as the host), one reaps, and each task has one that follows it to its
// end and two that pump its output.
//
// Memory and CPU limits of raw processes need control groups, which this package does not use: Stats names what is not
// enforced. setrlimit would be the easy answer and the wrong one: it counts address space per process, not memory per task.
//
// Linux only. Elsewhere the package builds and refuses in words.
package host
