package fleet

import "fmt"

// perNode refuses what has no meaning for a job with one allocation on every
// feasible node. Zero is a count: it stops the group everywhere.
func (c *checker) perNode(path string, g *TaskGroup, j *Job) {
	if n := *g.Count; n > 1 {
		c.refuse(path+".Count", fmt.Sprintf("a %s job runs once on each node, and the count is %d", j.Type, n), "leave count out")
	}
	if p := g.ReschedulePolicy; *p.Attempts > 0 || *p.Unlimited {
		c.refuse(path+".ReschedulePolicy", fmt.Sprintf("a %s job is not rescheduled: its allocation belongs to its node", j.Type),
			"leave reschedule out; restart says how often it is tried on its node")
	}
	for i, k := range j.Constraints {
		c.noHosts(fmt.Sprintf("Constraints[%d]", i), k, j.Type)
	}
	for i, k := range g.Constraints {
		c.noHosts(fmt.Sprintf("%s.Constraints[%d]", path, i), k, j.Type)
	}
}

// noHosts refuses a rule that could only mean what such a job does anyway, or
// that its groups may not share nodes, which would leave one of them out.
func (c *checker) noHosts(path string, k Constraint, jobType string) {
	if k.Op() == OpDistinctHosts && k.RTarget != "false" {
		c.refuse(path, fmt.Sprintf("distinct_hosts has no meaning in a %s job", jobType), "leave it out")
	}
}
