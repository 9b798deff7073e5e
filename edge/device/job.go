package device

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Job is a version of a job, read and ready to be carried out. It is immutable and may be shared by many devices.
type Job struct {
	Spec   *fleet.Job
	groups map[string]*group
}

type group struct {
	spec  *fleet.TaskGroup
	specs [2][]task.Spec // of those that may not, and may, exceed their memory
	needs []needs        // of each task
}

func (g *group) specsOf(exceeds bool) []task.Spec {
	if exceeds {
		return g.specs[1]
	}
	return g.specs[0]
}

// needs is what a task must have before it can start.
type needs struct {
	modules []config.ModuleRef
	problem string // not empty: it can never start
}

// Parser reads a job. The simulator brings one that remembers, because its devices run the same few jobs.
type Parser func(spec wire.JobSpec) (*Job, error)

// Parse reads a job as the region sends it.
func Parse(spec wire.JobSpec) (*Job, error) {
	var j fleet.Job
	if err := json.Unmarshal(spec.JSON, &j); err != nil {
		return nil, fmt.Errorf("job %s cannot be read: %w", spec.Key, err)
	}
	fleet.Canonicalize(&j)
	out := &Job{Spec: &j, groups: make(map[string]*group, len(j.TaskGroups))}
	for i := range j.TaskGroups {
		g := &j.TaskGroups[i]
		gr := &group{spec: g}
		for k := range g.Tasks {
			gr.specs[0] = append(gr.specs[0], task.SpecOf(j.Type, &g.Tasks[k], false))
			gr.specs[1] = append(gr.specs[1], task.SpecOf(j.Type, &g.Tasks[k], true))
			gr.needs = append(gr.needs, needsOf(&g.Tasks[k]))
		}
		out.groups[g.Name] = gr
	}
	return out, nil
}

func needsOf(t *fleet.Task) needs {
	refs, err := config.Modules(t.Driver, t.Config)
	switch {
	case errors.Is(err, config.ErrUnknownDriver):
		// A driver without a schema of its own names no modules. Whether this device has it, the runner knows.
		return needs{}
	case err != nil:
		return needs{problem: err.Error()}
	}
	for _, r := range refs {
		if r.Kind == config.ModuleLocal {
			return needs{problem: fmt.Sprintf("module %q is a path on somebody's machine; run the job with dunlin run, which pushes the file and writes its digest", r.Path)}
		}
	}
	return needs{modules: refs}
}

func (g *group) needsOf(name string) (*fleet.Task, needs) {
	for i := range g.spec.Tasks {
		if g.spec.Tasks[i].Name == name {
			return &g.spec.Tasks[i], g.needs[i]
		}
	}
	return nil, needs{problem: fmt.Sprintf("the job has no task %q any more", name)}
}

// heldJob is a job on this device, and how many allocations need it.
type heldJob struct {
	job   *Job
	users int
}

// hold reads a job and keeps it. The error is for the allocations that need it.
func (d *Device) hold(spec wire.JobSpec) error {
	if d.jobs[spec.Key] != nil {
		return nil
	}
	j, err := d.cfg.Parse(spec)
	if err != nil {
		return err
	}
	d.jobs[spec.Key] = &heldJob{job: j}
	return nil
}

// use binds an entry to a job's version and its group, releasing the one before.
func (d *Device) use(e *entry, key wire.JobKey) error {
	h := d.jobs[key]
	if h == nil {
		return fmt.Errorf("job %s is not on this device", key)
	}
	g := h.job.groups[e.Desired().Group]
	if g == nil {
		return fmt.Errorf("job %s has no group %q", key, e.Desired().Group)
	}
	h.users++
	d.release(e)
	e.key, e.job, e.group = key, h.job, g
	d.offline.minds = d.offline.minds || g.spec.StopAfter() > 0
	return nil
}

// release gives the entry's job up; the last user's job leaves the disk.
func (d *Device) release(e *entry) {
	if e.job == nil {
		return
	}
	h := d.jobs[e.key]
	if h.users--; h.users == 0 {
		delete(d.jobs, e.key)
		if !d.unsavedJob(e.key) {
			d.dropJobs, d.unsaved = append(d.dropJobs, e.key), true
		}
	}
	e.job, e.group = nil, nil
	d.out.pins = true // it may have been what a newer version would fall back to
}

// unsavedJob forgets a job that was to be written and reports whether there was one.
func (d *Device) unsavedJob(key wire.JobKey) bool {
	for i := range d.newJobs {
		if d.newJobs[i].Key == key {
			d.newJobs = append(d.newJobs[:i:i], d.newJobs[i+1:]...)
			return true
		}
	}
	return false
}
