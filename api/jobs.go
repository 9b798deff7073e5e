package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/dunlin-edge/dunlin/fleet"
)

// JobRegisterRequest registers a job.
type JobRegisterRequest struct {
	Job *fleet.Job
	// EnforceIndex registers only if the job's JobModifyIndex is JobModifyIndex;
	// 0 means that the job must not exist.
	EnforceIndex   bool   `json:",omitempty"`
	JobModifyIndex uint64 `json:",omitempty"`
}

// WriteMeta is what every write answers beside its own fields.
type WriteMeta struct {
	Index       uint64 // at which the write is visible
	LastIndex   uint64 // the same, under the name some clients read
	LastContact int64
	KnownLeader bool
}

// JobRegisterResponse answers a registration.
type JobRegisterResponse struct {
	EvalID          fleet.EvalID
	EvalCreateIndex uint64
	JobModifyIndex  uint64
	Warnings        string // one line each
	WriteMeta
}

// JobDeregisterResponse answers a stop.
type JobDeregisterResponse struct {
	EvalID          fleet.EvalID
	EvalCreateIndex uint64
	JobModifyIndex  uint64
	WriteMeta
}

// JobListStub is the short form of a job in lists.
type JobListStub struct {
	ID                fleet.JobID
	ParentID          string
	Name              string
	Namespace         string
	Datacenters       []string
	NodePool          string
	Type              string
	Priority          int
	Periodic          bool
	ParameterizedJob  bool
	Stop              bool
	Status            string
	StatusDescription string
	JobSummary        *JobSummary
	CreateIndex       uint64
	ModifyIndex       uint64
	JobModifyIndex    uint64
	SubmitTime        int64 // Unix nanoseconds
	Version           uint64
}

// JobSummary counts a job's allocations by group and state.
type JobSummary struct {
	JobID       fleet.JobID
	Namespace   string
	Summary     map[string]GroupSummary
	CreateIndex uint64
	ModifyIndex uint64
}

// GroupSummary counts a group's allocations by state.
type GroupSummary struct {
	Queued, Complete, Failed, Running, Starting, Lost, Unknown int
}

// JobVersionsResponse is a job's history, newest first. Diffs[i] is what Versions[i]
// changed against Versions[i+1]; it is there when asked for.
type JobVersionsResponse struct {
	Versions []*fleet.Job
	Diffs    []*fleet.JobDiff
}

// JobPlanRequest asks what a registration would do.
type JobPlanRequest struct {
	Job  *fleet.Job
	Diff bool `json:",omitempty"` // answer the difference to what is registered
}

// JobPlanResponse says what a registration would do.
type JobPlanResponse struct {
	Annotations    *PlanAnnotations
	FailedTGAllocs map[string]*fleet.AllocMetric // groups that do not fit, and why
	RankedTGAllocs map[string]*fleet.AllocMetric `json:",omitempty"` // how nodes fared for each group that places any
	JobModifyIndex uint64                        // for EnforceIndex; 0: the job does not exist
	CreatedEvals   []*fleet.Evaluation
	Diff           *fleet.JobDiff
	Warnings       string
	Modules        []PlanModule // that would go to devices
}

// PlanModule is a module that a plan brings to devices.
type PlanModule struct {
	TaskGroup string
	Task      string
	Digest    string
	Devices   []PlanDevices
}

// PlanDevices are devices that need the same bytes of a module.
type PlanDevices struct {
	Arch  string
	Base  string // digest of what they hold of the task: an earlier version, or the module itself; "": nothing
	Count int
	// BytesEach is what goes to each. The region leaves it to whoever has the module's bytes: the command line.
	BytesEach *int64 `json:",omitempty"`
}

// PlanAnnotations counts what happens to the allocations of each group.
type PlanAnnotations struct {
	DesiredTGUpdates map[string]*DesiredUpdates
	// PreemptedAllocs are those of other jobs that would give way.
	PreemptedAllocs []*fleet.AllocationListStub `json:",omitempty"`
}

// DesiredUpdates counts what happens to the allocations of one group.
type DesiredUpdates struct {
	Ignore            uint64
	Place             uint64
	Migrate           uint64
	Stop              uint64
	InPlaceUpdate     uint64
	DestructiveUpdate uint64
	Canary            uint64
	Preemptions       uint64
}

// JobValidateRequest asks whether a job would be accepted.
type JobValidateRequest struct{ Job *fleet.Job }

// JobValidateResponse says whether a job would be accepted.
type JobValidateResponse struct {
	DriverConfigValidated bool
	ValidationErrors      []string
	Error                 string
	Warnings              string
}

// JobsParseRequest asks the region to parse a job file.
type JobsParseRequest struct {
	JobHCL       string
	Variables    string `json:",omitempty"` // the text of a file of values
	Canonicalize bool   `json:",omitempty"` // fill in defaults
}

