package state

import (
	"encoding/binary"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/tidwall/btree"
)

// pair is an entry of an index: owner first, so that a range of one owner is
// contiguous.
type pair struct {
	owner uint32
	key   uint64
}

func pairLess(a, b pair) bool {
	return a.owner < b.owner || a.owner == b.owner && a.key < b.key
}

type jobName struct {
	namespace string
	id        fleet.JobID
}

func jobNameLess(a, b jobEntry) bool {
	return a.namespace < b.namespace || a.namespace == b.namespace && a.id < b.id
}

type jobEntry struct {
	jobName
	key JobKey
}

type uuidEntry struct {
	id  fleet.UUID
	key uint64
}

func uuidLess(a, b uuidEntry) bool {
	// The order of bytes, in two steps: IDs are random, and the first nearly always decides.
	if x, y := binary.BigEndian.Uint64(a.id[:8]), binary.BigEndian.Uint64(b.id[:8]); x != y {
		return x < y
	}
	return binary.BigEndian.Uint64(a.id[8:]) < binary.BigEndian.Uint64(b.id[8:])
}

type usageEntry struct {
	node NodeKey
	Usage
}

// tables are the roots of all trees. The zero-copy of a value of this type is
// not a snapshot; use fork.
type tables struct {
	region Region
	index  uint64
	hash   uint64 // of everything applied so far; equal on servers at equal index

	nextNode  NodeKey
	nextJob   JobKey
	nextAlloc AllocKey
	nextEval  EvalKey

	nodes   *btree.BTreeG[*Node]
	nodeIDs *btree.BTreeG[uuidEntry]
	usage   *btree.BTreeG[usageEntry]

	jobs     *btree.BTreeG[*Job]
	jobNames *btree.BTreeG[jobEntry]
	perNode  *btree.BTreeG[JobKey] // of jobs that run on every node and are not stopped

	allocs       *btree.BTreeG[*Alloc]
	allocIDs     *btree.BTreeG[uuidEntry]
	allocsByNode *btree.BTreeG[pair]
	allocsByJob  *btree.BTreeG[pair]
	granted      *btree.BTreeG[grantedEntry] // of the few allocations that hold something

	evals      *btree.BTreeG[*Eval]
	evalIDs    *btree.BTreeG[uuidEntry]
	evalsByJob *btree.BTreeG[evalEntry]
	openEvals  *btree.BTreeG[EvalKey] // pending or blocked

	modules *btree.BTreeG[fleet.Module]
	invites *btree.BTreeG[fleet.Invite]

	identities *btree.BTreeG[*fleet.NodeIdentity]

	deployments   *btree.BTreeG[*Deployment]
	deploymentIDs *btree.BTreeG[uuidEntry] // to the key of the job

	pools     *btree.BTreeG[fleet.NodePool] // those that are not built in
	scheduler fleet.SchedulerConfiguration  // zero: nobody set one
}

type evalEntry struct {
	jobName
	key EvalKey
}

func evalEntryLess(a, b evalEntry) bool {
	if a.namespace != b.namespace {
		return a.namespace < b.namespace
	}
	if a.id != b.id {
		return a.id < b.id
	}
	return a.key < b.key
}

// newTree makes a tree without locks: a view's trees are never written, and a
// transaction's are written by one goroutine.
func newTree[T any](less func(a, b T) bool) *btree.BTreeG[T] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

func newTables() *tables {
	return &tables{
		nextNode: 1, nextJob: 1, nextAlloc: 1, nextEval: 1,
		nodes:         newTree(func(a, b *Node) bool { return a.Key < b.Key }),
		nodeIDs:       newTree(uuidLess),
		usage:         newTree(func(a, b usageEntry) bool { return a.node < b.node }),
		jobs:          newTree(func(a, b *Job) bool { return a.Key < b.Key }),
		jobNames:      newTree(jobNameLess),
		perNode:       newTree(func(a, b JobKey) bool { return a < b }),
		allocs:        newTree(func(a, b *Alloc) bool { return a.Key < b.Key }),
		allocIDs:      newTree(uuidLess),
		allocsByNode:  newTree(pairLess),
		allocsByJob:   newTree(pairLess),
		granted:       newTree(grantedLess),
		evals:         newTree(func(a, b *Eval) bool { return a.Key < b.Key }),
		evalIDs:       newTree(uuidLess),
		evalsByJob:    newTree(evalEntryLess),
		openEvals:     newTree(func(a, b EvalKey) bool { return a < b }),
		modules:       newTree(func(a, b fleet.Module) bool { return a.Digest < b.Digest }),
		invites:       newTree(func(a, b fleet.Invite) bool { return a.TokenHash < b.TokenHash }),
		identities:    newTree(func(a, b *fleet.NodeIdentity) bool { return a.Peer < b.Peer }),
		deployments:   newTree(deploymentLess),
		deploymentIDs: newTree(uuidLess),
		pools:         newTree(func(a, b fleet.NodePool) bool { return a.Name < b.Name }),
	}
}

// fork returns a copy that may be written without touching t, in constant time.
// Only the writer may call it: it marks the shared tree nodes as such.
func (t *tables) fork() *tables {
	c := *t
	c.nodes, c.nodeIDs, c.usage = t.nodes.Copy(), t.nodeIDs.Copy(), t.usage.Copy()
	c.jobs, c.jobNames, c.perNode = t.jobs.Copy(), t.jobNames.Copy(), t.perNode.Copy()
	c.allocs, c.allocIDs = t.allocs.Copy(), t.allocIDs.Copy()
	c.allocsByNode, c.allocsByJob = t.allocsByNode.Copy(), t.allocsByJob.Copy()
	c.granted = t.granted.Copy()
	c.evals, c.evalIDs, c.evalsByJob, c.openEvals = t.evals.Copy(), t.evalIDs.Copy(), t.evalsByJob.Copy(), t.openEvals.Copy()
	c.modules, c.invites = t.modules.Copy(), t.invites.Copy()
	c.identities = t.identities.Copy()
	c.deployments, c.deploymentIDs = t.deployments.Copy(), t.deploymentIDs.Copy()
	c.pools = t.pools.Copy()
	return &c
}
