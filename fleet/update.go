package fleet

import (
	"fmt"
	"reflect"
	"time"
)

// How the health of a replacement is judged.
const (
	HealthChecks     = "checks"
	HealthTaskStates = "task_states"
	HealthManual     = "manual"
)

// Defaults of an update and of a migration, the field's.
const (
	DefaultStagger          = 30 * time.Second
	DefaultMaxParallel      = 1
	DefaultMinHealthyTime   = 10 * time.Second
	DefaultHealthyDeadline  = 5 * time.Minute
	DefaultProgressDeadline = 10 * time.Minute
)

// UpdateStrategy says in which steps a new version replaces the one that runs.
// Without one, all is replaced at once.
type UpdateStrategy struct {
	// Stagger is the least time between two steps, in jobs that run on every node.
	Stagger *Duration `hcl:"stagger" change:"inplace"`
	// MaxParallel is how many are replaced in one step; 0: all.
	MaxParallel *int    `hcl:"max_parallel" change:"inplace"`
	HealthCheck *string `hcl:"health_check" change:"inplace"`
	// MinHealthyTime is how long all tasks of a replacement must have run without a
	// restart before the next step begins.
	MinHealthyTime *Duration `hcl:"min_healthy_time" change:"inplace"`
	// HealthyDeadline is after which time a replacement that is not healthy is said
	// to hold the update up.
	HealthyDeadline  *Duration `hcl:"healthy_deadline" change:"inplace"`
	ProgressDeadline *Duration `hcl:"progress_deadline" change:"inplace"`
	Canary           *int      `hcl:"canary" change:"inplace"`
	AutoRevert       *bool     `hcl:"auto_revert" change:"inplace"`
	AutoPromote      *bool     `hcl:"auto_promote" change:"inplace"`
}

// MigrateStrategy says how a group's allocations leave nodes that are drained.
type MigrateStrategy struct {
	MaxParallel     *int      `hcl:"max_parallel" change:"inplace"` // at least 1
	HealthCheck     *string   `hcl:"health_check" change:"inplace"`
	MinHealthyTime  *Duration `hcl:"min_healthy_time" change:"inplace"`
	HealthyDeadline *Duration `hcl:"healthy_deadline" change:"inplace"`
}

// Step is how many allocations of the group a new version may replace at a time;
// 0: all. Canonicalize must have run.
func (g *TaskGroup) Step() int {
	if g.Update == nil {
		return 0
	}
	return *g.Update.MaxParallel
}

// MinHealthy is how long a replacement must have run before the next step of an
// update. Canonicalize must have run.
func (g *TaskGroup) MinHealthy() time.Duration {
	if g.Update == nil {
		return 0
	}
	return g.Update.MinHealthyTime.Std()
}

// MigrateStep is how many allocations of the group may move at a time.
func (g *TaskGroup) MigrateStep() int {
	if g.Migrate == nil {
		return DefaultMaxParallel
	}
	return max(1, *g.Migrate.MaxParallel)
}

// canonicalSteps fills a group's blocks from the job's, field by field, and then
// from the defaults.
func canonicalSteps(j *Job, g *TaskGroup) {
	inherit(&g.Update, j.Update)
	inherit(&g.Migrate, j.Migrate)
	fillUpdate(g.Update)
	fillMigrate(g.Migrate)
}

func fillUpdate(u *UpdateStrategy) {
	if u == nil {
		return
	}
	setDefaultPtr(&u.Stagger, Duration(DefaultStagger))
	setDefaultPtr(&u.MaxParallel, DefaultMaxParallel)
	setDefaultPtr(&u.HealthCheck, HealthChecks)
	setDefault(u.HealthCheck, HealthChecks)
	setDefaultPtr(&u.MinHealthyTime, Duration(DefaultMinHealthyTime))
	setDefaultPtr(&u.HealthyDeadline, Duration(DefaultHealthyDeadline))
	setDefaultPtr(&u.ProgressDeadline, Duration(DefaultProgressDeadline))
	setDefaultPtr(&u.Canary, 0)
	setDefaultPtr(&u.AutoRevert, false)
	setDefaultPtr(&u.AutoPromote, false)
}

func fillMigrate(m *MigrateStrategy) {
	if m == nil {
		return
	}
	setDefaultPtr(&m.MaxParallel, DefaultMaxParallel)
	setDefaultPtr(&m.HealthCheck, HealthChecks)
	setDefault(m.HealthCheck, HealthChecks)
	setDefaultPtr(&m.MinHealthyTime, Duration(DefaultMinHealthyTime))
	setDefaultPtr(&m.HealthyDeadline, Duration(DefaultHealthyDeadline))
}

