package task

import "github.com/dunlin-edge/dunlin/drivers/driver"

// Event is something that happened to a task. The owner drops events of an attempt that is not the current one.
type Event interface{ taskEvent() }

// Begin lets a pending task, or a waiting one whose time has come, go on.
type Begin struct{}

// Ready says that everything a start needs is on the device.
type Ready struct{}

// SetupFailed says that a start can never work, for a reason found before the driver was asked.
type SetupFailed struct{ Err string }

// Started is the driver's answer to a start.
type Started struct{ Handle driver.Handle }

// StartFailed is the driver's refusal of a start.
type StartFailed struct {
	Err         string
	Recoverable bool // the same start may work later
}

// Recovered says that the driver still has the task, running or ended.
type Recovered struct{}

// Gone says that the driver does not know the task any more.
type Gone struct{}

// Exited says how the attempt ended. Tail is its last output, at most [fleet.EventArgBytesMax] bytes are kept.
type Exited struct {
	Exit driver.Exit
	Tail string
}

// Kill ends the task for good. Reason is told to users.
type Kill struct{ Reason string }

// Destroyed says that the driver has forgotten the ended attempt. It is the one event that belongs to an attempt before.
type Destroyed struct{ ID string } // of its Handle

// Note adds words to the task's events.
type Note struct{ Text string }

// Fetching says that a module is being brought over the network.
type Fetching struct{ Digest string }

func (Begin) taskEvent()       {}
func (Ready) taskEvent()       {}
func (SetupFailed) taskEvent() {}
func (Started) taskEvent()     {}
func (StartFailed) taskEvent() {}
func (Recovered) taskEvent()   {}
func (Gone) taskEvent()        {}
func (Exited) taskEvent()      {}
func (Kill) taskEvent()        {}
func (Destroyed) taskEvent()   {}
func (Note) taskEvent()        {}
func (Fetching) taskEvent()    {}
