package state

import (
	"fmt"
	"slices"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// PutNode inserts or updates a node by ID and returns its row. n.Key is ignored.
func (x *Txn) PutNode(n Node, index uint64) *Node {
	old := x.NodeByID(n.ID)
	n.derive(old)
	if old != nil {
		n.Key, n.CreateIndex = old.Key, old.CreateIndex
		if n.Identity == nil {
			n.Identity = old.Identity // an identity is never taken away
		}
	} else {
		n.Key, n.CreateIndex = x.t.nextNode, index
		n.Identity = x.Identity(fleet.PeerOfNode(n.ID))
		x.t.nextNode++
		x.t.nodeIDs.Set(uuidEntry{n.ID, uint64(n.Key)})
	}
	n.ModifyIndex = index
	x.t.nodes.Set(&n)
	x.touchNode(n.Key)
	return &n
}

func (x *Txn) touchNode(k NodeKey) {
	x.touched.tables[TableNodes] = true
	x.touched.row(TableNodes, uint64(k))
}

// PutJob inserts or updates a job by namespace and ID and returns its row.
// j.Key must be zero for a new job, and then NextJobKey tells the key its
// versions must carry.
func (x *Txn) PutJob(j Job, index uint64) *Job {
	if old := x.JobByID(j.Namespace, j.ID); old != nil {
		j.Key, j.CreateIndex = old.Key, old.CreateIndex
	} else {
		j.Key, j.CreateIndex = x.t.nextJob, index
		x.t.nextJob++
		x.t.jobNames.Set(jobEntry{jobName{j.Namespace, j.ID}, j.Key})
	}
	j.ModifyIndex = index
	if len(j.Versions) > JobVersionsMax {
		j.Versions = j.Versions[:JobVersionsMax:JobVersionsMax]
	}
	x.t.jobs.Set(&j)
	x.t.indexPerNode(&j)
	x.touchJob(j.Key)
	return &j
}

// indexPerNode keeps the few jobs in sight that a new node concerns.
func (t *tables) indexPerNode(j *Job) {
	if fleet.PerNode(j.Current().Spec.Type) && !j.Stop {
		t.perNode.Set(j.Key)
	} else {
		t.perNode.Delete(j.Key)
	}
}

// NextJobKey is the key the next new job gets.
func (x *Txn) NextJobKey() JobKey { return x.t.nextJob }

// DeleteJob removes a job's row, and its deployments. Its allocations keep their versions.
func (x *Txn) DeleteJob(j *Job) {
	x.t.jobs.Delete(j)
	x.t.jobNames.Delete(jobEntry{jobName: jobName{j.Namespace, j.ID}})
	x.t.perNode.Delete(j.Key)
	for _, d := range slices.Collect(x.Deployments(j.Key)) {
		x.deleteDeployment(d)
	}
	x.touchJob(j.Key)
}

func (x *Txn) touchJob(k JobKey) {
	x.touched.tables[TableJobs] = true
	x.touched.row(TableJobs, uint64(k))
}

// PutEval inserts or updates an evaluation by ID and returns its row.
func (x *Txn) PutEval(e Eval, index uint64) *Eval {
	if old := x.Eval(e.ID); old != nil {
		e.Key, e.CreateIndex, e.CreateTime = old.Key, old.CreateIndex, old.CreateTime
	} else {
		e.Key, e.CreateIndex = x.t.nextEval, index
		x.t.nextEval++
		x.t.evalIDs.Set(uuidEntry{e.ID, uint64(e.Key)})
		x.t.evalsByJob.Set(evalEntry{jobName{e.Namespace, e.Job}, e.Key})
	}
	e.ModifyIndex = index
	x.t.evals.Set(&e)
	if e.Ended() {
		x.t.openEvals.Delete(e.Key)
	} else {
		x.t.openEvals.Set(e.Key)
	}
	x.touched.tables[TableEvals] = true
	if job := x.JobByID(e.Namespace, e.Job); job != nil {
		x.touched.row(TableEvals, uint64(job.Key))
	}
	return &e
}

// InsertAllocs adds new allocations, whose Key it sets, in order. An ID that is
// taken or stands twice is an error, and then nothing was added. Keys rise, so the
// main tree and the job's index append at one place.
func (x *Txn) InsertAllocs(rows []*Alloc, index uint64) error {
	seen := make(map[fleet.UUID]struct{}, len(rows))
	for _, a := range rows {
		_, twice := seen[a.ID]
		if _, taken := x.t.allocIDs.Get(uuidEntry{id: a.ID}); taken || twice {
			return fmt.Errorf("allocation %s exists already", a.ID)
		}
		seen[a.ID] = struct{}{}
	}
	sum := usageEntry{} // of rows in a row on one node, as best fit places them
	for _, a := range rows {
		a.Key = x.t.nextAlloc
		x.t.nextAlloc++
		a.CreateIndex, a.ModifyIndex, a.DesiredIndex = index, index, index
		x.t.allocs.Set(a)
		x.t.allocIDs.Set(uuidEntry{a.ID, uint64(a.Key)})
		x.t.allocsByNode.Set(pair{uint32(a.Node), uint64(a.Key)})
		x.t.allocsByJob.Set(pair{uint32(a.Version.Job), uint64(a.Key)})
		if a.Holds() {
			if sum.node != a.Node {
				x.putUsage(sum)
				sum = usageEntry{a.Node, x.Usage(a.Node)}
			}
			sum.Usage = sum.add(a.Ask(), 1)
		}
		x.touchAlloc(a)
	}
	x.putUsage(sum)
	return nil
}

func (x *Txn) putUsage(e usageEntry) {
	if e.node != 0 { // keys begin at 1
		x.t.usage.Set(e)
	}
}

// UpdateAlloc replaces a row with a changed copy of it and keeps the sums right.
// A change of what the device is told must also set DesiredIndex.
func (x *Txn) UpdateAlloc(old *Alloc, changed Alloc, index uint64) {
	changed.ModifyIndex = index
	if old.Holds() != changed.Holds() {
		x.holdGranted(&changed)
	}
	if takes := changed.Holds(); takes != old.Holds() || changed.Node != old.Node || changed.Ask() != old.Ask() {
		x.moveUsage(old, &changed, index)
	}
	x.t.allocs.Set(&changed)
	x.touchAlloc(&changed)
}

// moveUsage takes what a row used from the sums and adds what it uses now. Most changes, such as a report that it runs, change neither.
func (x *Txn) moveUsage(old, changed *Alloc, index uint64) {
	if old.Holds() {
		x.addUsage(old.Node, old.Ask(), -1)
	}
	if changed.Holds() {
		x.addUsage(changed.Node, changed.Ask(), 1)
	} else if old.Holds() {
		x.Freed(old.Node, index)
	}
}

func (x *Txn) addUsage(k NodeKey, a fleet.Ask, sign int64) {
	x.t.usage.Set(usageEntry{k, x.Usage(k).add(a, sign)})
}

// Freed notes that the node can take more since index, which is what wakes
// blocked evaluations.
func (x *Txn) Freed(k NodeKey, index uint64) {
	n := x.Node(k)
	if n == nil || n.CapacityAt == index {
		return
	}
	c := *n
	c.CapacityAt = index
	x.t.nodes.Set(&c)
}

func (x *Txn) touchAlloc(a *Alloc) {
	x.touched.tables[TableAllocs] = true
	if a.DesiredIndex == a.ModifyIndex {
		x.touched.row(TableNodeAllocs, uint64(a.Node))
	}
	x.touched.row(TableJobAllocs, uint64(a.Version.Job))
}

// PutModule records a module the region holds.
func (x *Txn) PutModule(m fleet.Module) {
	x.t.modules.Set(m)
	x.touched.tables[TableModules] = true
}

// PutInvite records an invite.
func (x *Txn) PutInvite(i fleet.Invite) {
	x.t.invites.Set(i)
	x.touched.tables[TableInvites] = true
}

// DeleteInvite removes an invite.
func (x *Txn) DeleteInvite(hash string) {
	x.t.invites.Delete(fleet.Invite{TokenHash: hash})
	x.touched.tables[TableInvites] = true
}

// SetObserved merges what a device reported into a row's copy. It reports false
// when nothing changed, so that a repeated report costs no write.
func SetObserved(a Alloc, s *wire.AllocStatus, at int64) (Alloc, bool, error) {
	o, err := ParseObserved(s.Status)
	if err != nil {
		return a, false, err
	}
	d, report := AllocDetail{}, ReportOf(s.Tasks)
	if a.Detail != nil {
		d = *a.Detail
	}
	if a.Observed == o && d.Description == s.Description && d.Report == report {
		return a, false, nil
	}
	d.Description, d.Report = s.Description, report
	a.Observed, a.Detail, a.ModifyTime = o, &d, at
	return a, true, nil
}
