package state

import (
	"encoding/json"
	"errors"
	"iter"
	"slices"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Node pools and how the region schedules: few rows that people write. The pools
// that every region has are no rows, so that no command can lose or change them.

// NodePool returns a pool, built-in ones included.
func (v *View) NodePool(name string) (fleet.NodePool, bool) {
	for _, p := range fleet.BuiltInPools {
		if p.Name == name {
			return p, true
		}
	}
	return v.t.pools.Get(fleet.NodePool{Name: name})
}

// NodePools yields all pools: the built-in ones, then the others by name.
func (v *View) NodePools() iter.Seq[fleet.NodePool] {
	return func(yield func(fleet.NodePool) bool) {
		for _, p := range fleet.BuiltInPools {
			if !yield(p) {
				return
			}
		}
		v.t.pools.Scan(yield)
	}
}

// NodePoolCount is how many pools there are besides the built-in ones.
func (v *View) NodePoolCount() int { return v.t.pools.Len() }

// NodePoolUse counts the nodes of a pool, and the jobs that name it and are not
// stopped.
func (v *View) NodePoolUse(name string) (nodes, jobs int) {
	for n := range v.Nodes() {
		if n.Spec.InPool(name) {
			nodes++
		}
	}
	for j := range v.Jobs() {
		if !j.Stop && j.Current().Spec.NodePool == name {
			jobs++
		}
	}
	return nodes, jobs
}

// PutNodePool inserts or replaces a pool that is not built in.
func (x *Txn) PutNodePool(p fleet.NodePool, index uint64) {
	p.CreateIndex, p.ModifyIndex = index, index
	if old, ok := x.t.pools.Get(p); ok {
		p.CreateIndex = old.CreateIndex
	}
	x.t.pools.Set(p)
	x.touched.tables[TableNodePools] = true
}

// DeleteNodePool removes a pool.
func (x *Txn) DeleteNodePool(name string) {
	x.t.pools.Delete(fleet.NodePool{Name: name})
	x.touched.tables[TableNodePools] = true
}

// SchedulerConfig is how the region schedules.
func (v *View) SchedulerConfig() fleet.SchedulerConfiguration {
	if v.t.scheduler.ModifyIndex == 0 {
		return fleet.DefaultSchedulerConfiguration()
	}
	return v.t.scheduler
}

// SetSchedulerConfig replaces it.
func (x *Txn) SetSchedulerConfig(c fleet.SchedulerConfiguration, index uint64) {
	c.CreateIndex, c.ModifyIndex = index, index
	if old := x.t.scheduler; old.ModifyIndex != 0 {
		c.CreateIndex = old.CreateIndex
	}
	x.t.scheduler = c
	x.touched.tables[TableScheduler] = true
}

// SchedulerConfigOf is how nodes for a job of that pool are chosen: the pool's own
// words, where it has any, before the region's.
func (v *View) SchedulerConfigOf(pool string) fleet.SchedulerConfiguration {
	c := v.SchedulerConfig()
	p, ok := v.NodePool(pool)
	if !ok || p.SchedulerConfiguration == nil {
		return c
	}
	own := p.SchedulerConfiguration
	if own.SchedulerAlgorithm != "" {
		c.SchedulerAlgorithm = own.SchedulerAlgorithm
	}
	c.MemoryOversubscriptionEnabled = fleet.Or(own.MemoryOversubscriptionEnabled, c.MemoryOversubscriptionEnabled)
	return c
}

// Preempts reports whether the region lets jobs of the job's type take the room of others.
func (v *View) Preempts(job *fleet.Job) bool {
	return v.SchedulerConfig().PreemptionConfig.Allows(job.Type)
}

// pool loads a record of a checkpoint.
func (l *loader) pool(body []byte) error {
	var p fleet.NodePool
	if err := json.Unmarshal(body, &p); err != nil {
		return err
	}
	if fleet.CheckPoolName(p.Name) != nil || slices.ContainsFunc(fleet.BuiltInPools, func(b fleet.NodePool) bool { return b.Name == p.Name }) {
		return errors.New("a node pool has a name that it cannot have")
	}
	l.x.t.pools.Set(p)
	return nil
}

func (l *loader) scheduler(body []byte) error {
	return json.Unmarshal(body, &l.x.t.scheduler)
}
