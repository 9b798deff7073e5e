package state

import (
	"iter"

	"github.com/tidwall/btree"
)

// from yields what a tree has from a row on.
func from[T any](t *btree.BTreeG[T], pivot T) iter.Seq[T] {
	return func(yield func(T) bool) { t.Ascend(pivot, yield) }
}

// AllocsFrom yields allocations from a key on, oldest first.
func (v *View) AllocsFrom(k AllocKey) iter.Seq[*Alloc] { return from(v.t.allocs, &Alloc{Key: k}) }

// EvalsFrom yields evaluations from a key on, oldest first.
func (v *View) EvalsFrom(k EvalKey) iter.Seq[*Eval] { return from(v.t.evals, &Eval{Key: k}) }

// Newer reports whether the evaluation's job has one that came after it.
func (v *View) Newer(e *Eval) (newer bool) {
	name := jobName{e.Namespace, e.Job}
	v.t.evalsByJob.Ascend(evalEntry{name, e.Key + 1}, func(o evalEntry) bool {
		newer = o.jobName == name
		return false
	})
	return newer
}

// JobsFrom yields jobs from a key on, by key.
func (v *View) JobsFrom(k JobKey) iter.Seq[*Job] { return from(v.t.jobs, &Job{Key: k}) }

// NodesFrom yields nodes from a key on, by key.
func (v *View) NodesFrom(k NodeKey) iter.Seq[*Node] { return from(v.t.nodes, &Node{Key: k}) }

// DeleteAlloc removes the row of an allocation that holds nothing.
func (x *Txn) DeleteAlloc(a *Alloc) {
	x.t.allocs.Delete(a)
	x.t.allocIDs.Delete(uuidEntry{id: a.ID})
	x.t.allocsByNode.Delete(pair{uint32(a.Node), uint64(a.Key)})
	x.t.allocsByJob.Delete(pair{uint32(a.Version.Job), uint64(a.Key)})
	x.t.granted.Delete(grantedEntry{node: a.Node, alloc: a.Key})
	x.touched.tables[TableAllocs] = true
	x.touched.row(TableJobAllocs, uint64(a.Version.Job))
}

// DeleteEval removes the row of an evaluation that has ended.
func (x *Txn) DeleteEval(e *Eval) {
	x.t.evals.Delete(e)
	x.t.evalIDs.Delete(uuidEntry{id: e.ID})
	x.t.evalsByJob.Delete(evalEntry{jobName{e.Namespace, e.Job}, e.Key})
	x.touched.tables[TableEvals] = true
	if job := x.JobByID(e.Namespace, e.Job); job != nil {
		x.touched.row(TableEvals, uint64(job.Key))
	}
}

// DeleteNode removes the row of a node that has no allocation. Its identity stays:
// who may link is another question.
func (x *Txn) DeleteNode(n *Node) {
	x.t.nodes.Delete(n)
	x.t.nodeIDs.Delete(uuidEntry{id: n.ID})
	x.t.usage.Delete(usageEntry{node: n.Key})
	x.touchNode(n.Key)
}
