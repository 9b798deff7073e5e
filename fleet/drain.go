package fleet

import "time"

// DeadlineForce as a drain's deadline means at once.
const DeadlineForce = Duration(-1)

// DrainSpec says how a node is emptied.
type DrainSpec struct {
	// Deadline is how long work may take to leave; 0: as long as it takes, negative:
	// everything leaves at once.
	Deadline         Duration
	IgnoreSystemJobs bool // what every node has stays
}

// DrainStrategy is a drain that is under way.
type DrainStrategy struct {
	DrainSpec
	ForceDeadline time.Time // when what is left has to go; zero: never
	StartedAt     time.Time
}
