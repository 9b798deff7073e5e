package runner

import (
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"

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
	node := r.opts.Node()
	env := r.given(a, &t, node)
	known := references(node, r.opts.Region, env)
	for _, k := range sortedKeys(a.Task.Env) {
		v, err := interpolate(a.Task.Env[k], known)
		if err != nil {
			return t, fmt.Errorf("env %s of task %q: %w", k, t.Name, err)
		}
		env[k] = v
	}
	config, err := interpolateJSON(a.Task.Config, references(node, r.opts.Region, env))
	if err != nil {
		return t, fmt.Errorf("config of task %q: %w", t.Name, err)
	}
	t.Env, t.Config = env, config
	return t, nil
}

// given is the environment that a task has before its own: that of the field, and the device's name.
func (r *Runner) given(a device.StartTask, t *driver.Task, node *fleet.Node) map[string]string {
	s := r.opts.Settings[a.Task.Driver]
	env := maps.Clone(s.Env)
	if env == nil {
		env = map[string]string{}
	}
	for _, meta := range []map[string]string{a.Job.Meta, a.Group.Meta, a.Task.Meta} {
		for k, v := range meta {
			// Both spellings, as in the field; the inner block wins.
			name := envName(k)
			env["NOMAD_META_"+name], env["NOMAD_META_"+strings.ToUpper(name)] = v, v
		}
	}
	for k, v := range map[string]string{
		"NOMAD_ALLOC_ID":     t.AllocID,
		"NOMAD_ALLOC_NAME":   a.Name,
		"NOMAD_ALLOC_INDEX":  strconv.FormatUint(uint64(a.Index), 10),
		"NOMAD_TASK_NAME":    t.Name,
		"NOMAD_GROUP_NAME":   a.Group.Name,
		"NOMAD_JOB_ID":       string(a.Job.ID),
		"NOMAD_JOB_NAME":     a.Job.Name,
		"NOMAD_DC":           node.Datacenter,
		"NOMAD_REGION":       r.opts.Region,
		"NOMAD_NAMESPACE":    a.Job.Namespace,
		"NOMAD_CPU_LIMIT":    strconv.Itoa(t.CPUMHz),
		"NOMAD_MEMORY_LIMIT": strconv.Itoa(a.Task.Resources.MemoryLimitMB(false)),
		"NOMAD_ALLOC_DIR":    or(s.AllocDir, t.AllocDir),
		"NOMAD_TASK_DIR":     or(s.TaskDir, t.TaskDir),
		"DUNLIN_NODE_ID":     string(node.ID),
		"DUNLIN_NODE_NAME":   node.Name,
	} {
		env[k] = v
	}
	if limit := a.Task.Resources.MemoryLimitMB(a.Exceeds); limit != a.Task.Resources.MemoryLimitMB(false) {
		env["NOMAD_MEMORY_MAX_LIMIT"] = strconv.Itoa(limit)
	}
	return env
}

// envName makes a variable's name of a meta key.
func envName(key string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' {
			return c
		}
		return '_'
	}, key)
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
