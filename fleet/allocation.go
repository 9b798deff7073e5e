package fleet

import "strings"

// Desired statuses of an allocation: what the region wants.
const (
	DesiredRun   = "run"
	DesiredStop  = "stop"
	DesiredEvict = "evict"
)

// Client statuses of an allocation: what its device observed.
const (
	ClientPending  = "pending"
	ClientRunning  = "running"
	ClientComplete = "complete"
	ClientFailed   = "failed"
	ClientLost     = "lost"
	ClientUnknown  = "unknown" // the device is unreachable
)

// ClientTerminal reports whether a client status is final.
func ClientTerminal(status string) bool {
	return status == ClientComplete || status == ClientFailed || status == ClientLost
}

// Allocation is a group bound to a node, as the API shows it. It is assembled
// on read; the region stores a compact row.
type Allocation struct {
	ID                 AllocID
	Namespace          string
	EvalID             EvalID
	Name               string // job.group[index]
	NodeID             NodeID
	NodeName           string
	JobID              JobID
	JobVersion         uint64
	Job                *Job `json:",omitempty"`
	TaskGroup          string
	AllocatedResources *AllocatedResources `json:",omitempty"`
	Metrics            *AllocMetric        `json:",omitempty"`
	DesiredStatus      string
	DesiredDescription string
	ClientStatus       string
	ClientDescription  string
	TaskStates         map[string]*TaskState
	Orphan             bool               `json:",omitempty"` // the region does not know it; its device runs it
	PreviousAllocation AllocID            `json:",omitempty"`
	NextAllocation     AllocID            `json:",omitempty"`
	FollowupEvalID     EvalID             `json:",omitempty"`
	RescheduleTracker  *RescheduleTracker `json:",omitempty"`
	CreateIndex        uint64
	ModifyIndex        uint64
	AllocModifyIndex   uint64
	CreateTime         int64 // Unix nanoseconds
	ModifyTime         int64 // Unix nanoseconds

	// PreemptedAllocations gave way to it; PreemptedByAllocation is what it gave way to.
	PreemptedAllocations  []AllocID `json:",omitempty"`
	PreemptedByAllocation AllocID   `json:",omitempty"`
}

// RescheduleTracker is the history of an allocation that replaces others.
type RescheduleTracker struct{ Events []ReschedulePast }

// AllocatedResources is what each task of an allocation was given.
type AllocatedResources struct {
	Tasks  map[string]AllocatedTask
	Shared AllocatedShared
}

// AllocatedShared is what the tasks of an allocation were given together.
type AllocatedShared struct {
	DiskMB   int64
	Networks []AllocatedNetwork `json:",omitempty"`
	Ports    []AllocatedPort    `json:",omitempty"`
}

// AllocatedNetwork is the network of an allocation, its ports with their numbers.
type AllocatedNetwork struct {
	Mode          string
	IP            string
	DynamicPorts  []Port `json:",omitempty"`
	ReservedPorts []Port `json:",omitempty"`
}

// AllocatedPort is one port that an allocation holds.
type AllocatedPort struct {
	Label  string
	Value  int
	To     int
	HostIP string
}

// AllocatedTask is what one task was given.
type AllocatedTask struct {
	CPU     NodeCPU `json:"Cpu"`
	Memory  AllocatedMemory
	Devices []AllocatedDevice `json:",omitempty"`
}

// AllocatedDevice is what one request of a task got.
type AllocatedDevice struct {
	Vendor, Type, Name string
	DeviceIDs          []string
}

// NewAllocatedDevice is what was given of a kind: VENDOR/TYPE/NAME.
func NewAllocatedDevice(kind string, ids []string) AllocatedDevice {
	parts := strings.SplitN(kind+"//", "/", 4)
	return AllocatedDevice{Vendor: parts[0], Type: parts[1], Name: parts[2], DeviceIDs: ids}
}

// GiveDevice adds devices of a kind to what a task was given.
func (r *AllocatedResources) GiveDevice(task, kind string, ids []string) {
	t := r.Tasks[task]
	t.Devices = append(t.Devices, NewAllocatedDevice(kind, ids))
	r.Tasks[task] = t
}

