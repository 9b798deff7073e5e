package fleet

import "encoding/json"

// Task is one program of a group.
type Task struct {
	Name        string            `hcl:",label" change:"none"`
	Driver      string            `hcl:"driver" change:"restart"`
	Config      json.RawMessage   `json:",omitempty" hcl:"config,json" change:"restart"` // decoded strictly by the driver's schema
	Env         map[string]string `hcl:"env,map" change:"restart"`
	Resources   *Resources        `hcl:"resources,block" change:"restart"`
	Constraints []Constraint      `hcl:"constraint,block" change:"inplace"`
	Affinities  []Affinity        `json:",omitempty" hcl:"affinity,block" change:"inplace"`
	// RestartPolicy overrides the group's.
	RestartPolicy *RestartPolicy    `hcl:"restart,block" change:"inplace"`
	Meta          map[string]string `hcl:"meta,map" change:"restart"`
	KillTimeout   *Duration         `hcl:"kill_timeout" change:"inplace"`
	KillSignal    string            `json:",omitempty" hcl:"kill_signal" change:"inplace"`
	LogConfig     *LogConfig        `hcl:"logs,block" change:"restart"`
	VolumeMounts  []VolumeMount     `json:",omitempty" hcl:"volume_mount,block" change:"restart"`

	TaskUncarried `change:"inplace"`
}

// Resources is what a task asks of its node.
type Resources struct {
	CPU      *int `hcl:"cpu" change:"restart"`    // MHz
	MemoryMB *int `hcl:"memory" change:"restart"` // MiB
	// MemoryMaxMB is the limit where the region lets tasks take more memory than they ask for, MiB; nil: MemoryMB.
	MemoryMaxMB *int `json:",omitempty" hcl:"memory_max" change:"restart"`

	// Devices are held by the allocation alone.
	Devices []RequestedDevice `json:",omitempty" hcl:"device,block" change:"restart"`

	ResourcesUncarried `change:"inplace"`
}

// LogConfig bounds what a task's output may take on its device.
type LogConfig struct {
	MaxFiles      *int `hcl:"max_files" change:"restart"`
	MaxFileSizeMB *int `hcl:"max_file_size" change:"restart"` // MiB

	Disabled json.RawMessage `json:",omitempty" hcl:"disabled,json" change:"inplace"`
}

// TaskUncarried are task fields of the public API not carried out yet.
type TaskUncarried struct {
	User            json.RawMessage `json:",omitempty" hcl:"user,json"`
	Lifecycle       json.RawMessage `json:",omitempty" hcl:"lifecycle,json"`
	Leader          json.RawMessage `json:",omitempty" hcl:"leader,json"`
	ShutdownDelay   json.RawMessage `json:",omitempty" hcl:"shutdown_delay,json"`
	Artifacts       json.RawMessage `json:",omitempty" hcl:"artifact,json"`
	Templates       json.RawMessage `json:",omitempty" hcl:"template,json"`
	Vault           json.RawMessage `json:",omitempty" hcl:"vault,json"`
	Consul          json.RawMessage `json:",omitempty" hcl:"consul,json"`
	Identity        json.RawMessage `json:",omitempty" hcl:"identity,json"`
	Identities      json.RawMessage `json:",omitempty"`
	Secrets         json.RawMessage `json:",omitempty" hcl:"secret,json"`
	Services        json.RawMessage `json:",omitempty" hcl:"service,json"`
	CSIPluginConfig json.RawMessage `json:",omitempty" hcl:"csi_plugin,json"`
	DispatchPayload json.RawMessage `json:",omitempty" hcl:"dispatch_payload,json"`
	ScalingPolicies json.RawMessage `json:",omitempty" hcl:"scaling,json"`
	Kind            json.RawMessage `json:",omitempty" hcl:"kind,json"`
	Schedule        json.RawMessage `json:",omitempty" hcl:"schedule,json"`
}

// ResourcesUncarried are resource fields of the public API not carried out yet.
type ResourcesUncarried struct {
	Cores     json.RawMessage `json:",omitempty" hcl:"cores,json"`
	DiskMB    json.RawMessage `json:",omitempty" hcl:"disk,json"`
	IOPS      json.RawMessage `json:",omitempty"`
	Networks  json.RawMessage `json:",omitempty" hcl:"network,json"`
	NUMA      json.RawMessage `json:",omitempty" hcl:"numa,json"`
	SecretsMB json.RawMessage `json:",omitempty" hcl:"secrets,json"`
	Custom    json.RawMessage `json:",omitempty"`
}
