package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// askMax bounds what one group may ask for, in MHz or MiB, so that sums over a
// region stay far from overflow.
const askMax = 1 << 32

// purgeReason is why a purge stopped an allocation.
const purgeReason = "job purged"

// JobRegistered is the result of [JobRegister].
type JobRegistered struct {
	JobIndex uint64 // JobModifyIndex
	Version  uint64
	EvalID   fleet.UUID
	Changed  bool // a new version was made
}

func applyJobRegister(x *state.Txn, index uint64, c JobRegister) (JobRegistered, error) {
	spec, err := readSpec(c.Spec)
	if err != nil {
		return JobRegistered{}, err
	}
	if err := checkPool(x, spec); err != nil {
		return JobRegistered{}, err
	}
	old := x.JobByID(spec.Namespace, spec.ID)
	if err := checkJobIndex(c, spec.ID, old); err != nil {
		return JobRegistered{}, err
	}
	if err := newEvalID(x, c.EvalID); err != nil {
		return JobRegistered{}, err
	}
	row, changed := old, false
	if old == nil || old.Stop || !bytes.Equal(old.Current().JSON, c.Spec) {
		row, changed = putVersion(x, index, old, spec, c), true
	}
	x.PutEval(pendingEval(row, c.EvalID, fleet.TriggerJobRegister, c.At), index)
	return JobRegistered{row.JobModifyIndex, row.Current().Version, c.EvalID, changed}, nil
}

func checkJobIndex(c JobRegister, id fleet.JobID, old *state.Job) error {
	have := uint64(0)
	if old != nil {
		have = old.JobModifyIndex
	}
	if c.CheckIndex && have != c.JobIndex {
		return fmt.Errorf("job %s: %w: its index is %d, expected %d", id, ErrCheckIndex, have, c.JobIndex)
	}
	return nil
}

// putVersion stores the bytes as they came. To make them canonical here was
// rejected: what counts as equal would then change with the program's version,
// and servers of two versions would number a job's versions differently.
func putVersion(x *state.Txn, index uint64, old *state.Job, spec *fleet.Job, c JobRegister) *state.Job {
	raw := bytes.Clone(c.Spec) // the entry belongs to the log
	j := state.Job{Namespace: spec.Namespace, ID: spec.ID, JobModifyIndex: index}
	if old == nil {
		j.Versions = []*state.JobVersion{state.NewJobVersion(x.NextJobKey(), 0, spec, raw, c.At, index)}
	} else {
		v := state.NewJobVersion(old.Key, old.Current().Version+1, spec, raw, c.At, index)
		j.Versions = append([]*state.JobVersion{v}, old.Versions...)
	}
	return x.PutJob(j, index)
}

// readSpec decodes a job and checks what the state relies on. Whether the job
// makes sense was fleet.Validate's question, before it was proposed.
func readSpec(raw []byte) (*fleet.Job, error) {
	var j fleet.Job
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, fmt.Errorf("%w: the job: %v", ErrInvalid, err)
	}
	spec := j.Spec()
	fleet.Canonicalize(spec)
	switch {
	case spec.ID == "" || len(spec.ID) > fleet.JobIDBytesMax:
		return nil, fmt.Errorf("%w: the job's ID has %d bytes; 1 to %d are allowed", ErrInvalid, len(spec.ID), fleet.JobIDBytesMax)
	case len(spec.Namespace) > wordMax || len(spec.Type) > wordMax:
		return nil, fmt.Errorf("%w: job %s: namespace or type is longer than %d bytes", ErrInvalid, spec.ID, wordMax)
	case len(spec.TaskGroups) == 0 || len(spec.TaskGroups) > fleet.GroupsMax:
		return nil, fmt.Errorf("%w: job %s has %d groups; 1 to %d are allowed", ErrInvalid, spec.ID, len(spec.TaskGroups), fleet.GroupsMax)
	case *spec.Priority < 0 || *spec.Priority > fleet.JobPriorityMax:
		return nil, fmt.Errorf("%w: job %s has priority %d", ErrInvalid, spec.ID, *spec.Priority)
	}
	seen := map[string]bool{}
	for i := range spec.TaskGroups {
		if err := checkGroup(spec.ID, &spec.TaskGroups[i], seen); err != nil {
			return nil, err
		}
	}
	return spec, nil
}

