// Package driver is the port between a device's agent and whatever runs a task.
//
// The one idea: a driver starts a task and hands back a Handle, a value that the agent writes to disk. Everything else is
// asked with that value, so a restarted agent, with a new instance of the driver, goes on where the old one stopped.
//
// Invariants every driver keeps (drivers/drivertest checks them on each):
//   - Start is idempotent per Task.ID and Task.Attempt: a task that is already there is returned, not doubled. An agent that
//     died between Start and writing the Handle down simply starts again.
//   - Tasks outlive the driver instance; the end of a task is kept until Destroy, also when nobody was connected.
//   - Stop and Destroy return when the task and everything it started are gone.
//   - What a driver cannot do it refuses with ErrNotSupported and the words a user needs instead; it never pretends.
//
// Threading: all methods may be called concurrently, also for one handle. The package imports the standard library only.
package driver
