package task

import "fmt"

// Phase is what a task is doing. Phases are ordered, and persisted as numbers: never renumber.
type Phase uint8

// The phases of one attempt, in their order.
const (
	Pending    Phase = 0 // received, nothing done yet
	Preparing  Phase = 1 // its modules are being brought to the device
	Starting   Phase = 2 // the driver was asked to start it
	Recovering Phase = 3 // the driver was asked whether it still has it
	Running    Phase = 4
	Stopping   Phase = 5 // the driver was asked to stop it
	Waiting    Phase = 6 // it ended and is started again at WakeAt
	Dead       Phase = 7
)

var phaseNames = [...]string{"pending", "preparing", "starting", "recovering", "running", "stopping", "waiting", "dead"}

// String formats p for people.
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// Do is the one thing to do next for a task.
type Do uint8

// Things to do.
const (
	Nothing Do = iota
	Fetch      // make its modules available, then Step Ready or SetupFailed
	Start      // write the Record down, start the attempt, then Step Started or StartFailed
	Recover    // ask the driver for the Handle, then Step Recovered or Gone
	Stop       // signal, kill after the grace; Exited follows
	Destroy    // write the Record down, then let the driver forget the ended attempt
)

var doNames = [...]string{"nothing", "fetch", "start", "recover", "stop", "destroy"}

// String formats d for people.
func (d Do) String() string { return doNames[d] }
