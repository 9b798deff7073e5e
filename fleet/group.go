package fleet

import "encoding/json"

// TaskGroup is the unit of placement: its tasks run together on one node.
type TaskGroup struct {
	Name             string            `hcl:",label" change:"none"`
	Count            *int              `hcl:"count" change:"inplace"`
	Constraints      []Constraint      `hcl:"constraint,block" change:"inplace"`
	Affinities       []Affinity        `json:",omitempty" hcl:"affinity,block" change:"inplace"`
	Spreads          []Spread          `json:",omitempty" hcl:"spread,block" change:"inplace"`
	Tasks            []Task            `hcl:"task,block" change:"none"` // compared task by task
	RestartPolicy    *RestartPolicy    `hcl:"restart,block" change:"inplace"`
	ReschedulePolicy *ReschedulePolicy `hcl:"reschedule,block" change:"inplace"`
	Disconnect       *Disconnect       `json:",omitempty" hcl:"disconnect,block" change:"inplace"`
	Update           *UpdateStrategy   `json:",omitempty" hcl:"update,block" change:"inplace"`
	Migrate          *MigrateStrategy  `json:",omitempty" hcl:"migrate,block" change:"inplace"`
	Volumes          Volumes           `json:",omitempty" hcl:"volume,block" change:"restart"`
	EphemeralDisk    *EphemeralDisk    `json:",omitempty" hcl:"ephemeral_disk,block" change:"restart"`
	Meta             map[string]string `hcl:"meta,map" change:"restart"`
	Networks         []Network         `json:",omitempty" hcl:"network,block" change:"restart"`

	GroupUncarried `change:"inplace"`
}

// Task returns the task of that name, or nil.
func (g *TaskGroup) Task(name string) *Task {
	for i := range g.Tasks {
		if g.Tasks[i].Name == name {
			return &g.Tasks[i]
		}
	}
	return nil
}

// Ask is what one allocation of the group takes from a node: the sum over its
// tasks, and the group's disk. Canonicalize must have run.
func (g *TaskGroup) Ask() Ask {
	a := Ask{DiskMB: int64(g.EphemeralDisk.Size())}
	for i := range g.Tasks {
		if r := g.Tasks[i].Resources; r != nil {
			a.CPU += int64(Or(r.CPU, 0))
			a.MemoryMB += int64(Or(r.MemoryMB, 0))
		}
	}
	return a
}

// GroupUncarried are group fields of the public API not carried out yet.
type GroupUncarried struct {
	Services                  json.RawMessage `json:",omitempty" hcl:"service,json"`
	Scaling                   json.RawMessage `json:",omitempty" hcl:"scaling,json"`
	Consul                    json.RawMessage `json:",omitempty" hcl:"consul,json"`
	ShutdownDelay             json.RawMessage `json:",omitempty" hcl:"shutdown_delay,json"`
	StopAfterClientDisconnect json.RawMessage `json:",omitempty" hcl:"stop_after_client_disconnect,json"`
	MaxClientDisconnect       json.RawMessage `json:",omitempty" hcl:"max_client_disconnect,json"`
	PreventRescheduleOnLost   json.RawMessage `json:",omitempty" hcl:"prevent_reschedule_on_lost,json"`
}
