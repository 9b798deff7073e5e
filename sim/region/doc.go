// Package region is a whole region in one goroutine: the cores that ship
// (control/term, control/scheduler, control/command, control/desired,
// edge/device) between shells made of one seeded heap of events.
//
// The one idea: what decides is real, what waits is simulated. Log, disk, links,
// drivers and clocks are small explicit models that can be cut, delayed,
// reordered and crashed; the seed fixes everything, so a failure is one command
// away from being seen again:
//
//	go test ./sim/region -run TestSeeds -seed=N
//
// # The models
//
//   - Log: entries are appended, synced a moment later, then applied and answered.
//     A crash or a change of leader cuts what was not synced (a part of it may have
//     reached the disk unanswered). The state is rebuilt by applying the log again,
//     sometimes from a checkpoint.
//   - Device: a disk that holds what Persist wrote, drivers whose tasks outlive the
//     agent but not the machine, a module cache. An agent may die between any two
//     actions of a step.
//   - Link: streams keep their order, are slower or faster than each other, and end
//     for the two sides at different times.
//
// # Oracles
//
// At each commit: no node over its room; sums equal their recomputation; no two
// holders of one name, nor of one port or device of a node; nothing healthy is stopped without its own job's change, or
// a fact of its node that its job said must not be; nothing is placed outside its
// node pool, nor beside more than distinct_hosts and distinct_property let.
// Of a job for every node: never two of a group on one, none given up for good
// because its device is away, and at rest one wherever the rules and the room let it.
// Of an update in steps: never more under way, or not healthy yet, than max_parallel, and none left
// over at rest unless replacements fail or find no room.
// Of a deployment: nothing of a version that is paused or failed is placed, nothing
// is replaced by one whose canaries nobody promoted, and no canary is too many.
// Of a drain: no group has fewer that run than it can spare, before the deadline;
// and at rest none is left without a reason.
// At each action of a device: no start of what runs, ended, or is not on disk; no
// stop that nobody wanted. At each rebuild and at the end: equal logs give equal
// states; nothing acknowledged is missing. At rest: every evaluation ended or
// waits for room that is not there, scheduling again changes nothing, what is
// wanted runs, what is reported is what is; agents that restart and links that
// return restart nothing; a device that boots without a server starts its work.
//
// Planted bugs (bugs.go) show that the oracles bite.
//
// Threading: a simulation belongs to one goroutine; several may run side by side.
package region
