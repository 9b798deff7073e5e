package scheduler

import (
	"maps"
	"slices"
	"strings"

	"github.com/dunlin-edge/dunlin/control/scheduler/reconcile"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Strategy is how jobs of one type are scheduled: it compares what a job wants
// with what it has. Where a missing allocation goes is decided afterwards, unless
// the strategy names the node itself (reconcile.Group.Pinned); room, explanation,
// blocking and the evaluation's end are the same for all.
type Strategy func(reconcile.Input) reconcile.Result

// Strategies is the registry of strategies, by job type. It is a value that is
// passed in: a scheduler of one's own is one more entry in a copy, and no program
// is surprised by what another package registered.
type Strategies map[string]Strategy

// Builtin returns the strategies of the job types that every region knows. The
// map is the caller's.
func Builtin() Strategies {
	ruled := func(s Strategy, rules reconcile.Rules) Strategy {
		return func(in reconcile.Input) reconcile.Result {
			in.Rules = rules
			return s(in)
		}
	}
	return Strategies{
		fleet.JobTypeService:  reconcile.Reconcile,
		fleet.JobTypeBatch:    ruled(reconcile.Reconcile, reconcile.Rules{CompleteStays: true}),
		fleet.JobTypeSystem:   reconcile.PerNode,
		fleet.JobTypeSysBatch: ruled(reconcile.PerNode, reconcile.Rules{CompleteStays: true}),
	}
}

// With returns a copy in which jobs of that type are scheduled so.
func (s Strategies) With(jobType string, how Strategy) Strategies {
	c := maps.Clone(s)
	c[jobType] = how
	return c
}

func (s Strategies) words() string { return strings.Join(slices.Sorted(maps.Keys(s)), ", ") }