// inherit fills what a block of pointers leaves out from another one. Clients send
// a block of zeros for one that was not written; it is none.
func inherit[T any](block **T, from *T) {
	if zeros(*block) {
		*block = nil
	}
	if from == nil || zeros(from) {
		return
	}
	if *block == nil {
		*block = new(T)
	}
	to, src := reflect.ValueOf(*block).Elem(), reflect.ValueOf(from).Elem()
	for i := range to.NumField() {
		if to.Field(i).IsNil() && !src.Field(i).IsNil() {
			p := reflect.New(src.Field(i).Type().Elem()) // a copy: the group's is filled on its own
			p.Elem().Set(src.Field(i).Elem())
			to.Field(i).Set(p)
		}
	}
}

func zeros[T any](block *T) bool {
	if block == nil {
		return true
	}
	v := reflect.ValueOf(block).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsNil() && !f.Elem().IsZero() {
			return false
		}
	}
	return !v.Field(0).IsNil() && !v.Field(1).IsNil() // a block that was written and left empty means its defaults
}

// update checks an update block. What only a deployment could watch over is
// refused where going on without it would replace what nobody has looked at, and
// warned about where it is a net.
func (c *checker) update(path string, u *UpdateStrategy, jobType string) {
	if u == nil {
		return
	}
	if Finite(jobType) {
		c.refuse(path, fmt.Sprintf("a %s job has no update: what runs goes on to its end", jobType), "leave update out")
	}
	c.duration(path+".Stagger", *u.Stagger)
	if n := *u.MaxParallel; n < 0 {
		c.refuse(path+".MaxParallel", fmt.Sprintf("%d is negative", n), "use 0 for all at once")
	}
	c.health(path, *u.HealthCheck, *u.MinHealthyTime, *u.HealthyDeadline)
	c.duration(path+".ProgressDeadline", *u.ProgressDeadline)
	if p := *u.ProgressDeadline; p != 0 && p <= *u.HealthyDeadline {
		c.refuse(path+".ProgressDeadline", fmt.Sprintf("%s is not longer than healthy_deadline, %s", p, *u.HealthyDeadline), "make it longer, or 0")
	}
	c.gates(path, u)
}

func (c *checker) gates(path string, u *UpdateStrategy) {
	switch n := *u.Canary; {
	case n < 0:
		c.refuse(path+".Canary", fmt.Sprintf("%d is negative", n), "use 0 for none")
	case n > 0:
		c.refuse(path+".Canary", "canaries are not carried out: the new version would replace everything without waiting for anybody",
			"leave canary out; max_parallel replaces in steps, and an update stops where its replacements fail")
	case *u.AutoPromote:
		c.refuse(path+".AutoPromote", "there is nothing to promote without canaries", "leave it out")
	}
	if *u.HealthCheck == HealthManual {
		c.refuse(path+".HealthCheck", "health is not set by hand: the update would go on without you", "use task_states")
	}
	if *u.AutoRevert {
		c.warn(path+".AutoRevert", "a version that fails is not taken back; its update stops, and the version before runs on where it was not replaced")
	}
	if *u.ProgressDeadline != Duration(DefaultProgressDeadline) {
		c.warn(path+".ProgressDeadline", "an update is not failed for its age: where replacements do not become healthy it waits, and dunlin status says for which")
	}
}

func (c *checker) health(path, how string, least, most Duration) {
	switch how {
	case HealthChecks, HealthTaskStates, HealthManual:
	default:
		c.refuse(path+".HealthCheck", fmt.Sprintf("unknown word %q", how), "use checks, task_states or manual")
	}
	c.duration(path+".MinHealthyTime", least)
	c.duration(path+".HealthyDeadline", most)
	if least >= most {
		c.refuse(path+".HealthyDeadline", fmt.Sprintf("%s is not longer than min_healthy_time, %s", most, least), "make it longer")
	}
}

func (c *checker) migrate(path string, m *MigrateStrategy, jobType string) {
	if m == nil {
		return
	}
	if jobType != JobTypeService {
		c.refuse(path, fmt.Sprintf("a %s job is not migrated", jobType), "leave migrate out: batch work is given until the drain's deadline, and what every node has goes last")
	}
	if n := *m.MaxParallel; n < 1 {
		c.refuse(path+".MaxParallel", fmt.Sprintf("%d would never move anything", n), "use at least 1")
	}
	c.health(path, *m.HealthCheck, *m.MinHealthyTime, *m.HealthyDeadline)
	if *m.HealthCheck == HealthManual {
		c.refuse(path+".HealthCheck", "health is not set by hand: the drain would go on without you", "use task_states")
	}
	if *m.MinHealthyTime != Duration(DefaultMinHealthyTime) || *m.HealthyDeadline != Duration(DefaultHealthyDeadline) {
		c.warn(path, "min_healthy_time and healthy_deadline are not carried out: the next ones move when the replacements run")
	}
}
