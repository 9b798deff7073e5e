package state

import "github.com/dunlin-edge/dunlin/fleet"

// Allocation assembles the API's form of a row.
func (v *View) Allocation(a *Alloc) *fleet.Allocation {
	spec := a.Version.Spec
	out := &fleet.Allocation{
		ID: fleet.AllocID(a.ID.String()), Namespace: spec.Namespace, EvalID: idOf[fleet.EvalID](a.Eval),
		Name: a.Name(), JobID: spec.ID, JobVersion: a.Version.Version, Job: v.versionView(a.Version),
		TaskGroup: a.GroupName(), AllocatedResources: v.resources(a),
		DesiredStatus: a.Desired.String(), ClientStatus: a.Observed.String(),
		PreviousAllocation: idOf[fleet.AllocID](a.Prev), NextAllocation: idOf[fleet.AllocID](a.Next),
		CreateIndex: a.CreateIndex, ModifyIndex: a.ModifyIndex, AllocModifyIndex: a.DesiredIndex,
		CreateTime: a.CreateTime, ModifyTime: a.ModifyTime,
	}
	if n := v.Node(a.Node); n != nil {
		out.NodeID, out.NodeName = fleet.NodeID(n.ID.String()), n.Spec.Name
		// A device that cannot be reached may have gone on or not: say so
		// instead of repeating what it last told.
		if n.Away() && (a.Observed == ObservedRunning || a.Observed == ObservedUnknown) && a.Desired == DesiredRun {
			out.ClientStatus = fleet.ClientUnknown
			out.ClientDescription = "the device is " + string(n.Link) + "; it was running when last heard of"
		}
	}
	if d := a.Detail; d != nil {
		v.addDetail(out, d)
	}
	if e := v.Eval(a.Eval); e != nil {
		for _, g := range e.Groups {
			if g.Group == out.TaskGroup {
				out.Metrics = g.Metric
			}
		}
	}
	return out
}

func (v *View) addDetail(out *fleet.Allocation, d *AllocDetail) {
	out.DesiredDescription = d.DesiredReason
	if out.ClientDescription == "" {
		out.ClientDescription = d.Description
	}
	out.FollowupEvalID = idOf[fleet.EvalID](d.Followup)
	out.PreemptedByAllocation = idOf[fleet.AllocID](d.PreemptedBy)
	for _, id := range d.Preempted {
		out.PreemptedAllocations = append(out.PreemptedAllocations, fleet.AllocID(id.String()))
	}
	if len(d.Past) > 0 {
		out.RescheduleTracker = &fleet.RescheduleTracker{Events: d.Past}
	}
	if tasks := d.Report.Tasks(); len(tasks) > 0 {
		out.TaskStates = make(map[string]*fleet.TaskState, len(tasks))
		for i := range tasks {
			out.TaskStates[tasks[i].Name] = tasks[i].ObservedTask.View()
		}
	}
}

func (v *View) versionView(ver *JobVersion) *fleet.Job {
	j := *ver.Spec
	j.Version, j.SubmitTime, j.ModifyIndex, j.JobModifyIndex = ver.Version, ver.SubmitTime, ver.Index, ver.Index
	if row := v.Job(ver.Job); row != nil {
		j.CreateIndex, j.Stop = row.CreateIndex, row.Stop
	}
	return &j
}

// JobView assembles the API's form of a job's current version.
func (v *View) JobView(j *Job) *fleet.Job {
	out := v.versionView(j.Current())
	out.Stop, out.CreateIndex = j.Stop, j.CreateIndex
	out.ModifyIndex, out.JobModifyIndex = j.ModifyIndex, j.JobModifyIndex
	out.Status, out.StatusDescription = v.jobStatus(j)
	return out
}

// JobVersionView assembles the API's form of one version.
func (v *View) JobVersionView(ver *JobVersion) *fleet.Job { return v.versionView(ver) }

// jobStatus derives a job's status: running while any allocation is not ended,
// pending while an evaluation is open, else dead for stopped jobs and for batch and
// sysbatch jobs that are through.
func (v *View) jobStatus(j *Job) (status, why string) {
	for a := range v.AllocsByJob(j.Key) {
		if a.Holds() {
			return fleet.JobStatusRunning, ""
		}
	}
	for e := range v.EvalsByJob(j.Namespace, j.ID) {
		if !e.Ended() {
			return fleet.JobStatusPending, ""
		}
	}
	if j.Stop {
		return fleet.JobStatusDead, "stopped"
	}
	switch j.Current().Spec.Type {
	case fleet.JobTypeBatch, fleet.JobTypeSysBatch:
		return fleet.JobStatusDead, ""
	case fleet.JobTypeSystem:
		return fleet.JobStatusRunning, "" // on every node that may run it, even if that is none
	}
	return fleet.JobStatusPending, ""
}

// GroupSummary counts a group's allocations by state.
type GroupSummary struct {
	Queued, Complete, Failed, Running, Starting, Lost, Unknown int
}

// Summary counts a job's allocations by group and state, the newest of each name
// counting, as the field shows it.
func (v *View) Summary(j *Job) map[string]GroupSummary {
	out := map[string]GroupSummary{}
	for _, g := range j.Current().Spec.TaskGroups {
		out[g.Name] = GroupSummary{}
	}
	for a := range v.AllocsByJob(j.Key) {
		s := out[a.GroupName()]
		v.count(&s, a)
		out[a.GroupName()] = s
	}
	var last *Eval
	for e := range v.EvalsByJob(j.Namespace, j.ID) {
		// Not the newest row: a blocked evaluation is taken up again in place.
		if len(e.Groups) > 0 && (last == nil || e.ModifyIndex >= last.ModifyIndex) {
			last = e
		}
	}
	if last != nil && !j.Stop {
		for _, g := range last.Groups {
			if s, ok := out[g.Group]; ok {
				s.Queued = g.Queued
				out[g.Group] = s
			}
		}
	}
	return out
}

func (v *View) count(s *GroupSummary, a *Alloc) {
	switch a.Observed {
	case ObservedPending:
		if a.Desired == DesiredRun {
			s.Starting++
		}
	case ObservedRunning:
		if n := v.Node(a.Node); n != nil && n.Away() {
			s.Unknown++
		} else {
			s.Running++
		}
	case ObservedComplete:
		s.Complete++
	case ObservedFailed:
		s.Failed++
	case ObservedLost:
		s.Lost++
	case ObservedUnknown:
		s.Unknown++
	}
}
