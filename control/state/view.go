package state

import (
	"bytes"
	"iter"
	"sync"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/tidwall/btree"
)

// View is an immutable state of the region.
type View struct {
	t     *tables
	forks *sync.Mutex // forking marks the trees; see Fork
}

// Index is the raft index of the state.
func (v *View) Index() uint64 { return v.t.index }

// Hash is equal for states reached by equal logs.
func (v *View) Hash() uint64 { return v.t.hash }

// Region says which region this is; its ID is zero before it is founded.
func (v *View) Region() Region { return v.t.region }

// Node returns a row by key, or nil.
func (v *View) Node(key NodeKey) *Node {
	return nodeProbes.find(v.t.nodes, func(n *Node) { n.Key = key })
}

// NodeByID returns a row by ID, or nil.
func (v *View) NodeByID(id fleet.UUID) *Node {
	e, ok := v.t.nodeIDs.Get(uuidEntry{id: id})
	if !ok {
		return nil
	}
	return v.Node(NodeKey(e.key))
}

// Nodes yields all nodes by key.
func (v *View) Nodes() iter.Seq[*Node] { return scan(v.t.nodes) }

// NodeCount is the number of nodes.
func (v *View) NodeCount() int { return v.t.nodes.Len() }

// Loads yields all nodes by key, each with what its allocations take: one walk through both tables. To look the usage up node by
// node took a thirtieth of a server's time while it placed a million.
func (v *View) Loads() iter.Seq2[*Node, Usage] {
	return func(yield func(*Node, Usage) bool) {
		it := v.t.usage.Iter()
		defer it.Release()
		more := it.First()
		v.t.nodes.Scan(func(n *Node) bool {
			for more && it.Item().node < n.Key {
				more = it.Next()
			}
			if more && it.Item().node == n.Key {
				return yield(n, it.Item().Usage)
			}
			return yield(n, Usage{})
		})
	}
}

// Usage is what a node's allocations take.
func (v *View) Usage(key NodeKey) Usage {
	e, _ := v.t.usage.Get(usageEntry{node: key})
	return e.Usage
}

// Job returns a row by key, or nil.
func (v *View) Job(key JobKey) *Job {
	return jobProbes.find(v.t.jobs, func(j *Job) { j.Key = key })
}

// JobByID returns a row by name, or nil.
func (v *View) JobByID(namespace string, id fleet.JobID) *Job {
	e, ok := v.t.jobNames.Get(jobEntry{jobName: jobName{namespace, id}})
	if !ok {
		return nil
	}
	return v.Job(e.key)
}

// Jobs yields all jobs by namespace and ID.
func (v *View) Jobs() iter.Seq[*Job] {
	return func(yield func(*Job) bool) {
		v.t.jobNames.Scan(func(e jobEntry) bool { return yield(v.Job(e.key)) })
	}
}

// PerNodeJobs yields the jobs that run on every feasible node and are not stopped,
// by key.
func (v *View) PerNodeJobs() iter.Seq[*Job] {
	return func(yield func(*Job) bool) {
		v.t.perNode.Scan(func(k JobKey) bool { return yield(v.Job(k)) })
	}
}

// JobCount is the number of jobs.
func (v *View) JobCount() int { return v.t.jobs.Len() }

// Alloc returns a row by key, or nil.
func (v *View) Alloc(key AllocKey) *Alloc {
	return allocProbes.find(v.t.allocs, func(a *Alloc) { a.Key = key })
}

// AllocByID returns a row by ID, or nil.
func (v *View) AllocByID(id fleet.UUID) *Alloc {
	e, ok := v.t.allocIDs.Get(uuidEntry{id: id})
	if !ok {
		return nil
	}
	return v.Alloc(AllocKey(e.key))
}

// Allocs yields all allocations, oldest first.
func (v *View) Allocs() iter.Seq[*Alloc] { return scan(v.t.allocs) }

// AllocCount is the number of allocation rows, ended ones included.
func (v *View) AllocCount() int { return v.t.allocs.Len() }

// AllocsByNode yields a node's allocations, oldest first.
func (v *View) AllocsByNode(key NodeKey) iter.Seq[*Alloc] {
	return v.allocsBy(v.t.allocsByNode, uint32(key))
}

// AllocsByJob yields a job's allocations, oldest first.
func (v *View) AllocsByJob(key JobKey) iter.Seq[*Alloc] {
	return v.allocsBy(v.t.allocsByJob, uint32(key))
}

func (v *View) allocsBy(index *btree.BTreeG[pair], owner uint32) iter.Seq[*Alloc] {
	return func(yield func(*Alloc) bool) {
		probe := &Alloc{} // one for the whole scan: a probe is as large as a row
		index.Ascend(pair{owner: owner}, func(p pair) bool {
			if p.owner != owner {
				return false
			}
			probe.Key = AllocKey(p.key)
			return yield(get(v.t.allocs, probe))
		})
	}
}

