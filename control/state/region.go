package state

import (
	"slices"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// MarksMax is how many of its newest marks a region keeps. A device that was away
// for longer is told everything, which is always right.
const MarksMax = 64

// Region is what a region is, apart from its contents.
type Region struct {
	ID        fleet.UUID
	Name      string
	Epoch     uint64 // raised at each restore; orders generations
	CreatedAt int64  // Unix nanoseconds
	// Raised is how the epoch came to be; zero for the first.
	Raised Raised
	// Marks name the stretches of the log, oldest first; Dropped: older ones were.
	Marks   []Mark
	Dropped bool
	Brake   Brake
}

// Raised is why and when an epoch was raised.
type Raised struct {
	At     int64 // Unix nanoseconds
	Reason string
}

// Mark begins a stretch of the log: what is at From and later was written by one
// run of the region's servers. Two histories that share their beginning, as a
// region and its restored copy do, differ in their marks from where they part;
// indexes alone would be given out twice.
type Mark struct {
	From uint64 // index
	ID   uint64 // random; never 0
}

// Brake holds replacements while many nodes are gone at once.
type Brake struct {
	On         bool
	Since      int64 // Unix nanoseconds of the last change of On
	Reason     string
	ReleasedAt int64 // what went before does not count any more; Unix nanoseconds
}

// Lineage is what a region makes of the generation a device holds.
type Lineage uint8

// Lineages.
const (
	// LineageUnsure: nothing held, or from too long ago; everything must be told.
	LineageUnsure Lineage = iota
	// LineageKnown: of this region's own history; the difference is enough.
	LineageKnown
	// LineageBeyond: of a history that this region does not have. It was taken
	// back to an older state since.
	LineageBeyond
)

// MarkAt is the mark of the stretch that an index is in; 0 before the first.
func (v *View) MarkAt(index uint64) uint64 {
	marks := v.t.region.Marks
	for i := len(marks) - 1; i >= 0; i-- {
		if marks[i].From <= index {
			return marks[i].ID
		}
	}
	return 0
}

// Lineage judges what a device holds.
func (v *View) Lineage(held wire.Generation, mark uint64) Lineage {
	return v.LineageAt(v.t.index, held, mark)
}

// LineageAt is Lineage for a command that is applied at an index: within a batch the view's own index is still that of the batch
// before, and servers cut their batches differently.
func (v *View) LineageAt(index uint64, held wire.Generation, mark uint64) Lineage {
	r := &v.t.region
	switch {
	case held == wire.Generation{}:
		return LineageUnsure
	case held.Epoch > r.Epoch:
		return LineageBeyond
	case held.Epoch < r.Epoch:
		return LineageUnsure
	case held.N > index:
		return LineageBeyond
	case v.MarkAt(held.N) == mark:
		return LineageKnown
	case r.Dropped && held.N < r.Marks[0].From:
		return LineageUnsure
	}
	return LineageBeyond
}

// SetRegion founds the region, or changes what is known of it as a whole.
func (x *Txn) SetRegion(r Region) {
	x.t.region = r
	x.touched.tables[TableRegion] = true
}

// Orphan is an allocation that a node has and the region does not know.
type Orphan struct {
	wire.Orphan
	StopReason string // not empty: an operator wants it stopped
	Changed    uint64 // index at which StopReason was set
}

// Away reports whether the node has no link.
func (n *Node) Away() bool { return n.Link == fleet.LinkUnreachable || n.Link == fleet.LinkLost }

// TellsNew reports whether a device's list of orphans differs from what is stored.
func (n *Node) TellsNew(list []wire.Orphan) bool {
	return !slices.EqualFunc(n.Orphans, list, func(a Orphan, b wire.Orphan) bool { return a.Orphan == b })
}

// SetOrphans replaces a node's orphans. Its device is told of those to be stopped.
func (x *Txn) SetOrphans(n *Node, orphans []Orphan, index uint64) *Node {
	c := *n
	for _, o := range n.Orphans {
		if o.Granted != "" && !slices.ContainsFunc(orphans, func(left Orphan) bool { return left.ID == o.ID }) {
			c.CapacityAt = index // somebody may wait for what it held
		}
	}
	c.Orphans = orphans
	x.touched.tables[TableNodeAllocs] = true
	x.touched.row(TableNodeAllocs, uint64(n.Key))
	return x.PutNode(c, index)
}

// Orphan finds an orphan by its ID.
func (v *View) Orphan(id fleet.UUID) (*Node, *Orphan) {
	for n := range v.Nodes() {
		for i := range n.Orphans {
			if n.Orphans[i].ID == id {
				return n, &n.Orphans[i]
			}
		}
	}
	return nil, nil
}

// View is the API's form of an orphan.
func (o *Orphan) View() fleet.Orphan {
	out := fleet.Orphan{
		ID: fleet.AllocID(o.ID.String()), Name: o.Name(), Namespace: o.Job.Namespace, JobID: o.Job.ID, JobVersion: o.Job.Version,
		TaskGroup: o.Group, ClientStatus: o.Status, CreateTime: o.CreateTime, StopReason: o.StopReason,
	}
	if g, err := o.Granted.Unpack(); err == nil {
		for _, d := range g.Devices {
			out.Devices = append(out.Devices, fleet.NewAllocatedDevice(d.Device, d.IDs))
		}
	}
	return out
}

// extras are the parts of the region and of a node that most do without. In a
// checkpoint they are records of their own, as JSON: they are few.
type regionExtras struct {
	Raised  Raised
	Marks   []Mark
	Dropped bool
	Brake   Brake
}

type nodeExtras struct {
	Key       NodeKey
	AwaySince int64    `json:",omitempty"`
	Orphans   []Orphan `json:",omitempty"`
	Drain     *Drain   `json:",omitempty"`
}

func (r *Region) extras() regionExtras { return regionExtras{r.Raised, r.Marks, r.Dropped, r.Brake} }

func (n *Node) extras() (nodeExtras, bool) {
	return nodeExtras{n.Key, n.AwaySince, n.Orphans, n.Drain}, n.AwaySince != 0 || len(n.Orphans) > 0 || n.Drain != nil
}