// AllocatedMemory is in MiB.
type AllocatedMemory struct {
	MemoryMB    int64
	MemoryMaxMB int64 `json:",omitempty"` // the limit, where it is not MemoryMB
}

// Resources lists what each task of g is given, where tasks may exceed their memory or not. Canonicalize must have run.
func (g *TaskGroup) Resources(exceeds bool) *AllocatedResources {
	out := &AllocatedResources{Tasks: make(map[string]AllocatedTask, len(g.Tasks)), Shared: AllocatedShared{DiskMB: int64(g.EphemeralDisk.Size())}}
	for i := range g.Tasks {
		t := &g.Tasks[i]
		out.Tasks[t.Name] = AllocatedTask{
			CPU:    NodeCPU{CPUShares: int64(Or(t.Resources.CPU, 0))},
			Memory: AllocatedMemory{MemoryMB: int64(Or(t.Resources.MemoryMB, 0))},
		}
		if limit := t.Resources.MemoryLimitMB(exceeds); limit != t.Resources.MemoryLimitMB(false) {
			a := out.Tasks[t.Name]
			a.Memory.MemoryMaxMB = int64(limit)
			out.Tasks[t.Name] = a
		}
	}
	return out
}

// SharePorts adds the ports that an allocation of g holds on a node of that address.
func (r *AllocatedResources) SharePorts(g *TaskGroup, ip string, number func(label string) (int, bool)) {
	for i := range g.Networks {
		n := &g.Networks[i]
		net := AllocatedNetwork{Mode: n.Mode, IP: ip}
		for _, list := range []struct {
			from []Port
			to   *[]Port
		}{{n.ReservedPorts, &net.ReservedPorts}, {n.DynamicPorts, &net.DynamicPorts}} {
			for _, p := range list.from {
				if v, ok := number(p.Label); ok {
					p.Value = v
					*list.to = append(*list.to, p)
					r.Shared.Ports = append(r.Shared.Ports, AllocatedPort{Label: p.Label, Value: v, To: p.To, HostIP: ip})
				}
			}
		}
		r.Shared.Networks = append(r.Shared.Networks, net)
	}
}

// AllocationListStub is the short form of an allocation in lists.
type AllocationListStub struct {
	ID                 AllocID
	EvalID             EvalID
	Name               string
	Namespace          string
	NodeID             NodeID
	NodeName           string
	JobID              JobID
	JobType            string
	JobVersion         uint64
	TaskGroup          string
	AllocatedResources *AllocatedResources `json:",omitempty"`
	DesiredStatus      string
	DesiredDescription string
	ClientStatus       string
	ClientDescription  string
	TaskStates         map[string]*TaskState
	FollowupEvalID     EvalID             `json:",omitempty"`
	RescheduleTracker  *RescheduleTracker `json:",omitempty"`
	CreateIndex        uint64
	ModifyIndex        uint64
	CreateTime         int64
	ModifyTime         int64

	PreemptedAllocations  []AllocID `json:",omitempty"`
	PreemptedByAllocation AllocID   `json:",omitempty"`
}

// Stub returns the short form of a.
func (a *Allocation) Stub() AllocationListStub {
	s := AllocationListStub{
		ID: a.ID, EvalID: a.EvalID, Name: a.Name, Namespace: a.Namespace, NodeID: a.NodeID, NodeName: a.NodeName,
		JobID: a.JobID, JobVersion: a.JobVersion, TaskGroup: a.TaskGroup,
		AllocatedResources: a.AllocatedResources,
		DesiredStatus:      a.DesiredStatus, DesiredDescription: a.DesiredDescription,
		ClientStatus: a.ClientStatus, ClientDescription: a.ClientDescription, TaskStates: a.TaskStates,
		FollowupEvalID: a.FollowupEvalID, RescheduleTracker: a.RescheduleTracker,
		CreateIndex: a.CreateIndex, ModifyIndex: a.ModifyIndex, CreateTime: a.CreateTime, ModifyTime: a.ModifyTime,
		PreemptedAllocations: a.PreemptedAllocations, PreemptedByAllocation: a.PreemptedByAllocation,
	}
	if a.Job != nil {
		s.JobType = a.Job.Type
	}
	return s
}
