package state

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Keys are handed out in order and never reused within a region.
type (
	// NodeKey is a node's key in this region.
	NodeKey uint32
	// JobKey is a job's key; a purged job's key is not given to another.
	JobKey uint32
	// AllocKey orders allocations by creation.
	AllocKey uint64
	// EvalKey orders evaluations by creation.
	EvalKey uint64
)

// Limits of what a region keeps.
const (
	JobVersionsMax = 6 // newest kept in a job's history
	EvalDescMax    = 4 << 10
	PreemptedMax   = wire.AfterMax // allocations that give way to one
)

// Node is the row of a device.
type Node struct {
	Key          NodeKey
	ID           fleet.UUID
	Spec         *fleet.Node // what the agent reported; no bookkeeping
	Link         fleet.LinkState
	LinkReason   string
	LinkSince    int64 // Unix nanoseconds of the last change of Link
	Ineligible   bool
	Addr         string
	CreateIndex  uint64
	ModifyIndex  uint64 // of any change
	CapacityAt   uint64 // index at which it last became able to take more
	RegisteredAt int64
	Identity     *fleet.NodeIdentity // nil: from before identities were kept; see identity.go
	AwaySince    int64               // Unix nanoseconds since when it has no link; 0 while it has one
	Orphans      []Orphan            // what it has and the region does not know
	Drain        *Drain              // nil: it is not being emptied
	// Class and Room are derived from Spec, so that who looks through thousands of nodes need not touch each one's description.
	Class fleet.ComputedClass
	Room  fleet.Ask // what allocations may take
}

// derive fills in what is derived; old is the row as it was, or nil.
func (n *Node) derive(old *Node) {
	if old != nil && old.Spec == n.Spec {
		n.Class, n.Room = old.Class, old.Room
		return
	}
	n.Class, n.Room = n.Spec.ComputedClass(), n.Spec.Capacity()
}

// Ready reports whether new work may be placed on the node.
func (n *Node) Ready() bool {
	return !n.Ineligible && n.Identity.Trusted() && (n.Link == fleet.LinkOnline || n.Link == fleet.LinkLate)
}

// View is the API's form of the row.
func (n *Node) View() *fleet.Node {
	v := *n.Spec
	v.NodeBookkeeping = fleet.NodeBookkeeping{
		Status: n.Link.APIStatus(), StatusDescription: n.LinkReason, LinkState: n.Link,
		SchedulingEligibility: fleet.NodeEligible, StatusUpdatedAt: n.LinkSince / 1e9, LastSeenAt: n.LinkSince, AwaySince: n.AwaySince,
		RemoteAddr: n.Addr, CreateIndex: n.CreateIndex, ModifyIndex: n.ModifyIndex,
	}
	v.NodeResources.Devices = n.Spec.Devices()
	v.Identity = n.Identity
	v.DrainStrategy, v.Drain = n.Drain.View(), n.Drain != nil
	for i := range n.Orphans {
		v.Orphans = append(v.Orphans, n.Orphans[i].View())
	}
	if n.Ineligible || !n.Identity.Trusted() {
		v.SchedulingEligibility = fleet.NodeIneligible
	}
	return &v
}

// Usage is what the allocations of a node take.
type Usage struct {
	CPU      int64 // MHz
	MemoryMB int64 // MiB
	DiskMB   int64 // MiB
	Allocs   int32
	// Granted is what plans in flight give out of a node; a view's sums leave it
	// empty, since [View.Held] says more.
	Granted wire.Granted
}

// Ask is the usage without the count.
func (u Usage) Ask() fleet.Ask { return fleet.Ask{CPU: u.CPU, MemoryMB: u.MemoryMB, DiskMB: u.DiskMB} }

func (u Usage) add(a fleet.Ask, sign int64) Usage {
	return Usage{CPU: u.CPU + sign*a.CPU, MemoryMB: u.MemoryMB + sign*a.MemoryMB, DiskMB: u.DiskMB + sign*a.DiskMB, Allocs: u.Allocs + int32(sign)}
}

// Job is the row of a job: its history and whether it is stopped.
type Job struct {
	Key            JobKey
	Namespace      string
	ID             fleet.JobID
	Versions       []*JobVersion // newest first, at most JobVersionsMax, never empty
	Stop           bool
	CreateIndex    uint64
	ModifyIndex    uint64
	JobModifyIndex uint64 // of the last registration or stop
}

// Current is the newest version.
func (j *Job) Current() *JobVersion { return j.Versions[0] }

// Version finds a version that is kept, or returns nil.
func (j *Job) Version(n uint64) *JobVersion {
	for _, v := range j.Versions {
		if v.Version == n {
			return v
		}
	}
	return nil
}

