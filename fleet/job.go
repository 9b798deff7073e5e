package fleet

import "encoding/json"

// Job types.
const (
	JobTypeService  = "service"  // runs until stopped
	JobTypeBatch    = "batch"    // runs until it succeeds
	JobTypeSystem   = "system"   // one on every feasible node
	JobTypeSysBatch = "sysbatch" // once on every feasible node
)

// PerNode reports whether jobs of a type have one allocation on every feasible
// node instead of a count of them.
func PerNode(jobType string) bool { return jobType == JobTypeSystem || jobType == JobTypeSysBatch }

// Finite reports whether an allocation of a job of that type has done its work
// when it has completed.
func Finite(jobType string) bool { return jobType == JobTypeBatch || jobType == JobTypeSysBatch }

// Job statuses as the API shows them; derived on read, never stored.
const (
	JobStatusPending = "pending"
	JobStatusRunning = "running"
	JobStatusDead    = "dead"
)

// Limits of a job specification.
const (
	JobIDBytesMax     = 128
	JobPriorityMin    = 1
	JobPriorityMax    = 100
	GroupsMax         = 64
	TasksMax          = 64
	GroupCountMax     = 100_000
	JobSpecBytesMax   = 1 << 20
	MetaValueBytesMax = 64 << 10
)

// Job is what a user wants to run: groups of tasks, and where they may run.
type Job struct {
	ID          JobID             `hcl:"id" change:"none"`
	Name        string            `hcl:"name" change:"inplace"`
	Namespace   string            `hcl:"namespace" change:"none"`
	Region      string            `hcl:"region" change:"none"`
	Type        string            `hcl:"type" change:"restart"`
	Priority    *int              `hcl:"priority" change:"inplace"`
	Datacenters []string          `hcl:"datacenters" change:"inplace"`
	NodePool    string            `json:",omitempty" hcl:"node_pool" change:"inplace"`
	Constraints []Constraint      `hcl:"constraint,block" change:"inplace"`
	Affinities  []Affinity        `json:",omitempty" hcl:"affinity,block" change:"inplace"`
	Spreads     []Spread          `json:",omitempty" hcl:"spread,block" change:"inplace"`
	TaskGroups  []TaskGroup       `hcl:"group,block" change:"none"`                        // compared group by group
	Update      *UpdateStrategy   `json:",omitempty" hcl:"update,block" change:"inplace"`  // for groups that say nothing else
	Migrate     *MigrateStrategy  `json:",omitempty" hcl:"migrate,block" change:"inplace"` // likewise
	Meta        map[string]string `hcl:"meta,map" change:"restart"`                        // tasks see it as NOMAD_META_*

	JobUncarried `change:"inplace"`

	// Set by the region, never by a job file. Spec clears them.
	JobBookkeeping `change:"none"`
}

// JobBookkeeping is what the region writes beside a job.
type JobBookkeeping struct {
	Stop              bool
	Stable            bool
	Version           uint64
	Status            string
	StatusDescription string
	SubmitTime        int64 // Unix nanoseconds
	CreateIndex       uint64
	ModifyIndex       uint64
	JobModifyIndex    uint64
}

// Spec returns a copy of j without what the region wrote beside it: the part a
// user is responsible for. Slices and maps are shared with j.
func (j *Job) Spec() *Job {
	c := *j
	c.JobBookkeeping = JobBookkeeping{}
	return &c
}

// Group returns the group of that name, or nil.
func (j *Job) Group(name string) *TaskGroup {
	for i := range j.TaskGroups {
		if j.TaskGroups[i].Name == name {
			return &j.TaskGroups[i]
		}
	}
	return nil
}

// Clone returns a deep copy. It goes through JSON: jobs are rare, and a copy
// that forgets a new field is worse than a slow one.
func (j *Job) Clone() *Job {
	b, err := json.Marshal(j)
	if err != nil {
		panic("fleet: a job that was built from JSON or HCL must encode: " + err.Error())
	}
	var c Job
	if err := json.Unmarshal(b, &c); err != nil {
		panic("fleet: an encoded job must decode: " + err.Error())
	}
	return &c
}

// JobUncarried are job fields of the public API that Dunlin does not carry out
// yet. See uncarried.go for what happens to each.
type JobUncarried struct {
	AllAtOnce     json.RawMessage `json:",omitempty" hcl:"all_at_once,json"`
	Periodic      json.RawMessage `json:",omitempty" hcl:"periodic,json"`
	Parameterized json.RawMessage `json:"ParameterizedJob,omitempty" hcl:"parameterized,json"`
	Multiregion   json.RawMessage `json:",omitempty" hcl:"multiregion,json"`
	Vault         json.RawMessage `json:",omitempty" hcl:"vault,json"`
	Consul        json.RawMessage `json:",omitempty" hcl:"consul,json"`
	UI            json.RawMessage `json:",omitempty" hcl:"ui,json"`
	ConsulToken   json.RawMessage `json:",omitempty" hcl:"consul_token,json"`
	VaultToken    json.RawMessage `json:",omitempty" hcl:"vault_token,json"`
}
