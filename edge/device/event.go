package device

import (
	"github.com/dunlin-edge/dunlin/edge/alloc"
	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Event is something that happened to the device.
type Event interface{ deviceEvent() }

// Boot is the first event: what was on disk.
type Boot struct {
	State   State
	Modules []string     // digests in the cache
	Dirs    []fleet.UUID // allocations that have files
}

// State is what survives a restart of the agent.
type State struct {
	Facts  Facts
	Jobs   []wire.JobSpec
	Allocs []Record
	// Doubtful: the disk was damaged, and something that was accepted may be missing from the rest.
	Doubtful bool
}

// Facts are what a device knows about its region.
type Facts struct {
	Region fleet.UUID      // the region it obeys; zero before the first contact
	Held   wire.Generation // newest desired state that was acknowledged
	Clock  int64           // highest time told by a server, Unix nanoseconds; the device's own clock is no evidence
	Mark   uint64          // of the stretch of the region's log that Held is of
	// Contact is when a server was last heard of, by this device's clock, Unix nanoseconds; 0: never, or nobody needs to know.
	Contact int64 `json:",omitempty"`
}

// Record is one allocation on disk.
type Record struct {
	alloc.Record
	Orphan  bool  `json:",omitempty"` // the region does not know it
	Cleared bool  `json:",omitempty"` // its files are gone; a tombstone
	Held    *Held `json:",omitempty"` // its stop waits for a replacement
}

// DesiredReceived is a message of the region. Its answer among the actions is AckDesired or RefuseDesired.
type DesiredReceived struct{ Message *wire.Desired }

// ModuleReady says that a module is in the cache, verified.
type ModuleReady struct{ Digest string }

// ModuleFailed is the failed end of a FetchModule. Permanent: no other try will give another answer.
type ModuleFailed struct {
	Digest    string
	Err       string
	Permanent bool
}

// ModuleLost says that a module which was ready is not in the cache any more.
type ModuleLost struct{ Digest string }

// TaskPrepared is the end of a PrepareTask. Err is empty when a start finds everything ready.
type TaskPrepared struct {
	Alloc   fleet.UUID
	Task    string
	Attempt uint64
	Err     string
}

// TaskHappened is a driver's report about one attempt of a task: task.Started, StartFailed, SetupFailed, Recovered, Gone,
// Exited or Destroyed.
type TaskHappened struct {
	Alloc   fleet.UUID
	Task    string
	Attempt uint64
	What    task.Event
}

// LinkUp says that a server answered. If it may not be obeyed, RefuseLink is among the actions.
type LinkUp struct{ Welcome *wire.Welcome }

// LinkDown says that the link ended.
type LinkDown struct{}

// StatusAcked says that the batch of that number is committed in the region.
type StatusAcked struct{ Seq uint64 }

// Timer says that the time of the last WakeAt has come. One that comes early or twice does no harm.
type Timer struct{}

func (Boot) deviceEvent()            {}
func (DesiredReceived) deviceEvent() {}
func (ModuleReady) deviceEvent()     {}
func (ModuleFailed) deviceEvent()    {}
func (ModuleLost) deviceEvent()      {}
func (TaskPrepared) deviceEvent()    {}
func (TaskHappened) deviceEvent()    {}
func (LinkUp) deviceEvent()          {}
func (LinkDown) deviceEvent()        {}
func (StatusAcked) deviceEvent()     {}
func (Timer) deviceEvent()           {}
