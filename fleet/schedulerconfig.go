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

// PreemptionConfig says which types of jobs may take the room of others of lower
// priority.
type PreemptionConfig struct {
	SystemSchedulerEnabled   bool
	SysBatchSchedulerEnabled bool
	BatchSchedulerEnabled    bool
	ServiceSchedulerEnabled  bool
}

// DefaultSchedulerConfiguration is that of a region where nobody set one.
func DefaultSchedulerConfiguration() SchedulerConfiguration {
	return SchedulerConfiguration{SchedulerAlgorithm: AlgorithmBinpack}
}

// Canonicalize fills the defaults.
func (s *SchedulerConfiguration) Canonicalize() {
	setDefault(&s.SchedulerAlgorithm, AlgorithmBinpack)
}

// Validate returns everything that is wrong with the configuration. What is not
// carried out cannot be switched on, since nothing would come of it.
func (s *SchedulerConfiguration) Validate() Problems {
	c := &checker{}
	c.algorithm("SchedulerAlgorithm", s.SchedulerAlgorithm)
	for _, p := range []struct {
		name string
		on   bool
	}{
		{"SystemSchedulerEnabled", s.PreemptionConfig.SystemSchedulerEnabled},
		{"SysBatchSchedulerEnabled", s.PreemptionConfig.SysBatchSchedulerEnabled},
		{"BatchSchedulerEnabled", s.PreemptionConfig.BatchSchedulerEnabled},
		{"ServiceSchedulerEnabled", s.PreemptionConfig.ServiceSchedulerEnabled},
	} {
		if p.on {
			c.refuse("PreemptionConfig."+p.name, "preemption is not carried out: nothing running gives way to what comes", "leave it off")
		}
	}
	return c.problems
}

func (c *checker) algorithm(path, name string) {
	switch name {
	case "", AlgorithmBinpack, AlgorithmSpread:
	default:
		c.refuse(path, fmt.Sprintf("unknown algorithm %q", name), "use binpack or spread")
	}
}
