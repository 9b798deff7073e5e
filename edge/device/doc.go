// Package device is the core of the edge: everything one device decides, from what its region wants, what its drivers report
// and the state of its link.
//
// The one idea: Step(event, now) → actions. The agent's runner and the simulator drive this same object; what is tested is what
// ships. The runner holds no order and no decision: it executes actions, in their order, and reports what came of them.
//
// Invariants:
//   - Keep what runs. A task is stopped for three reasons only: its region said so, by name, a sibling failed, or its group may
//     not be without contact for so long (offline.go). An empty, restored, older or foreign server stops nothing; what a server
//     does not know is an orphan, which runs on and is reported.
//   - A link's coming or going restarts nothing, and no server is needed to start what is on disk.
//   - Persist is a barrier: what comes after it in a list of actions (the acknowledgement of a desired state, a start, the
//     destruction of an ended attempt) may only happen once it is on disk.
//   - An allocation that ended is never started again; a tombstone outlives its files.
//   - A change of status is told until it is acknowledged: one batch is under way at a time, and the first of a link is full.
//   - Nothing is written or sent while nothing changes.
//
// What Start, Recover, Stop and Destroy lead to comes back as TaskHappened, with the attempt it belongs to. An answer may be
// late, never come, or come twice; one that does not fit is ignored. What is asked for one task must be done in the order in
// which it was asked.
//
// No iteration over a map reaches the actions: equal events give equal actions.
//
// Threading: a Device belongs to one goroutine. What is in its actions is never changed afterwards.
package device
