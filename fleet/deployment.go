package fleet

import (
	"fmt"
	"slices"
	"time"
)

// Statuses of a deployment, the field's.
const (
	DeploymentRunning    = "running"
	DeploymentPaused     = "paused"
	DeploymentPending    = "pending"
	DeploymentSuccessful = "successful"
	DeploymentFailed     = "failed"
	DeploymentCancelled  = "cancelled"
)

// Deployment is the rollout of one version of a job. It decides nothing: whoever
// watches over it says so here, and placing follows.
type Deployment struct {
	ID                DeploymentID
	Namespace         string
	JobID             JobID
	JobVersion        uint64
	JobModifyIndex    uint64
	JobCreateIndex    uint64
	TaskGroups        map[string]*DeploymentState // those that it is about
	Status            string
	StatusDescription string
	CreateIndex       uint64
	ModifyIndex       uint64
	CreateTime        int64 // Unix nanoseconds
	ModifyTime        int64
}

// DeploymentState is how far the rollout of one group is.
type DeploymentState struct {
	AutoRevert        bool
	AutoPromote       bool
	ProgressDeadline  Duration
	RequireProgressBy time.Time
	Promoted          bool
	PlacedCanaries    []AllocID // of those that still count
	DesiredCanaries   int
	DesiredTotal      int
	PlacedAllocs      int
	HealthyAllocs     int
	UnhealthyAllocs   int
}

// Over reports whether nothing more will come of the deployment.
func (d *Deployment) Over() bool {
	return d.Status == DeploymentSuccessful || d.Status == DeploymentFailed || d.Status == DeploymentCancelled
}

// Holds reports whether nothing of the deployment's version may be placed.
func (d *Deployment) Holds() bool {
	return d.Status == DeploymentPaused || d.Status == DeploymentPending || d.Status == DeploymentFailed
}

// Canarying reports whether the group has canaries that nobody has promoted yet.
func (s *DeploymentState) Canarying() bool { return s != nil && s.DesiredCanaries > 0 && !s.Promoted }

// HasCanary reports whether an allocation is one of the group's canaries.
func (s *DeploymentState) HasCanary(id UUID) bool {
	return s != nil && len(s.PlacedCanaries) > 0 && slices.Contains(s.PlacedCanaries, AllocID(id.String()))
}

// Validate says what is wrong with the deployment of a version of a job; nil if
// nothing is.
func (d *Deployment) Validate(spec *Job) error {
	switch d.Status {
	case DeploymentRunning, DeploymentPaused, DeploymentPending, DeploymentSuccessful, DeploymentFailed, DeploymentCancelled:
	default:
		return fmt.Errorf("unknown status %q", d.Status)
	}
	if len(d.TaskGroups) == 0 {
		return fmt.Errorf("it is about no group")
	}
	groups := map[string]*TaskGroup{}
	for i := range spec.TaskGroups {
		groups[spec.TaskGroups[i].Name] = &spec.TaskGroups[i]
	}
	for _, name := range sortedKeys(d.TaskGroups) {
		s, path := d.TaskGroups[name], "TaskGroups["+name+"]"
		g := groups[name]
		switch {
		case g == nil:
			return fmt.Errorf("%s: version %d of job %s has no such group", path, d.JobVersion, d.JobID)
		case s == nil:
			return fmt.Errorf("%s: it says nothing", path)
		case s.DesiredCanaries < 0 || s.DesiredCanaries > *g.Count:
			return fmt.Errorf("%s.DesiredCanaries: %d is not from 0 to the count, %d", path, s.DesiredCanaries, *g.Count)
		case s.DesiredCanaries > 0 && !g.Replaced():
			return fmt.Errorf("%s.DesiredCanaries: a canary would be a second of its name, which the group never has (disconnect { replace = false })", path)
		}
	}
	return nil
}
