package driver

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
)

// Task is everything a driver needs to start a task: values only.
type Task struct {
	ID string // alloc ID + "/" + task name
	// Attempt tells one start of a task from the next (restarts). Start is idempotent per ID and Attempt.
	Attempt uint64
	AllocID string
	Name    string

	AllocDir string // absolute; shared by the tasks of the allocation
	TaskDir  string // absolute; working directory
	LogDir   string // absolute; NAME.stdout.N and NAME.stderr.N are written here

	LogMaxFiles     int   // rotated files kept per stream; 0 is the log writer's default
	LogMaxFileBytes int64 // 0 is the log writer's default

	Env    map[string]string
	Config json.RawMessage // decoded strictly by drivers/config

	CPUMHz      int   // 0 is no limit
	MemoryBytes int64 // 0 is no limit

	// Volumes are folders of the device that the task sees besides its own.
	Volumes []Volume

	// Artifacts maps digests ("sha256:…") to local files that the agent has fetched and verified.
	Artifacts map[string]string
}

// Volume is a folder of the device and where the task sees it.
type Volume struct {
	Name     string // for words
	Host     string // absolute; a folder
	Guest    string // absolute, with slashes
	ReadOnly bool
}

// InstanceID is the identity of one attempt; drivers use it as Handle.ID.
func (t Task) InstanceID() string {
	return t.ID + "#" + strconv.FormatUint(t.Attempt, 10)
}

// EnvList is the environment as sorted KEY=VALUE lines, so that two starts of one task give the same bytes.
func (t Task) EnvList() []string {
	list := make([]string, 0, len(t.Env))
	for _, k := range slices.Sorted(maps.Keys(t.Env)) {
		list = append(list, k+"="+t.Env[k])
	}
	return list
}

// Check finds mistakes of the caller, before a driver acts on half a task.
func (t Task) Check() error {
	switch {
	case t.ID == "":
		return fmt.Errorf("task: ID is empty")
	case t.Name == "":
		return fmt.Errorf("task %q: Name is empty", t.ID)
	case t.CPUMHz < 0:
		return fmt.Errorf("task %q: CPUMHz is %d; use 0 for no limit", t.ID, t.CPUMHz)
	case t.MemoryBytes < 0:
		return fmt.Errorf("task %q: MemoryBytes is %d; use 0 for no limit", t.ID, t.MemoryBytes)
	}
	dirs := []struct{ field, path string }{{"AllocDir", t.AllocDir}, {"TaskDir", t.TaskDir}, {"LogDir", t.LogDir}}
	for _, d := range dirs {
		if !filepath.IsAbs(d.path) {
			return fmt.Errorf("task %q: %s is %q; it must be an absolute path", t.ID, d.field, d.path)
		}
	}
	for _, v := range t.Volumes {
		if !filepath.IsAbs(v.Host) || !path.IsAbs(v.Guest) {
			return fmt.Errorf("task %q: volume %q is %q at %q; both must be absolute paths", t.ID, v.Name, v.Host, v.Guest)
		}
	}
	return nil
}
