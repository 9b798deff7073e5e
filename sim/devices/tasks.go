package devices

import (
	"encoding/json"
	"sync"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// tasks are the names of the first tasks of all groups that the fleet was told of. Devices share them: each device alone would keep
// what a thousand others keep too. It grows with the versions of jobs that the region has while the fleet runs.
type tasks struct {
	mu     sync.RWMutex
	groups map[wire.JobKey]map[string]string
}

// learn reads the jobs of a message.
func (t *tasks) learn(jobs []wire.JobSpec) error {
	for i := range jobs {
		t.mu.RLock()
		_, known := t.groups[jobs[i].Key]
		t.mu.RUnlock()
		if known {
			continue
		}
		var job fleet.Job
		if err := json.Unmarshal(jobs[i].JSON, &job); err != nil {
			return err
		}
		names := make(map[string]string, len(job.TaskGroups))
		for g := range job.TaskGroups {
			if group := &job.TaskGroups[g]; len(group.Tasks) > 0 {
				names[group.Name] = group.Tasks[0].Name
			}
		}
		t.mu.Lock()
		if t.groups == nil {
			t.groups = map[wire.JobKey]map[string]string{}
		}
		t.groups[jobs[i].Key] = names
		t.mu.Unlock()
	}
	return nil
}

func (t *tasks) first(job wire.JobKey, group string) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.groups[job][group]
}
