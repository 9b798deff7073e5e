// Package runner is the shell around the device core: it owns the goroutines, the clock, the folders and the drivers, and
// decides nothing.
//
// The one idea: one loop takes events from one bounded inbox, asks the core, and carries its actions out in order. Whatever
// takes time (a driver, a fetch) runs in a goroutine of the runner and comes back as an event.
//
// Invariants:
//   - Persist is done in the loop: nothing that follows it in a list of actions begins before the disk has it. While the disk
//     refuses, the loop waits and tries again; tasks that run go on running, and beats go on too, for they are not the loop's.
//   - What is asked of a driver for one task is done in order, one thing after the other, except Wait.
//   - An error that is not an answer (a host that cannot be reached) is tried again with backoff, and never taken for the end
//     of a task.
//   - When Run returns, every goroutine of the runner has ended. Tasks run on, unless StopTasksOnExit is set.
//
// The folders of an allocation are those of the field: DATA/alloc/ID/alloc/logs/TASK.stdout.N, DATA/alloc/ID/alloc/{data,tmp},
// DATA/alloc/ID/TASK/{local,tmp}.
//
// Threading: all exported methods of a Runner may be called from any goroutine, also before Run and after it.
package runner