// Eval returns a row by ID, or nil.
func (v *View) Eval(id fleet.UUID) *Eval {
	e, ok := v.t.evalIDs.Get(uuidEntry{id: id})
	if !ok {
		return nil
	}
	return get(v.t.evals, &Eval{Key: EvalKey(e.key)})
}

// Evals yields all evaluations, oldest first.
func (v *View) Evals() iter.Seq[*Eval] { return scan(v.t.evals) }

// EvalCount is the number of evaluation rows.
func (v *View) EvalCount() int { return v.t.evals.Len() }

// OpenEvals yields evaluations that are pending or blocked, oldest first: what a
// new leader takes up.
func (v *View) OpenEvals() iter.Seq[*Eval] {
	return func(yield func(*Eval) bool) {
		probe := &Eval{}
		v.t.openEvals.Scan(func(k EvalKey) bool {
			probe.Key = k
			return yield(get(v.t.evals, probe))
		})
	}
}

// EvalsByJob yields a job's evaluations, oldest first.
func (v *View) EvalsByJob(namespace string, id fleet.JobID) iter.Seq[*Eval] {
	return func(yield func(*Eval) bool) {
		name := jobName{namespace, id}
		v.t.evalsByJob.Ascend(evalEntry{jobName: name}, func(e evalEntry) bool {
			return e.jobName == name && yield(get(v.t.evals, &Eval{Key: e.key}))
		})
	}
}

// Module returns what the region knows of a module.
func (v *View) Module(digest string) (fleet.Module, bool) {
	return v.t.modules.Get(fleet.Module{Digest: digest})
}

// Modules yields all modules by digest.
func (v *View) Modules() iter.Seq[fleet.Module] { return scan(v.t.modules) }

// Invite returns an invite by the hash of its token.
func (v *View) Invite(hash string) (fleet.Invite, bool) {
	return v.t.invites.Get(fleet.Invite{TokenHash: hash})
}

// Invites yields all invites.
func (v *View) Invites() iter.Seq[fleet.Invite] { return scan(v.t.invites) }

func get[T any](t *btree.BTreeG[*T], key *T) *T {
	row, _ := t.Get(key)
	return row
}

// probes are rows that have a key and nothing else, to look others up by. The tree wants a whole row, and a new one for each look was
// a fifteenth of all that a server allocated while it placed a million; a view is read by many, so it cannot keep one.
type probes[T any] struct{ pool sync.Pool }

var (
	nodeProbes  probes[Node]
	jobProbes   probes[Job]
	allocProbes probes[Alloc]
)

func (p *probes[T]) find(t *btree.BTreeG[*T], name func(*T)) *T {
	probe, ok := p.pool.Get().(*T)
	if !ok {
		probe = new(T)
	}
	name(probe)
	row := get(t, probe)
	p.pool.Put(probe)
	return row
}

func scan[T any](t *btree.BTreeG[T]) iter.Seq[T] {
	return func(yield func(T) bool) { t.Scan(yield) }
}

// NodesByPrefix returns the nodes whose ID, as text, begins with prefix.
func (v *View) NodesByPrefix(prefix string) []*Node {
	return byPrefix(v.t.nodeIDs, prefix, func(k uint64) *Node { return v.Node(NodeKey(k)) })
}

// AllocsByPrefix returns the allocations whose ID begins with prefix.
func (v *View) AllocsByPrefix(prefix string) []*Alloc {
	return byPrefix(v.t.allocIDs, prefix, func(k uint64) *Alloc { return v.Alloc(AllocKey(k)) })
}

// EvalsByPrefix returns the evaluations whose ID begins with prefix.
func (v *View) EvalsByPrefix(prefix string) []*Eval {
	return byPrefix(v.t.evalIDs, prefix, func(k uint64) *Eval { return get(v.t.evals, &Eval{Key: EvalKey(k)}) })
}

// PrefixMatchesMax bounds what a short ID may match.
const PrefixMatchesMax = 1000

func byPrefix[T any](ids *btree.BTreeG[uuidEntry], prefix string, row func(uint64) *T) []*T {
	var out []*T
	pivot, ok := prefixPivot(prefix)
	if !ok {
		return nil
	}
	ids.Ascend(uuidEntry{id: pivot}, func(e uuidEntry) bool {
		s := e.id.String()
		if !bytes.HasPrefix([]byte(s), []byte(prefix)) || len(out) == PrefixMatchesMax {
			return false
		}
		out = append(out, row(e.key))
		return true
	})
	return out
}

// prefixPivot is the smallest UUID whose text begins with prefix.
func prefixPivot(prefix string) (fleet.UUID, bool) {
	const zero = "00000000-0000-0000-0000-000000000000"
	if len(prefix) > len(zero) {
		return fleet.UUID{}, false
	}
	u, err := fleet.ParseUUID(prefix + zero[len(prefix):])
	return u, err == nil
}