// Back finds the version that is so many before another, or returns nil.
func (j *Job) Back(from *JobVersion, n uint8) *JobVersion {
	if uint64(n) > from.Version {
		return nil
	}
	return j.Version(from.Version - uint64(n))
}

// JobVersion is one registered specification. Allocation rows point to it.
type JobVersion struct {
	Job        JobKey
	Version    uint64
	Spec       *fleet.Job // canonical, no bookkeeping
	JSON       []byte     // canonical bytes of Spec
	Asks       []fleet.Ask
	SubmitTime int64 // Unix nanoseconds
	Index      uint64
	sum        uint64 // of JSON
}

// NewJobVersion prepares a version of a canonical job.
func NewJobVersion(key JobKey, version uint64, spec *fleet.Job, json []byte, submit int64, index uint64) *JobVersion {
	v := &JobVersion{Job: key, Version: version, Spec: spec, JSON: json, SubmitTime: submit, Index: index}
	sum := sha256.Sum256(json)
	v.sum = binary.BigEndian.Uint64(sum[:])
	for i := range spec.TaskGroups {
		v.Asks = append(v.Asks, spec.TaskGroups[i].Ask())
	}
	return v
}

// Key names the version on the wire.
func (v *JobVersion) Key() wire.JobKey {
	return wire.JobKey{Namespace: v.Spec.Namespace, ID: v.Spec.ID, Version: v.Version, Sum: v.sum}
}

// GroupIndex is the position of a group in the version, or -1.
func (v *JobVersion) GroupIndex(name string) int {
	for i := range v.Spec.TaskGroups {
		if v.Spec.TaskGroups[i].Name == name {
			return i
		}
	}
	return -1
}

// Desired is what the region wants of an allocation.
type Desired uint8

// Desired states.
const (
	DesiredRun   Desired = 0
	DesiredStop  Desired = 1
	DesiredEvict Desired = 2
)

// String is the API's word.
func (d Desired) String() string {
	switch d {
	case DesiredStop:
		return fleet.DesiredStop
	case DesiredEvict:
		return fleet.DesiredEvict
	}
	return fleet.DesiredRun
}

// Observed is what a device reported of an allocation, or the region concluded.
type Observed uint8

// Observed states.
const (
	ObservedPending  Observed = 0
	ObservedRunning  Observed = 1
	ObservedComplete Observed = 2
	ObservedFailed   Observed = 3
	ObservedLost     Observed = 4
	ObservedUnknown  Observed = 5 // its device is away and it was replaced; it may come back
)

var observedWords = [...]string{fleet.ClientPending, fleet.ClientRunning, fleet.ClientComplete, fleet.ClientFailed, fleet.ClientLost, fleet.ClientUnknown}

// String is the API's word.
func (o Observed) String() string {
	if int(o) < len(observedWords) {
		return observedWords[o]
	}
	return fmt.Sprintf("observed(%d)", uint8(o))
}

// Terminal reports whether the state is final.
func (o Observed) Terminal() bool { return o >= ObservedComplete && o != ObservedUnknown }

// ParseObserved reads the API's word.
func ParseObserved(s string) (Observed, error) {
	for i, w := range observedWords {
		if w == s {
			return Observed(i), nil
		}
	}
	return 0, fmt.Errorf("unknown client status %q", s)
}

// Alloc is the row of an allocation. What its job says is reached through
// Version; what is rare is in Detail.
type Alloc struct {
	Key          AllocKey
	ID           fleet.UUID
	Version      *JobVersion
	Eval         fleet.UUID
	Prev         fleet.UUID // the allocation this one replaces; zero if none
	Next         fleet.UUID // the allocation that replaces this one
	Node         NodeKey
	Index        uint32 // of its name, job.group[Index]
	Group        uint16 // position in Version.Spec.TaskGroups
	Desired      Desired
	Observed     Observed
	Exceeds      bool // its tasks may take up to their memory_max; decided when it was placed
	CreateIndex  uint64
	ModifyIndex  uint64
	DesiredIndex uint64 // of the last change of what its device is told
	CreateTime   int64  // Unix nanoseconds
	ModifyTime   int64
	Detail       *AllocDetail
}

// AllocDetail is the part of an allocation most rows do without.
type AllocDetail struct {
	DesiredReason string     // why it was stopped
	Description   string     // what the device said
	Report        TaskReport // what the device said of its tasks
	Followup      fleet.UUID // a delayed evaluation that will replace it
	Past          []fleet.ReschedulePast
	PreemptedBy   fleet.UUID   // what it gave way to
	Preempted     []fleet.UUID // what gave way to it, at most PreemptedMax
}

// Name is job.group[index].
func (a *Alloc) Name() string {
	return fmt.Sprintf("%s.%s[%d]", a.Version.Spec.ID, a.GroupName(), a.Index)
}

