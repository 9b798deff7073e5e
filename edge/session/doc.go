// Package session is the shell around a device's link to its region: it dials, registers, sends beats and statuses, and serves
// the streams that the server opens.
//
// The one idea: one link at a time, whose life is one call of serve; everything that belongs to the link ends with it, and then
// the next server is tried.
//
// Invariants:
//   - The device hears of a link exactly once when it comes (after the server has welcomed it) and once when it ends.
//   - Beats depend on nothing but time: no task, disk or status delays them.
//   - A server that breaks the protocol loses the link, with a line in the log, and is tried again later. Nothing it sends can
//     stop what runs.
//   - A device that is offline for weeks says so once per reason, not once per try.
//
// Threading: Run is called once; the other methods from any goroutine.
package session
