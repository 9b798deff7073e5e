package reap

import (
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Defaults of Config, the field's.
const (
	EvalAge      = time.Hour
	BatchEvalAge = 24 * time.Hour
	JobAge       = 4 * time.Hour
	NodeAge      = 24 * time.Hour
	Every        = 5 * time.Minute
)

// LookMax is how many rows one decision looks at.
const LookMax = 20_000

// Config is how long what has ended is remembered; zero fields take the defaults.
type Config struct {
	EvalAge      time.Duration // evaluations, and allocations that no job misses
	BatchEvalAge time.Duration // the same, of batch and sysbatch jobs
	JobAge       time.Duration // dead jobs
	NodeAge      time.Duration // lost devices
	Every        time.Duration // between two passes
}

// Filled returns c with the defaults.
func (c Config) Filled() Config {
	for _, f := range []struct {
		p   *time.Duration
		def time.Duration
	}{{&c.EvalAge, EvalAge}, {&c.BatchEvalAge, BatchEvalAge}, {&c.JobAge, JobAge}, {&c.NodeAge, NodeAge}, {&c.Every, Every}} {
		if *f.p <= 0 {
			*f.p = f.def
		}
	}
	return c
}

// Now is a Config for which everything that has ended is old enough.
func Now() Config { return Config{} }

// Pass goes through a region once.
type Pass struct {
	cfg   Config
	phase int
	job   state.JobKey
	alloc state.AllocKey
	eval  state.EvalKey
	node  state.NodeKey
	look  int
	named int
	made  map[state.JobKey]map[fleet.UUID]bool // by job, the evaluations that placed what is there
	out   command.Reap
}

// NewPass begins a pass. Ages are taken as they are; see [Config.Filled].
func NewPass(cfg Config) *Pass { return &Pass{cfg: cfg} }

// Next decides about the next rows of the view. More reports whether there are any
// after these; a decision may be empty and not the last.
func (p *Pass) Next(v *state.View, now int64) (step command.Reap, more bool) {
	p.look, p.named, p.out, p.made = LookMax, 0, command.Reap{At: now}, map[state.JobKey]map[fleet.UUID]bool{}
	// Jobs first: they take their evaluations and allocations with them. Nodes last:
	// they go when nothing is left on them.
	for _, phase := range []func(*state.View, int64) bool{p.jobs, p.allocs, p.evals, p.nodes}[p.phase:] {
		if !phase(v, now) {
			return p.out, true
		}
		p.phase++
	}
	return p.out, false
}

// Empty reports whether a step forgets nothing.
func Empty(c *command.Reap) bool {
	return len(c.Allocs)+len(c.Evals)+len(c.Jobs)+len(c.Nodes) == 0
}

// spend counts rows that were looked at; false: enough for now.
func (p *Pass) spend(rows int) bool {
	p.look -= rows
	return p.look > 0 && p.named < command.ReapMax
}

func old(at, now int64, age time.Duration) bool { return now-at >= int64(age) }

func (p *Pass) jobs(v *state.View, now int64) bool {
	for j := range v.JobsFrom(p.job) {
		p.job = j.Key + 1
		rows := 1
		if j.Stop || j.Current().Spec.Type == fleet.JobTypeBatch {
			last, n := lastHappened(v, j)
			rows += n
			if old(last, now, p.cfg.JobAge) && command.JobOver(v, j) {
				p.out.Jobs = append(p.out.Jobs, command.ReapedJob{Key: j.Key, Index: j.JobModifyIndex})
				p.named++
			}
		}
		if !p.spend(rows) {
			return false
		}
	}
	return true
}

// lastHappened is when anything last happened to a job, and how many rows it has.
func lastHappened(v *state.View, j *state.Job) (at int64, rows int) {
	at = j.Current().SubmitTime
	for a := range v.AllocsByJob(j.Key) {
		at, rows = max(at, a.ModifyTime), rows+1
	}
	for e := range v.EvalsByJob(j.Namespace, j.ID) {
		at, rows = max(at, e.ModifyTime), rows+1
	}
	return at, rows
}

func (p *Pass) age(jobType string) time.Duration {
	if fleet.Finite(jobType) {
		return p.cfg.BatchEvalAge
	}
	return p.cfg.EvalAge
}

func (p *Pass) allocs(v *state.View, now int64) bool {
	for a := range v.AllocsFrom(p.alloc) {
		p.alloc = a.Key + 1
		if old(a.ModifyTime, now, p.age(a.Version.Spec.Type)) && command.AllocOver(v, a) {
			p.out.Allocs = append(p.out.Allocs, a.ID)
			p.named++
		}
		if !p.spend(1) {
			return false
		}
	}
	return true
}

func (p *Pass) evals(v *state.View, now int64) bool {
	for e := range v.EvalsFrom(p.eval) {
		p.eval = e.Key + 1
		if old(e.ModifyTime, now, p.age(e.Type)) && command.EvalOver(v, e) && !p.placed(v, e) {
			p.out.Evals = append(p.out.Evals, e.ID)
			p.named++
		}
		if !p.spend(1) {
			return false
		}
	}
	return true
}

// placed reports whether an evaluation placed something that is there: it explains
// why that is where it is.
func (p *Pass) placed(v *state.View, e *state.Eval) bool {
	j := v.JobByID(e.Namespace, e.Job)
	if j == nil {
		return false
	}
	made := p.made[j.Key]
	if made == nil {
		made = map[fleet.UUID]bool{}
		for a := range v.AllocsByJob(j.Key) {
			made[a.Eval] = true
			p.look--
		}
		p.made[j.Key] = made
	}
	return made[e.ID]
}

func (p *Pass) nodes(v *state.View, now int64) bool {
	for n := range v.NodesFrom(p.node) {
		p.node = n.Key + 1
		if n.Link == fleet.LinkLost && old(max(n.AwaySince, n.LinkSince), now, p.cfg.NodeAge) && command.NodeOver(v, n) {
			p.out.Nodes = append(p.out.Nodes, n.ID)
			p.named++
		}
		if !p.spend(1) {
			return false
		}
	}
	return true
}
