package runner

import (
	"fmt"
	"maps"
	"path/filepath"
	"strconv"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/fleet"
)

// build makes the driver's value of a task. Its error is final: a reference that nothing knows.
func (r *Runner) build(a device.StartTask) (driver.Task, error) {
	dir := r.allocDir(a.Alloc)
	t := driver.Task{
		ID: taskID(a.Instance), Attempt: a.Attempt, AllocID: a.Alloc.String(), Name: a.Instance.Task,
		AllocDir:        filepath.Join(dir, "alloc"),
		LogDir:          r.logDir(a.Alloc),
		TaskDir:         filepath.Join(dir, a.Instance.Task, "local"),
		LogMaxFiles:     *a.Task.LogConfig.MaxFiles,
		LogMaxFileBytes: int64(*a.Task.LogConfig.MaxFileSizeMB) << 20,
		CPUMHz:          *a.Task.Resources.CPU,
		MemoryBytes:     int64(a.Task.Resources.MemoryLimitMB(a.Exceeds)) << 20,
		Artifacts:       make(map[string]string, len(a.Modules)),
	}
	given, known, err := r.given(a, &t)
	if err != nil {
		return t, err
	}
	env := maps.Clone(given)
	for _, k := range sortedKeys(a.Task.Env) {
		if env[k], err = fleet.Interpolate(a.Task.Env[k], known(given)); err != nil { // not by what env itself says: a map has no order
			return t, fmt.Errorf("env %s of task %q: %w", k, t.Name, err)
		}
	}
	config, err := fleet.InterpolateJSON(a.Task.Config, known(env))
	if err != nil {
		return t, fmt.Errorf("config of task %q: %w", t.Name, err)
	}
	t.Env, t.Config = env, config
	return t, nil
}

// given is the environment that a task has before its own: what fleet.TaskVariables says, and its driver's. known looks up references
// where the variables are env.
func (r *Runner) given(a device.StartTask, t *driver.Task) (env map[string]string, known func(env map[string]string) fleet.Lookup, err error) {
	node, s := r.opts.Node(), r.opts.Settings[a.Task.Driver]
	known = func(env map[string]string) fleet.Lookup { return references(node, r.opts.Region, env) }
	env = maps.Clone(s.Env)
	if env == nil {
		env = map[string]string{}
	}
	tell := func(name, value string) {
		for _, prefix := range fleet.VariablePrefixes {
			env[prefix+name] = value
		}
	}
	for name, value := range map[string]string{
		"ALLOC_ID":       t.AllocID,
		"SHORT_ALLOC_ID": fleet.ShortID(t.AllocID),
		"ALLOC_NAME":     a.Name,
		"ALLOC_INDEX":    strconv.FormatUint(uint64(a.Index), 10),
		"TASK_NAME":      t.Name,
		"GROUP_NAME":     a.Group.Name,
		"JOB_ID":         string(a.Job.ID),
		"JOB_NAME":       a.Job.Name,
		"NAMESPACE":      a.Job.Namespace,
		"REGION":         r.opts.Region,
		"DC":             node.Datacenter,
		"NODE_ID":        string(node.ID),
		"NODE_NAME":      node.Name,
		"ALLOC_DIR":      or(s.AllocDir, t.AllocDir),
		"TASK_DIR":       or(s.TaskDir, t.TaskDir),
		"CPU_LIMIT":      strconv.Itoa(t.CPUMHz),
		"MEMORY_LIMIT":   strconv.Itoa(a.Task.Resources.MemoryLimitMB(false)),
	} {
		tell(name, value)
	}
	if limit := a.Task.Resources.MemoryLimitMB(a.Exceeds); limit != a.Task.Resources.MemoryLimitMB(false) {
		tell(fleet.MemoryMaxVariable, strconv.Itoa(limit))
	}
	grantedVariables(tell, &a.Granted, t.Name, node.Address())
	without := known(maps.Clone(env)) // meta sees all but itself
	metas := fleet.MetaVariables(a.Job.Meta, a.Group.Meta, a.Task.Meta)
	for _, name := range sortedKeys(metas) {
		value, err := fleet.Interpolate(metas[name], without)
		if err != nil {
			return nil, nil, fmt.Errorf("meta of task %q, as NOMAD_%s: %w", t.Name, name, err)
		}
		tell(name, value)
	}
	return env, known, nil
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