func checkGroup(job fleet.JobID, g *fleet.TaskGroup, seen map[string]bool) error {
	ask := g.Ask()
	switch {
	case g.Name == "" || len(g.Name) > fleet.JobIDBytesMax || seen[g.Name]:
		return fmt.Errorf("%w: job %s: a group's name %q is empty, too long or stands twice", ErrInvalid, job, g.Name)
	case *g.Count < 0 || *g.Count > fleet.GroupCountMax:
		return fmt.Errorf("%w: job %s: group %s has count %d", ErrInvalid, job, g.Name, *g.Count)
	case len(g.Tasks) > fleet.TasksMax:
		return fmt.Errorf("%w: job %s: group %s has %d tasks; at most %d", ErrInvalid, job, g.Name, len(g.Tasks), fleet.TasksMax)
	case min(ask.CPU, ask.MemoryMB, ask.DiskMB) < 0 || max(ask.CPU, ask.MemoryMB, ask.DiskMB) > askMax:
		return fmt.Errorf("%w: job %s: group %s asks for %d MHz, %d MiB and %d MiB of disk", ErrInvalid, job, g.Name, ask.CPU, ask.MemoryMB, ask.DiskMB)
	}
	seen[g.Name] = true
	return nil
}

// JobDeregistered is the result of [JobDeregister].
type JobDeregistered struct {
	JobIndex uint64
	EvalID   fleet.UUID
	Stopped  int // allocations that a purge stopped
}

func applyJobDeregister(x *state.Txn, index uint64, c JobDeregister) (JobDeregistered, error) {
	j, err := findJob(x, c.Namespace, c.ID)
	if err != nil {
		return JobDeregistered{}, err
	}
	if err := newEvalID(x, c.EvalID); err != nil {
		return JobDeregistered{}, err
	}
	stopped := *j
	stopped.Stop, stopped.JobModifyIndex = true, index
	row := x.PutJob(stopped, index)
	x.PutEval(pendingEval(row, c.EvalID, fleet.TriggerJobDeregister, c.At), index)
	out := JobDeregistered{JobIndex: index, EvalID: c.EvalID}
	if c.Purge {
		out.Stopped = stopAll(x, index, row.Key, c.At)
		x.DeleteJob(row)
	}
	return out, nil
}

// stopAll ends what a purged job has left: the scheduler finds allocations by
// the job's row, which is about to go.
func stopAll(x *state.Txn, index uint64, key state.JobKey, at int64) int {
	stopped := 0
	for _, a := range slices.Collect(x.AllocsByJob(key)) {
		if a.Desired != state.DesiredRun {
			continue
		}
		x.UpdateAlloc(a, stopRow(a, state.DesiredStop, purgeReason, index, at), index)
		stopped++
	}
	return stopped
}

// stopRow is the row of a stopped allocation.
func stopRow(a *state.Alloc, desired state.Desired, reason string, index uint64, at int64) state.Alloc {
	c := *a
	c.Desired, c.DesiredIndex, c.ModifyTime = desired, index, at
	d := detail(a)
	d.DesiredReason = reason
	c.Detail = &d
	return c
}

func detail(a *state.Alloc) state.AllocDetail {
	if a.Detail == nil {
		return state.AllocDetail{}
	}
	return *a.Detail
}

// JobEvaluated is the result of [JobEvaluate].
type JobEvaluated struct {
	JobIndex uint64
	EvalID   fleet.UUID
}

func applyJobEvaluate(x *state.Txn, index uint64, c JobEvaluate) (JobEvaluated, error) {
	j, err := findJob(x, c.Namespace, c.ID)
	if err != nil {
		return JobEvaluated{}, err
	}
	if err := newEvalID(x, c.EvalID); err != nil {
		return JobEvaluated{}, err
	}
	x.PutEval(pendingEval(j, c.EvalID, fleet.TriggerJobRegister, c.At), index)
	return JobEvaluated{j.JobModifyIndex, c.EvalID}, nil
}

func findJob(x *state.Txn, namespace string, id fleet.JobID) (*state.Job, error) {
	j := x.JobByID(namespace, id)
	if j == nil {
		return nil, fmt.Errorf("job %s in namespace %s: %w", id, namespace, ErrNoSuchJob)
	}
	return j, nil
}