// JobEvaluateRequest asks for a new evaluation of a job.
type JobEvaluateRequest struct {
	JobID       fleet.JobID
	EvalOptions EvalOptions
}

// EvalOptions of a new evaluation.
type EvalOptions struct{ ForceReschedule bool }

// Jobs lists jobs. q.Prefix narrows by ID.
func (c *Client) Jobs(ctx context.Context, q *QueryOptions) (jobs []*JobListStub, m QueryMeta, err error) {
	m, err = c.read(ctx, "/jobs", q, nil, &jobs)
	return jobs, m, err
}

// Job returns a job as registered.
func (c *Client) Job(ctx context.Context, id fleet.JobID, q *QueryOptions) (job *fleet.Job, m QueryMeta, err error) {
	m, err = c.read(ctx, "/job/"+segment(id), q, nil, &job)
	return job, m, err
}

// ExplainJob says where a job's work could go now and why not elsewhere; with a
// node (ID, the beginning of one, or name) whether it could go there.
func (c *Client) ExplainJob(ctx context.Context, id fleet.JobID, node string, q *QueryOptions) (out *fleet.JobExplanation, m QueryMeta, err error) {
	var extra url.Values
	if node != "" {
		extra = url.Values{"node": {node}}
	}
	m, err = c.read(ctx, "/job/"+segment(id)+"/explain", q, extra, &out)
	return out, m, err
}

// JobVersions returns a job's history; diffs asks for what each changed.
func (c *Client) JobVersions(ctx context.Context, id fleet.JobID, diffs bool, q *QueryOptions) (*JobVersionsResponse, QueryMeta, error) {
	var out JobVersionsResponse
	m, err := c.read(ctx, "/job/"+segment(id)+"/versions", q, url.Values{"diffs": {strconv.FormatBool(diffs)}}, &out)
	return &out, m, err
}

// JobSummary counts a job's allocations.
func (c *Client) JobSummary(ctx context.Context, id fleet.JobID, q *QueryOptions) (*JobSummary, QueryMeta, error) {
	var out JobSummary
	m, err := c.read(ctx, "/job/"+segment(id)+"/summary", q, nil, &out)
	return &out, m, err
}

// JobAllocations lists a job's allocations, newest first.
func (c *Client) JobAllocations(ctx context.Context, id fleet.JobID, q *QueryOptions) (out []*fleet.AllocationListStub, m QueryMeta, err error) {
	m, err = c.read(ctx, "/job/"+segment(id)+"/allocations", q, nil, &out)
	return out, m, err
}

// JobEvaluations lists a job's evaluations, newest first.
func (c *Client) JobEvaluations(ctx context.Context, id fleet.JobID, q *QueryOptions) (out []*fleet.Evaluation, m QueryMeta, err error) {
	m, err = c.read(ctx, "/job/"+segment(id)+"/evaluations", q, nil, &out)
	return out, m, err
}

// Register registers a job, or its next version.
func (c *Client) Register(ctx context.Context, r *JobRegisterRequest) (*JobRegisterResponse, error) {
	var out JobRegisterResponse
	return &out, c.write(ctx, http.MethodPut, "/jobs", nil, r, &out)
}

// Plan says what a registration would do, and does nothing.
func (c *Client) Plan(ctx context.Context, r *JobPlanRequest) (*JobPlanResponse, error) {
	var out JobPlanResponse
	return &out, c.write(ctx, http.MethodPut, "/job/"+segment(r.Job.ID)+"/plan", nil, r, &out)
}

// Validate says whether a job would be accepted.
func (c *Client) Validate(ctx context.Context, job *fleet.Job) (*JobValidateResponse, error) {
	var out JobValidateResponse
	return &out, c.write(ctx, http.MethodPut, "/validate/job", nil, &JobValidateRequest{job}, &out)
}

// Parse turns a job file into a job.
func (c *Client) Parse(ctx context.Context, r *JobsParseRequest) (*fleet.Job, error) {
	var out fleet.Job
	return &out, c.write(ctx, http.MethodPost, "/jobs/parse", nil, r, &out)
}

// Deregister stops a job; purge also forgets it.
func (c *Client) Deregister(ctx context.Context, id fleet.JobID, purge bool) (*JobDeregisterResponse, error) {
	var out JobDeregisterResponse
	query := url.Values{"purge": {strconv.FormatBool(purge)}}
	return &out, c.write(ctx, http.MethodDelete, "/job/"+segment(id), query, nil, &out)
}

// Evaluate asks for a new evaluation of a job.
func (c *Client) Evaluate(ctx context.Context, id fleet.JobID) (*JobRegisterResponse, error) {
	var out JobRegisterResponse
	return &out, c.write(ctx, http.MethodPut, "/job/"+segment(id)+"/evaluate", nil, &JobEvaluateRequest{JobID: id}, &out)
}
