package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

type versionKey struct {
	job     JobKey
	version uint64
}

// loader builds tables from the records of a checkpoint.
type loader struct {
	x        *Txn
	versions map[versionKey]*JobVersion
	founded  bool // the region's record was read
}

func newLoader() *loader {
	return &loader{x: &Txn{View: View{t: newTables()}}, versions: map[versionKey]*JobVersion{}}
}

func (l *loader) load(body []byte) error {
	r, t := codec.NewReader(body[1:]), l.x.t
	if l.founded == (body[0] == recRegion) {
		return errors.New("the region's record must come first, and once")
	}
	switch body[0] {
	case recRegion:
		l.founded = true
		t.readRegion(r)
		return r.Close()
	case recNode:
		n, err := readNode(r)
		if err != nil {
			return err
		}
		n.derive(nil)
		t.nodes.Set(n)
		t.nodeIDs.Set(uuidEntry{n.ID, uint64(n.Key)})
		return nil
	case recRegionX, recNodeX:
		return l.extras(body)
	case recVersion:
		v, err := readVersion(r)
		if err != nil {
			return err
		}
		l.versions[versionKey{v.Job, v.Version}] = v
		return nil
	case recJob:
		return l.job(r)
	case recEval:
		e := ReadEval(r)
		e.Key = EvalKey(r.Uint())
		l.eval(&e)
		return r.Close()
	case recAlloc:
		a, err := l.readAlloc(r)
		if err != nil {
			return err
		}
		l.alloc(a)
		return nil
	case recModule:
		var m fleet.Module
		if err := json.Unmarshal(body[1:], &m); err != nil {
			return err
		}
		t.modules.Set(m)
		return nil
	case recInvite:
		var i fleet.Invite
		if err := json.Unmarshal(body[1:], &i); err != nil {
			return err
		}
		t.invites.Set(i)
		return nil
	}
	switch body[0] {
	case recIdentity:
		return l.identity(body[1:])
	case recNodePool:
		return l.pool(body[1:])
	case recDeployment:
		return l.deployment(body[1:])
	case recScheduler:
		return l.scheduler(body[1:])
	case recExceeds:
		return l.exceeds(codec.NewReader(body[1:]))
	case recGranted:
		return l.granted(r)
	}
	return fmt.Errorf("unknown record kind %d; it was written by a newer version", body[0])
}

// extras adds what stands in a record of its own to the row before.
func (l *loader) extras(body []byte) error {
	if body[0] == recRegionX {
		var x regionExtras
		if err := json.Unmarshal(body[1:], &x); err != nil {
			return err
		}
		if len(x.Marks) > MarksMax || x.Dropped && len(x.Marks) == 0 {
			return fmt.Errorf("the region has %d marks; at most %d", len(x.Marks), MarksMax)
		}
		r := &l.x.t.region
		r.Raised, r.Marks, r.Dropped, r.Brake = x.Raised, x.Marks, x.Dropped, x.Brake
		return nil
	}
	var x nodeExtras
	if err := json.Unmarshal(body[1:], &x); err != nil {
		return err
	}
	n := l.x.Node(x.Key)
	if n == nil {
		return fmt.Errorf("extras name node %d, which the checkpoint lacks", x.Key)
	}
	n.AwaySince, n.Orphans, n.Drain = x.AwaySince, x.Orphans, x.Drain
	return nil
}

func (l *loader) job(r *codec.Reader) error {
	j := &Job{Key: JobKey(r.Uint()), Namespace: r.String("a namespace", wordMax), ID: fleet.JobID(r.String("a job", wordMax))}
	j.Stop, j.CreateIndex, j.ModifyIndex, j.JobModifyIndex = r.Bool(), r.Uint(), r.Uint(), r.Uint()
	for range r.Count("versions", JobVersionsMax, 1) {
		v := l.versions[versionKey{j.Key, r.Uint()}]
		if v == nil {
			return fmt.Errorf("job %s names a version that the checkpoint lacks", j.ID)
		}
		j.Versions = append(j.Versions, v)
	}
	if err := r.Close(); err != nil {
		return err
	}
	if len(j.Versions) == 0 {
		return fmt.Errorf("job %s has no version", j.ID)
	}
	l.x.t.jobs.Set(j)
	l.x.t.jobNames.Set(jobEntry{jobName{j.Namespace, j.ID}, j.Key})
	l.x.t.indexPerNode(j)
	return nil
}

func (l *loader) eval(e *Eval) {
	t := l.x.t
	t.evals.Set(e)
	t.evalIDs.Set(uuidEntry{e.ID, uint64(e.Key)})
	t.evalsByJob.Set(evalEntry{jobName{e.Namespace, e.Job}, e.Key})
	if !e.Ended() {
		t.openEvals.Set(e.Key)
	}
}

func (l *loader) alloc(a *Alloc) {
	t := l.x.t
	t.allocs.Set(a)
	t.allocIDs.Set(uuidEntry{a.ID, uint64(a.Key)})
	t.allocsByNode.Set(pair{uint32(a.Node), uint64(a.Key)})
	t.allocsByJob.Set(pair{uint32(a.Version.Job), uint64(a.Key)})
	if a.Holds() {
		l.x.addUsage(a.Node, a.Ask(), 1)
	}
}

// exceeds marks an allocation that was read before. Nobody else has seen its row yet.
func (l *loader) exceeds(r *codec.Reader) error {
	key := AllocKey(r.Uint())
	if err := r.Close(); err != nil {
		return err
	}
	a, ok := l.x.t.allocs.Get(&Alloc{Key: key})
	if !ok {
		return fmt.Errorf("allocation %d may exceed its memory, and the checkpoint lacks it", key)
	}
	a.Exceeds = true
	return nil
}

func (l *loader) finish() (*View, error) {
	if !l.founded {
		return nil, fmt.Errorf("%w: it has no region's record", ErrCheckpoint)
	}
	return &View{t: l.x.t, forks: new(sync.Mutex)}, nil
}