// GroupSpec is the allocation's group in its own version of the job.
func (a *Alloc) GroupSpec() *fleet.TaskGroup { return &a.Version.Spec.TaskGroups[a.Group] }

// GroupName is the name of the allocation's group.
func (a *Alloc) GroupName() string { return a.GroupSpec().Name }

// Ask is what the allocation takes from its node.
func (a *Alloc) Ask() fleet.Ask { return a.Version.Asks[a.Group] }

// Holds reports whether the allocation's resources are taken: it should run and
// has not ended. A stopped allocation frees its room at once, as in the field;
// while its device is still stopping it, both may run side by side for a moment.
func (a *Alloc) Holds() bool { return a.Desired == DesiredRun && !a.Observed.Terminal() }

// TasksRun reports whether every task of the allocation runs, as its device last
// told. Running alone says that of one of them.
func (a *Alloc) TasksRun() bool {
	if a.Observed != ObservedRunning {
		return false
	}
	if a.Detail == nil || len(a.GroupSpec().Tasks) == 1 {
		return true
	}
	for _, t := range a.Detail.Report.Tasks() {
		if t.State != fleet.TaskRunning {
			return false
		}
	}
	return true
}

// Priority is that of the allocation's version of its job.
func (a *Alloc) Priority() int { return fleet.Or(a.Version.Spec.Priority, fleet.DefaultPriority) }

// Yields reports whether the allocation may have to give way to a job of that priority. One whose device is away does not: it
// is not known whether it runs, and its end could not be told.
func (a *Alloc) Yields(priority int) bool {
	return a.Holds() && a.Observed != ObservedUnknown && a.Priority() <= priority-fleet.PreemptionGap
}

// Past is the reschedule history.
func (a *Alloc) Past() []fleet.ReschedulePast {
	if a.Detail == nil {
		return nil
	}
	return a.Detail.Past
}

// Eval is the row of an evaluation.
type Eval struct {
	Key         EvalKey
	ID          fleet.UUID
	Namespace   string
	Job         fleet.JobID
	Type        string
	Trigger     string
	Priority    int
	Status      string
	Description string
	Node        fleet.UUID // the node whose change triggered it
	WaitUntil   int64      // Unix nanoseconds; not before
	Prev        fleet.UUID
	Next        fleet.UUID
	Blocked     fleet.UUID // the evaluation that waits for what this one could not place
	Snapshot    uint64     // index of the state it was decided on
	JobIndex    uint64     // JobModifyIndex of the job then
	CreateIndex uint64
	ModifyIndex uint64
	CreateTime  int64
	ModifyTime  int64
	Groups      []GroupOutcome
}

// Ended reports whether nothing more will happen to the evaluation.
func (e *Eval) Ended() bool {
	return e.Status == fleet.EvalComplete || e.Status == fleet.EvalFailed || e.Status == fleet.EvalCancelled
}

// GroupOutcome is what an evaluation achieved for one group.
type GroupOutcome struct {
	Group  string
	Placed int
	Queued int                // still wanted
	Metric *fleet.AllocMetric // nil when everything was placed and nobody asks why
}

// View is the API's form of the row.
func (e *Eval) View() *fleet.Evaluation {
	v := &fleet.Evaluation{
		ID: fleet.EvalID(e.ID.String()), Namespace: e.Namespace, Priority: e.Priority, Type: e.Type,
		TriggeredBy: e.Trigger, JobID: e.Job, JobModifyIndex: e.JobIndex, Status: e.Status,
		StatusDescription: e.Description, WaitUntil: e.WaitUntil, SnapshotIndex: e.Snapshot,
		CreateIndex: e.CreateIndex, ModifyIndex: e.ModifyIndex, CreateTime: e.CreateTime, ModifyTime: e.ModifyTime,
		PreviousEval: idOf[fleet.EvalID](e.Prev), NextEval: idOf[fleet.EvalID](e.Next),
		BlockedEval: idOf[fleet.EvalID](e.Blocked), NodeID: idOf[fleet.NodeID](e.Node),
	}
	for _, g := range e.Groups {
		if v.QueuedAllocations == nil {
			v.QueuedAllocations = map[string]int{}
		}
		v.QueuedAllocations[g.Group] = g.Queued
		if g.Metric != nil && g.Queued > 0 {
			if v.FailedTGAllocs == nil {
				v.FailedTGAllocs = map[string]*fleet.AllocMetric{}
			}
			v.FailedTGAllocs[g.Group] = g.Metric
		}
	}
	return v
}

func idOf[T ~string](u fleet.UUID) T {
	if u.IsZero() {
		return ""
	}
	return T(u.String())
}
