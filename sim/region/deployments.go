package region

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// watch plays the one who watches over deployments: it makes them, promotes, pauses
// and fails them at random, and in the end lets all go on.
func (u *users) watch() {
	again := u.s.between(time.Second, 6*time.Second)
	if u.s.server.up {
		for j := range u.s.server.store.View().Jobs() {
			if j.Current().Spec.Type == fleet.JobTypeService && !j.Stop && j.Current().Spec.TaskGroups[0].Step() > 0 {
				u.watchOver(j)
			}
		}
	}
	u.s.after(again, "deployments are looked at", u.watch)
}

// rollOut makes a deployment of a version that was just registered, often before
// anything of it is placed.
func (u *users) rollOut(spec *fleet.Job) {
	if spec.Type != fleet.JobTypeService || spec.TaskGroups[0].Update == nil || !u.s.chance(500) {
		return
	}
	u.s.after(u.s.between(time.Millisecond, 20*time.Millisecond), "a version is rolled out", func() {
		v := u.s.server.store.View()
		if j := v.JobByID(fleet.DefaultNamespace, spec.ID); u.s.server.up && j != nil && !j.Stop && j.Current().Version > 0 && v.DeploymentOf(j) == nil && j.Current().Spec.TaskGroups[0].Step() > 0 {
			u.deploy(j)
		}
	})
}

func (u *users) watchOver(j *state.Job) {
	d := u.s.server.store.View().DeploymentOf(j)
	switch {
	case d == nil && !u.s.calm && j.Current().Version > 0 && u.s.chance(250):
		u.deploy(j)
	case d == nil || d.Spec.Over():
	case u.s.calm && (d.Spec.Holds() || d.Spec.TaskGroups["g"].Canarying()):
		u.tell(d, fleet.DeploymentRunning, "g")
	case u.s.calm:
	case u.s.chance(150):
		u.tell(d, fleet.DeploymentRunning, "g")
	case u.s.chance(100):
		u.tell(d, []string{fleet.DeploymentPaused, fleet.DeploymentPaused, fleet.DeploymentRunning, fleet.DeploymentRunning, fleet.DeploymentFailed}[u.s.rng.IntN(5)])
	}
}

func (u *users) deploy(j *state.Job) {
	g := &j.Current().Spec.TaskGroups[0]
	count, canaries := *g.Count, 0
	if g.Replaced() {
		canaries = min(count, u.s.rng.IntN(4))
	}
	d := fleet.Deployment{
		ID: fleet.DeploymentID(u.s.uuid().String()), Namespace: j.Namespace, JobID: j.ID, JobVersion: j.Current().Version, Status: fleet.DeploymentRunning,
		TaskGroups: map[string]*fleet.DeploymentState{"g": {DesiredCanaries: canaries, DesiredTotal: count}},
	}
	raw, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	u.send(fmt.Sprintf("rolls out version %d of %s with %d canaries", d.JobVersion, j.ID, d.TaskGroups["g"].DesiredCanaries),
		command.DeploymentPut{Deployment: raw, EvalID: u.s.uuid(), At: u.s.now.UnixNano()})
}

func (u *users) tell(d *state.Deployment, status string, promote ...string) {
	u.send(fmt.Sprintf("says that the rollout of %s is %s, promotes %v", d.Spec.JobID, status, promote),
		command.DeploymentStatus{ID: d.ID, Status: status, Promote: promote, EvalID: u.s.uuid(), At: u.s.now.UnixNano()})
}

// rolled objects to a plan that does what its job's deployment holds back: places the
// new version, puts it in the place of what runs, or makes more canaries than are
// wanted. What the plan could not know it is not blamed for.
func (c *checks) rolled(before, after *state.View, p *command.Plan, index uint64) {
	j := before.JobByID(p.Namespace, p.Job)
	if j == nil || j.Stop || j.Current().Version != p.Version {
		return
	}
	d := before.DeploymentOf(j)
	if d == nil || d.Spec.ModifyIndex > p.Snapshot || d.Spec.Status == fleet.DeploymentSuccessful {
		return
	}
	for i := range p.Groups {
		g := &p.Groups[i]
		if g.Back > 0 {
			continue
		}
		s := d.Spec.TaskGroups[j.Current().Spec.TaskGroups[g.Group].Name]
		if d.Spec.Holds() && len(g.IDs) > 0 {
			c.s.object("entry %d places %d of version %d of job %s, whose deployment is %s", index, len(g.IDs), p.Version, j.ID, d.Spec.Status)
		}
		for _, prev := range g.Prevs {
			if a := before.AllocByID(prev.Alloc); s.Canarying() && a != nil && a.Holds() && a.Version != j.Current() && !s.HasCanary(a.ID) && before.Node(a.Node).Link != fleet.LinkLost {
				c.s.object("entry %d replaces %s (%s) of version %d by version %d, which nobody promoted", index, a.Name(), short(a.ID), a.Version.Version, p.Version)
			}
		}
	}
	for name, s := range after.Deployment(d.ID).Spec.TaskGroups { // there is one
		n := 0
		for a := range after.AllocsByJob(j.Key) {
			if a.Holds() && a.Next.IsZero() && a.Observed != state.ObservedUnknown && s.HasCanary(a.ID) {
				n++
			}
		}
		if s.Canarying() && n > s.DesiredCanaries {
			c.s.object("entry %d: %d canaries of group %s of job %s live; %d are wanted", index, n, name, j.ID, s.DesiredCanaries)
		}
	}
}

// canary reports whether a row is or was a canary of its job's current version, which
// shares its name with what it replaces.
func canary(v *state.View, row *state.Alloc) bool {
	j := v.Job(row.Version.Job)
	if j == nil {
		return false
	}
	for d := range v.Deployments(j.Key) {
		if d.Spec.TaskGroups[row.GroupName()].HasCanary(row.ID) {
			return true
		}
	}
	return false
}

// heldBack reports whether a deployment of the job's current version holds its update
// up.
func heldBack(v *state.View, j *state.Job) bool {
	d := v.DeploymentOf(j)
	return d != nil && d.Spec.Holds()
}
