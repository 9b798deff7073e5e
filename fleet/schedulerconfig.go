package fleet

import "fmt"

// Algorithms by which nodes are chosen.
const (
	AlgorithmBinpack = "binpack" // fill a node before the next
	AlgorithmSpread  = "spread"  // take the emptiest node
)

// SchedulerConfiguration is how a region schedules.
type SchedulerConfiguration struct {
	SchedulerAlgorithm            string
	PreemptionConfig              PreemptionConfig
	MemoryOversubscriptionEnabled bool // tasks placed from now on may take up to their memory_max
	RejectJobRegistration         bool // nobody may register a job
	PauseEvalBroker               bool // no evaluation is worked on

	CreateIndex uint64
	ModifyIndex uint64
}

// DefaultSchedulerConfiguration is that of a region where nobody set one. System jobs may preempt in it, as in the field: they
// are for every device, full ones too. As long as nobody gives jobs different priorities that changes nothing.
func DefaultSchedulerConfiguration() SchedulerConfiguration {
	return SchedulerConfiguration{SchedulerAlgorithm: AlgorithmBinpack, PreemptionConfig: PreemptionConfig{SystemSchedulerEnabled: true}}
}

// Canonicalize fills the defaults.
func (s *SchedulerConfiguration) Canonicalize() {
	setDefault(&s.SchedulerAlgorithm, AlgorithmBinpack)
}

// Validate returns everything that is wrong with the configuration.
func (s *SchedulerConfiguration) Validate() Problems {
	c := &checker{}
	c.algorithm("SchedulerAlgorithm", s.SchedulerAlgorithm)
	return c.problems
}

func (c *checker) algorithm(path, name string) {
	switch name {
	case "", AlgorithmBinpack, AlgorithmSpread:
	default:
		c.refuse(path, fmt.Sprintf("unknown algorithm %q", name), "use binpack or spread")
	}
}
