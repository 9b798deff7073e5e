package command

import (
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// RegionFound founds a region, or raises its epoch after a restore.
type RegionFound struct {
	ID    fleet.UUID
	Name  string
	Epoch uint64
	At    int64 // Unix nanoseconds, here and below
}

// JobRegister stores a job and the evaluation that will place it, in one entry.
// Equal canonical bytes make no new version.
type JobRegister struct {
	Spec       []byte // canonical JSON
	EvalID     fleet.UUID
	At         int64
	CheckIndex bool   // register only if the job's JobModifyIndex is JobIndex (0: does not exist)
	JobIndex   uint64 //
}

// JobDeregister stops a job; with Purge its row goes too.
type JobDeregister struct {
	Namespace string
	ID        fleet.JobID
	Purge     bool
	EvalID    fleet.UUID
	At        int64
}

// JobEvaluate asks for a new evaluation of a job.
type JobEvaluate struct {
	Namespace string
	ID        fleet.JobID
	EvalID    fleet.UUID
	At        int64
}

// NodeRegister stores what an agent reports. A node that comes back from lost
// gives each of its jobs an evaluation, whose IDs are minted from Seed.
type NodeRegister struct {
	ID   fleet.UUID
	Spec []byte // fleet.Node as JSON, no bookkeeping
	Addr string
	At   int64
	Seed [32]byte
}

// NodeLinks changes the link states of nodes. Each job with work on a node that
// is now lost gets an evaluation, whose IDs are minted from Seed.
type NodeLinks struct {
	Changes []LinkChange
	At      int64
	Seed    [32]byte
}

// LinkChange is one node's new link state.
type LinkChange struct {
	Node   fleet.UUID
	Link   fleet.LinkState
	Reason string
}

// NodeFacts changes attributes of a node: a difference.
type NodeFacts struct {
	Node  fleet.UUID
	Set   []wire.Attribute
	Unset []string
	At    int64
	Seed  [32]byte
}

// EvalsPut inserts or updates evaluations.
type EvalsPut struct {
	Evals []state.Eval
	At    int64
}

// Statuses is what devices observed. A failed allocation gives its job an
// evaluation, whose IDs are minted from Seed.
type Statuses struct {
	Nodes []NodeStatuses
	At    int64
	Seed  [32]byte
}

// NodeStatuses are the reports of one device. Reports about allocations of
// another node are dropped by Apply.
type NodeStatuses struct {
	Node   fleet.UUID
	Allocs []wire.AllocStatus
}

// Plan is what a scheduler proposes and the log carries, as columns: what is
// equal for many placements stands once. Job, version and evaluation are the
// plan's; the rest is per group or per placement.
type Plan struct {
	Eval      fleet.UUID
	Namespace string
	Job       fleet.JobID
	Version   uint64 // of the job that Groups place
	Priority  int
	Snapshot  uint64 // index of the view it was made from
	At        int64
	Groups    []Placements
	Stops     []Stop
	Updates   []fleet.UUID // allocations that take Version in place
	Evals     []state.Eval // what becomes of the evaluation, and those that follow it
	Evictions []Eviction   // what of other jobs gives way to placements of this plan
}

// Eviction ends an allocation of another job, of lower priority, so that a placement
// of the same plan has room on its node. Both or neither.
type Eviction struct {
	Alloc fleet.UUID
	By    fleet.UUID // the placement
}

// Placements are the new allocations of one group, as parallel columns.
type Placements struct {
	Group uint16 // position in the job version
	// Back is how many versions before the plan's the job version is: while a
	// deployment holds the new one back, what is lost of an older one is placed anew.
	Back  uint8
	Nodes []state.NodeKey
	Names []uint32 // indexes of job.group[i]
	IDs   []fleet.UUID
	// Prevs has either no entry or one for each placement: the allocation it
	// replaces, or zero.
	Prevs []Replaced
	// Granted has either no entry or one for each placement: what it alone holds of
	// its node.
	Granted []wire.Granted
}

// Ragged reports whether the columns disagree about how many there are.
func (g *Placements) Ragged() bool {
	n := len(g.IDs)
	return len(g.Nodes) != n || len(g.Names) != n || len(g.Prevs) != 0 && len(g.Prevs) != n || len(g.Granted) != 0 && len(g.Granted) != n
}

// Replaced says what a placement replaces and the history it inherits.
type Replaced struct {
	Alloc      fleet.UUID
	Reschedule bool // it failed, and this is a reschedule that counts
	Delay      fleet.Duration
}

// Stop ends an allocation.
type Stop struct {
	Alloc    fleet.UUID
	Desired  state.Desired // DesiredStop or DesiredEvict
	Lost     bool          // its node is lost: it counts as lost from now on, or, with DesiredRun, as unknown: it may come back
	Reason   string
	Followup fleet.UUID // not stopped but marked: a delayed evaluation will replace it (Desired is DesiredRun)
}

// ModulePut records that the region holds a module.
type ModulePut struct{ Module fleet.Module }

// InvitePut records an invite.
type InvitePut struct {
	Invite fleet.Invite
	At     int64 // expired invites are dropped against it
}

// InviteUse spends an invite. Of two devices with one token the first in the
// log gets in.
type InviteUse struct {
	TokenHash string
	Node      fleet.UUID
	At        int64
}

// NodeEligibility lets new work onto a node, or keeps it off.
type NodeEligibility struct {
	Node     fleet.UUID
	Eligible bool
	At       int64
}
