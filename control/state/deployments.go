package state

import (
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"

	"github.com/dunlin-edge/dunlin/fleet"
)

// DeploymentsKeptMax is how many deployments of a job are kept, the newest ones.
const DeploymentsKeptMax = JobVersionsMax

// Deployment is the row of a rollout. Rows are few, and are kept as the noun that
// the API shows.
type Deployment struct {
	ID   fleet.UUID
	Job  JobKey
	Spec *fleet.Deployment // never changed in place
}

func deploymentLess(a, b *Deployment) bool {
	if a.Job != b.Job {
		return a.Job < b.Job
	}
	if a.Spec.CreateIndex != b.Spec.CreateIndex {
		return a.Spec.CreateIndex < b.Spec.CreateIndex
	}
	return uuidLess(uuidEntry{id: a.ID}, uuidEntry{id: b.ID})
}

// Deployments yields those of a job, oldest first.
func (v *View) Deployments(job JobKey) iter.Seq[*Deployment] {
	return func(yield func(*Deployment) bool) {
		for d := range from(v.t.deployments, &Deployment{Job: job, Spec: &fleet.Deployment{}}) {
			if d.Job != job || !yield(d) {
				return
			}
		}
	}
}

// Deployment finds one by its ID, or returns nil.
func (v *View) Deployment(id fleet.UUID) *Deployment {
	e, ok := v.t.deploymentIDs.Get(uuidEntry{id: id})
	if !ok {
		return nil
	}
	for d := range v.Deployments(JobKey(e.key)) {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// DeploymentOf is the newest deployment of a job's current version, or nil. One of
// an older version says nothing about what the job wants now.
func (v *View) DeploymentOf(j *Job) (newest *Deployment) {
	if v.t.deployments.Len() == 0 {
		return nil
	}
	for d := range v.Deployments(j.Key) {
		if d.Spec.JobVersion == j.Current().Version {
			newest = d
		}
	}
	return newest
}

// PutDeployment inserts or updates a deployment by ID, and drops the oldest of a
// job that has too many.
func (x *Txn) PutDeployment(d Deployment, index uint64) *Deployment {
	spec := *d.Spec
	spec.CreateIndex, spec.ModifyIndex = index, index
	if old := x.Deployment(d.ID); old != nil {
		spec.CreateIndex, spec.CreateTime = old.Spec.CreateIndex, old.Spec.CreateTime
		x.deleteDeployment(old)
	}
	d.Spec = &spec
	x.t.setDeployment(&d)
	rows := slices.Collect(x.Deployments(d.Job))
	for _, old := range rows[:max(0, len(rows)-DeploymentsKeptMax)] {
		x.deleteDeployment(old)
	}
	x.touched.tables[TableDeployments] = true
	return &d
}

func (t *tables) setDeployment(d *Deployment) {
	t.deployments.Set(d)
	t.deploymentIDs.Set(uuidEntry{d.ID, uint64(d.Job)})
}

func (x *Txn) deleteDeployment(d *Deployment) {
	x.t.deployments.Delete(d)
	x.t.deploymentIDs.Delete(uuidEntry{id: d.ID})
	x.touched.tables[TableDeployments] = true
}

// PlaceCanaries adds canaries to a group of a deployment, and forgets those that
// have a successor or have ended for good.
func (x *Txn) PlaceCanaries(d *Deployment, group string, ids []fleet.UUID, index uint64) *Deployment {
	s := *d.Spec.TaskGroups[group]
	var kept []fleet.AllocID
	for _, id := range s.PlacedCanaries {
		u, err := fleet.ParseUUID(string(id))
		a := x.AllocByID(u)
		if err == nil && a != nil && a.Next.IsZero() && (a.Desired == DesiredRun || !a.Observed.Terminal() || a.Observed == ObservedLost) {
			kept = append(kept, id)
		}
	}
	for _, id := range ids {
		kept = append(kept, fleet.AllocID(id.String()))
	}
	s.PlacedCanaries = kept
	spec := *d.Spec
	spec.TaskGroups = maps.Clone(spec.TaskGroups)
	spec.TaskGroups[group] = &s
	return x.PutDeployment(Deployment{ID: d.ID, Job: d.Job, Spec: &spec}, index)
}

// deploymentRecord is a row in a checkpoint; they are few.
type deploymentRecord struct {
	Job  JobKey
	Spec *fleet.Deployment
}

func (l *loader) deployment(body []byte) error {
	var r deploymentRecord
	if err := json.Unmarshal(body, &r); err != nil {
		return err
	}
	if r.Spec == nil {
		return errors.New("a deployment is empty")
	}
	id, err := fleet.ParseUUID(string(r.Spec.ID))
	if err != nil {
		return err
	}
	for name, s := range r.Spec.TaskGroups {
		if s == nil {
			return errors.New("a deployment says nothing of group " + name)
		}
	}
	l.x.t.setDeployment(&Deployment{ID: id, Job: r.Job, Spec: r.Spec})
	return nil
}
