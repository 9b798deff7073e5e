package fleet

import "fmt"

// MemoryLimitMB is what the task may take, in MiB, on a device whose region lets tasks exceed what they ask for, or does not.
func (r *Resources) MemoryLimitMB(exceeds bool) int {
	if limit := Or(r.MemoryMaxMB, 0); exceeds && limit > 0 {
		return limit
	}
	return Or(r.MemoryMB, 0)
}

// Exceeds reports whether a task of the group asks for a limit above what it asks for.
func (g *TaskGroup) Exceeds() bool {
	for i := range g.Tasks {
		if r := g.Tasks[i].Resources; r != nil && r.MemoryLimitMB(true) != r.MemoryLimitMB(false) {
			return true
		}
	}
	return false
}

// MemoryMaxIgnored warns of each task whose memory_max has no effect, because the region, or the job's node pool, does not let
// tasks exceed their memory. Validate cannot: it knows no region.
func MemoryMaxIgnored(j *Job) Problems {
	c := &checker{}
	for i := range j.TaskGroups {
		for k := range j.TaskGroups[i].Tasks {
			r := j.TaskGroups[i].Tasks[k].Resources
			if max := r.MemoryLimitMB(true); max != r.MemoryLimitMB(false) {
				c.warn(fmt.Sprintf("TaskGroups[%d].Tasks[%d].Resources.MemoryMaxMB", i, k),
					fmt.Sprintf("memory_max = %d has no effect, the limit is memory = %d: memory oversubscription is off here; switch it on with dunlin operator scheduler set-config -memory-oversubscription, or in the node pool",
						max, r.MemoryLimitMB(false)))
			}
		}
	}
	return c.problems
}

func canonicalMemory(r *Resources) {
	if Or(r.MemoryMaxMB, 0) == 0 { // what clients of the field send for nothing
		r.MemoryMaxMB = nil
	}
}

func (c *checker) memory(path string, r *Resources) {
	n := *r.MemoryMB
	if n < 1 {
		c.refuse(path+".MemoryMB", fmt.Sprintf("memory is %d", n), "ask for at least 1 MiB")
	}
	if max := Or(r.MemoryMaxMB, n); max < n {
		c.refuse(path+".MemoryMaxMB", fmt.Sprintf("memory_max is %d, below memory, which is %d", max, n), "memory is what is reserved and memory_max the limit: make it larger, or leave it out")
	}
}
