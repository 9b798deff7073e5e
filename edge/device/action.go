package device

import (
	"time"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Action is something the owner has to do. Actions are done in their order; those that take time are begun in it.
type Action interface{ deviceAction() }

// Note is for the log. Warn: somebody should read it.
type Note struct {
	Warn bool
	Text string
}

// Persist replaces what is on disk, in one transaction. Actions after it wait until it is durable.
type Persist struct {
	Facts      Facts
	Jobs       []wire.JobSpec
	DropJobs   []wire.JobKey
	Allocs     []Record
	DropAllocs []fleet.UUID
}

// AckDesired answers DesiredReceived: it is on disk.
type AckDesired struct{ Gen wire.Generation }

// RefuseDesired answers DesiredReceived: it is not obeyed. The link is of no use and should be made anew.
type RefuseDesired struct{ Reason string }

// RefuseLink answers LinkUp: this server is not obeyed.
type RefuseLink struct{ Reason string }

// PinModules says what the cache must keep; everything else may be evicted. The digests are sorted, and need not be there.
type PinModules struct{ Digests []string }

// FetchModule brings a module into the cache and answers ModuleReady or ModuleFailed, also when it is there already.
type FetchModule struct {
	Ref   config.ModuleRef
	Bases []string // digests of what ran here for the same task, newest version first: the module is likely to resemble them
}

// Instance names one attempt of a task for the driver.
type Instance struct {
	Alloc   fleet.UUID
	Task    string
	Attempt uint64
	Driver  string
}

// StartTask starts an attempt. The nouns belong to the job's version and are shared: read only.
type StartTask struct {
	Instance
	Name    string // of the allocation: job.group[index]
	Index   uint32
	Exceeds bool // it may take up to its memory_max
	Job     *fleet.Job
	Group   *fleet.TaskGroup
	Task    *fleet.Task
	Modules []string    // digests that the task's config names; they are in the cache
	Granted wire.Grants // what the allocation alone holds of the device
}

// PrepareTask does what can be done of a start before it (Start is what will be asked), and answers TaskPrepared.
type PrepareTask struct{ Start StartTask }

// RecoverTask asks the driver for a task that ran before the agent was restarted.
type RecoverTask struct {
	Instance
	Handle driver.Handle
}

// StopTask asks a task to end: Signal (empty: the driver's default), then, after Grace, by force.
type StopTask struct {
	Instance
	Handle driver.Handle
	Signal string
	Grace  time.Duration
}

// DestroyTask lets the driver forget an ended attempt. Handle is nil when the attempt may have been started without anybody
// writing the token down; it is then known by its Instance.
type DestroyTask struct {
	Instance
	Handle *driver.Handle
}

// RemoveAllocDir removes an allocation's files.
type RemoveAllocDir struct{ Alloc fleet.UUID }

// SendStatus sends a batch on the link that is up. If the link ends first, it is dropped.
type SendStatus struct{ Batch *wire.StatusBatch }

// WakeAt asks for one Timer; it replaces the one asked for before.
type WakeAt struct{ At time.Time }

func (Note) deviceAction()           {}
func (Persist) deviceAction()        {}
func (AckDesired) deviceAction()     {}
func (RefuseDesired) deviceAction()  {}
func (RefuseLink) deviceAction()     {}
func (PinModules) deviceAction()     {}
func (FetchModule) deviceAction()    {}
func (StartTask) deviceAction()      {}
func (PrepareTask) deviceAction()    {}
func (RecoverTask) deviceAction()    {}
func (StopTask) deviceAction()       {}
func (DestroyTask) deviceAction()    {}
func (RemoveAllocDir) deviceAction() {}
func (SendStatus) deviceAction()     {}
func (WakeAt) deviceAction()         {}
