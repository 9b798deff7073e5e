package fleet

// Link states of a node: what the region knows about the device's link.
type LinkState string

const (
	LinkOnline      LinkState = "online"      // linked, beats arrive in time
	LinkLate        LinkState = "late"        // linked, a beat is overdue
	LinkUnreachable LinkState = "unreachable" // no link; may come back
	LinkLost        LinkState = "lost"        // gone for longer than the limit: its work is replaced elsewhere
)

// Node statuses of the public API.
const (
	NodeStatusInit         = "initializing"
	NodeStatusReady        = "ready"
	NodeStatusDown         = "down"
	NodeStatusDisconnected = "disconnected"
)

// Scheduling eligibility of a node.
const (
	NodeEligible   = "eligible"
	NodeIneligible = "ineligible"
)

// APIStatus is the public API's word for a link state.
func (s LinkState) APIStatus() string {
	switch s {
	case LinkOnline, LinkLate:
		return NodeStatusReady
	case LinkUnreachable:
		return NodeStatusDisconnected
	case LinkLost:
		return NodeStatusDown
	}
	return NodeStatusInit
}

// Limits of what a device may report about itself.
const (
	NodeAttributesMax     = 512
	NodeAttributeBytesMax = 1 << 10
	NodeSpecBytesMax      = 256 << 10
)

// Node is a device: what its agent reports, and what the region knows of it.
type Node struct {
	ID            NodeID
	Name          string
	Datacenter    string
	NodeClass     string            `json:",omitempty"`
	NodePool      string            `json:",omitempty"`
	Attributes    map[string]string // ${attr.…}
	Meta          map[string]string // ${meta.…}
	Drivers       map[string]DriverInfo
	NodeResources NodeResources
	// ReservedResources are kept free for the device itself.
	ReservedResources NodeReserved
	// HostVolumes are folders that it offers to tasks, by name.
	HostVolumes map[string]HostVolume `json:",omitempty"`
	Version     string                `json:",omitempty"` // of the agent
	// LinkTransport is how the device's link travels: "quic/udp", or "tls/tcp".
	LinkTransport string `json:",omitempty"`
	UDPFiltered   bool   `json:",omitempty"` // it goes over TCP because nobody answers over UDP

	NodeBookkeeping
}

// RefusedPlans is a row of plans that a node had no room for when they came to be verified, with none in between that it had.
type RefusedPlans struct {
	InARow      int
	Since, Last int64 // Unix nanoseconds
	Reason      string
}

// NodeBookkeeping is what the region writes beside a node.
type NodeBookkeeping struct {
	Status                string
	StatusDescription     string
	LinkState             LinkState
	SchedulingEligibility string
	StatusUpdatedAt       int64          // Unix seconds, as in the public API
	LastSeenAt            int64          `json:",omitempty"` // Unix nanoseconds of the last state change seen on the link
	RemoteAddr            string         `json:",omitempty"`
	Identity              *NodeIdentity  `json:",omitempty"`
	AwaySince             int64          `json:",omitempty"` // Unix nanoseconds since when it has no link
	RefusedPlans          *RefusedPlans  `json:",omitempty"` // it keeps refusing; the server that leads says so
	Drain                 bool           // it is being emptied
	DrainStrategy         *DrainStrategy `json:",omitempty"`
	// Orphans are what the device runs and the region does not know.
	Orphans     []Orphan `json:",omitempty"`
	CreateIndex uint64
	ModifyIndex uint64
}

// Spec returns a copy of n with only what the agent reports.
func (n *Node) Spec() *Node {
	c := *n
	c.NodeBookkeeping = NodeBookkeeping{}
	return &c
}

// DriverInfo is the state of one driver on a node.
type DriverInfo struct {
	Detected          bool
	Healthy           bool
	HealthDescription string
	Attributes        map[string]string `json:",omitempty"`
}

// NodeResources is what the device has.
type NodeResources struct {
	CPU    NodeCPU `json:"Cpu"`
	Memory NodeMemory
	Disk   NodeDisk
	// Dynamic ports are taken from these; 0: the default.
	MinDynamicPort int `json:",omitempty"`
	MaxDynamicPort int `json:",omitempty"`
	// Devices are those of the agent's configuration; the API shows all, see [Node.Devices].
	Devices []NodeDeviceResource `json:",omitempty"`
}

// NodeReserved is what the device keeps for itself.
type NodeReserved struct {
	CPU    NodeCPU `json:"Cpu"`
	Memory NodeMemory
	Disk   NodeDisk
	// Networks has the ports that no allocation is given.
	Networks NodeReservedNetworks
}

// NodeReservedNetworks lists ports and ranges of them: "22,80,8500-8600".
type NodeReservedNetworks struct {
	ReservedHostPorts string `json:",omitempty"`
}

// NodeCPU counts MHz over all cores.
type NodeCPU struct {
	CPUShares     int64 `json:"CpuShares"`
	TotalCPUCores int   `json:"TotalCpuCores,omitempty"`
}

// NodeMemory is in MiB.
type NodeMemory struct{ MemoryMB int64 }

// NodeDisk is in MiB. What a device has is what was free when its agent started; 0: unknown.
type NodeDisk struct{ DiskMB int64 }

// Orphan is an allocation that its device has and the region does not know, as
// after a restore of an older state. It keeps running until an operator adopts or
// stops it.
type Orphan struct {
	ID           AllocID
	Name         string // job.group[index]
	Namespace    string
	JobID        JobID
	JobVersion   uint64
	TaskGroup    string
	ClientStatus string
	CreateTime   int64             // Unix nanoseconds
	StopReason   string            `json:",omitempty"` // not empty: an operator stopped it and its device has not told its end
	Devices      []AllocatedDevice `json:",omitempty"` // that it alone holds
}

// NodeListStub is the short form of a node in lists.
type NodeListStub struct {
	ID                    NodeID
	Name                  string
	Datacenter            string
	NodeClass             string
	NodePool              string
	Version               string
	Status                string
	StatusDescription     string
	LinkState             LinkState
	SchedulingEligibility string
	Drain                 bool
	Address               string
	Drivers               map[string]DriverInfo
	NodeResources         *NodeResources `json:",omitempty"`
	Orphans               int            `json:",omitempty"` // how many
	CreateIndex           uint64
	ModifyIndex           uint64
	Identity              *NodeIdentity `json:",omitempty"`
}

// Stub returns the short form of n.
func (n *Node) Stub() NodeListStub {
	return NodeListStub{
		ID: n.ID, Name: n.Name, Datacenter: n.Datacenter, NodeClass: n.NodeClass, NodePool: n.NodePool,
		Version: n.Version, Status: n.Status, StatusDescription: n.StatusDescription, LinkState: n.LinkState,
		SchedulingEligibility: n.SchedulingEligibility, Drain: n.Drain, Address: n.RemoteAddr, Drivers: n.Drivers,
		NodeResources: &n.NodeResources, Orphans: len(n.Orphans), CreateIndex: n.CreateIndex, ModifyIndex: n.ModifyIndex,
		Identity: n.Identity,
	}
}

// AttributeAddress is where a device tells the address of its default interface.
const AttributeAddress = "unique.network.ip-address"

// Address is the IP address under which a device's ports are found on its own
// network; the loopback's if it tells none.
func (n *Node) Address() string {
	if a := n.Attributes[AttributeAddress]; a != "" {
		return a
	}
	return "127.0.0.1"
}
