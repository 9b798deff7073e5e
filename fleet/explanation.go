package fleet

// JobExplanation says where a job's work could go now, and why not elsewhere.
type JobExplanation struct {
	JobID    JobID
	Version  uint64
	NodeID   NodeID `json:",omitempty"` // the one node that was asked about
	NodeName string `json:",omitempty"`
	Groups   []GroupExplanation
}

// GroupExplanation is the part of one group.
type GroupExplanation struct {
	Name  string
	Count int // wanted
	Live  int // wanted and not ended
	Here  int // of which on the node that was asked about
	Could int // how many nodes could take one more
	// WouldPreempt is how many nodes could take one more if others of lower priority gave way there, which the region lets them;
	// Preempts, of the node that was asked about, what would.
	WouldPreempt int         `json:",omitempty"`
	Preempts     []Preempted `json:",omitempty"`
	// Metric has the nodes' refusals and the scores of the best; of one node, that
	// node's alone.
	Metric *AllocMetric
}
