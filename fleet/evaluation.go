package fleet

// Evaluation statuses.
const (
	EvalPending   = "pending"
	EvalBlocked   = "blocked" // waits for capacity
	EvalComplete  = "complete"
	EvalFailed    = "failed"
	EvalCancelled = "canceled"
)

// What triggered an evaluation.
const (
	TriggerJobRegister   = "job-register"
	TriggerJobDeregister = "job-deregister"
	TriggerNodeUpdate    = "node-update"
	TriggerAllocFailure  = "alloc-failure"
	TriggerReschedule    = "alloc-reschedule"
	TriggerQueued        = "queued-allocs" // a blocked evaluation
	TriggerMaxPlans      = "max-plan-attempts"
	TriggerFailed        = "failed-follow-up"   // follows one that failed to be delivered
	TriggerDeployment    = "deployment-watcher" // a deployment was made, promoted or ended
	TriggerAllocStop     = "alloc-stop"
	TriggerRolling       = "rolling-update"         // the next step of an update
	TriggerNodeDrain     = "node-drain"             // a node's work is to move
	TriggerPreemption    = "preemption"             // something of the job gave way to another job
	TriggerReconnect     = "reconnect"              // an allocation that was away is back
	TriggerDisconnect    = "max-disconnect-timeout" // a device was away for longer than a group lets it
)

// Evaluation is a reason to schedule a job, as the API shows it.
type Evaluation struct {
	ID                EvalID
	Namespace         string
	Priority          int
	Type              string
	TriggeredBy       string
	JobID             JobID
	JobModifyIndex    uint64
	NodeID            NodeID `json:",omitempty"`
	Status            string
	StatusDescription string
	WaitUntil         int64                   `json:",omitempty"` // Unix nanoseconds
	PreviousEval      EvalID                  `json:",omitempty"`
	NextEval          EvalID                  `json:",omitempty"`
	BlockedEval       EvalID                  `json:",omitempty"`
	FailedTGAllocs    map[string]*AllocMetric `json:",omitempty"`
	// PlacedTGAllocs is how the nodes fared for groups that found all their places;
	// in lists it is left out.
	PlacedTGAllocs    map[string]*AllocMetric `json:",omitempty"`
	QueuedAllocations map[string]int          `json:",omitempty"`
	SnapshotIndex     uint64
	CreateIndex       uint64
	ModifyIndex       uint64
	CreateTime        int64 // Unix nanoseconds
	ModifyTime        int64
}

// AllocMetric says how the nodes of a region fared for one group in one
// evaluation: the raw material of every explanation.
type AllocMetric struct {
	NodesEvaluated     int            // looked at
	NodesFiltered      int            // broke a rule
	NodesInPool        int            `json:",omitempty"`
	NodesAvailable     map[string]int `json:",omitempty"` // ready, by datacenter
	ConstraintFiltered map[string]int `json:",omitempty"` // by rule
	NodesExhausted     int            // fit the rules but lack room
	DimensionExhausted map[string]int `json:",omitempty"`
	CoalescedFailures  int            // further allocations that failed alike
	AllocationTime     Duration       `json:",omitempty"`
	ScoreMetaData      []NodeScore    `json:",omitempty"`
	// Refusals says in words why nodes were refused, most frequent first, with
	// both values and the smallest change that would help.
	Refusals []Refusal `json:",omitempty"`
}

// Limits of an explanation.
const (
	RefusalsMax    = 16
	ScoresShownMax = 5
)

// NodeScore is what a ranked node scored.
type NodeScore struct {
	NodeID    NodeID
	Scores    map[string]float64 // as the public API has it; computed from integers on read
	NormScore float64
}

// Refusal is one reason why nodes cannot take a group.
type Refusal struct {
	Rule  string // "constraint", "datacenter", "driver", "cpu", "memory", …
	Wants string // what the job asks, with its value
	Has   string // what the nodes have
	Nodes int    // how many were refused for it
	Node  string `json:",omitempty"` // one of them, by name
	Fix   string // the smallest change that would help
}
