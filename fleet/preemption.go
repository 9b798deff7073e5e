package fleet

// PreemptionGap is by how much the priority of what gives way must be lower at least. Priorities that are near each other say
// that the work is of about the same worth, and such work is not ended for another.
const PreemptionGap = 10

// PreemptionConfig says which types of jobs may take the room of others of lower
// priority.
type PreemptionConfig struct {
	SystemSchedulerEnabled   bool
	SysBatchSchedulerEnabled bool
	BatchSchedulerEnabled    bool
	ServiceSchedulerEnabled  bool
}

// Allows reports whether jobs of a type may. A type of somebody's own may not: nobody can have switched it on.
func (p PreemptionConfig) Allows(jobType string) bool {
	switch jobType {
	case JobTypeSystem:
		return p.SystemSchedulerEnabled
	case JobTypeSysBatch:
		return p.SysBatchSchedulerEnabled
	case JobTypeBatch:
		return p.BatchSchedulerEnabled
	case JobTypeService:
		return p.ServiceSchedulerEnabled
	}
	return false
}

// Preempted is an allocation that gives way to another, or would.
type Preempted struct {
	ID       AllocID
	Name     string // job.group[index]
	JobID    JobID
	Priority int
	NodeName string
}
