package scheduler

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/scheduler/feasible"
	"github.com/dunlin-edge/dunlin/control/scheduler/rank"
	"github.com/dunlin-edge/dunlin/control/scheduler/reconcile"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Stripe is the share of the nodes that a worker prefers among equally good ones,
// so that workers side by side do not collide: its number, and how many there are.
type Stripe = rank.Stripe

// UpdateFunc says what a new version of a job does to a running allocation.
type UpdateFunc func(old, new *fleet.TaskGroup, oldJob, newJob *fleet.Job) fleet.Change

// Input is everything an attempt depends on.
type Input struct {
	View *state.View
	// InFlight is what plans that are not in View yet add to a node; nil for none.
	InFlight func(state.NodeKey) state.Usage
	Eval     *state.Eval
	Now      time.Time
	Seed     [32]byte // fresh for each attempt
	Stripe   Stripe
	Update   UpdateFunc // nil: fleet.UpdateKind
	// Strategies is how jobs are scheduled, by type; nil: those of Builtin.
	Strategies Strategies
}

// Output is what an attempt decided.
type Output struct {
	Plan    command.Plan
	Explain Explain
}

// attempt is one run of Schedule.
type attempt struct {
	in       Input
	job      *state.Job // nil: purged
	cur      *state.JobVersion
	rng      *rand.ChaCha8
	plan     command.Plan
	explain  Explain
	pool     *pool // loaded with the first placement
	groups   []reconcile.Group
	outcomes []state.GroupOutcome
	follow   followups
	checkers map[int]*feasible.Checker // of the groups that were judged node by node
	steps    steps
	yields   yields
}

// Schedule decides what becomes of an evaluation. It has no error: an evaluation
// that cannot be worked on is ended as failed, with the reason.
func Schedule(in Input) Output {
	if in.Update == nil {
		in.Update = fleet.UpdateKind
	}
	a := &attempt{in: in, job: in.View.JobByID(in.Eval.Namespace, in.Eval.Job), rng: rand.NewChaCha8(in.Seed)}
	a.plan = command.Plan{
		Eval: in.Eval.ID, Namespace: in.Eval.Namespace, Job: in.Eval.Job,
		Priority: in.Eval.Priority, Snapshot: in.View.Index(), At: in.Now.UnixNano(),
	}
	decide := reconcile.Reconcile
	if in.Strategies == nil {
		in.Strategies = Builtin()
	}
	if a.job != nil {
		a.cur = a.job.Current()
		a.plan.Version, a.plan.Priority = a.cur.Version, fleet.Or(a.cur.Spec.Priority, in.Eval.Priority)
		s, ok := in.Strategies[a.cur.Spec.Type]
		if !ok && !a.job.Stop {
			a.refuse(fmt.Sprintf("no scheduler is registered for jobs of type %q; there are %s", a.cur.Spec.Type, in.Strategies.words()))
			return Output{a.plan, a.explain}
		}
		if ok {
			decide = s
		}
	}
	a.run(decide(a.reconcileInput()))
	return Output{a.plan, a.explain}
}

func (a *attempt) reconcileInput() reconcile.Input {
	v := a.in.View
	return reconcile.Input{
		Job: a.job, Deployment: a.deployment(), Allocs: a.allocs(), Eval: a.in.Eval.ID, Now: a.in.Now, Update: a.in.Update,
		Lost: func(k state.NodeKey) (string, bool) {
			n := v.Node(k)
			if n == nil {
				return fmt.Sprintf("#%d", k), true
			}
			return n.Spec.Name, n.Link == fleet.LinkLost
		},
		AwaySince: func(k state.NodeKey) time.Time {
			n := v.Node(k)
			if n == nil || n.AwaySince == 0 {
				return time.Time{}
			}
			return time.Unix(0, n.AwaySince)
		},
		Score: a.score,
		Waiting: func(id fleet.UUID) bool {
			e := v.Eval(id)
			return e != nil && !e.Ended() && id != a.in.Eval.ID
		},
		Stays: a.stays(), Broken: a.broken(), Moving: a.moving, AtHome: a.atHome,
		Field: reconcile.Field{Nodes: a.ready, Row: v.Node, Admits: a.admits, Fits: a.fits},
	}
}

// deployment is that of the job's current version, nil without one.
func (a *attempt) deployment() *fleet.Deployment {
	if a.job == nil {
		return nil
	}
	if d := a.in.View.DeploymentOf(a.job); d != nil {
		return d.Spec
	}
	return nil
}

// allocs are the job's. A purged job's row is gone and with it the key of its
// index, so its allocations are found by name; that reads every row, once. So are
// those of a namesake that was registered after the purge that is worked on.
func (a *attempt) allocs() []*state.Alloc {
	var out []*state.Alloc
	if a.job == nil || a.in.Eval.Trigger == fleet.TriggerJobDeregister && a.job.CreateIndex > a.in.Eval.CreateIndex {
		for row := range a.in.View.Allocs() {
			if s := row.Version.Spec; s.ID == a.in.Eval.Job && s.Namespace == a.in.Eval.Namespace {
				out = append(out, row)
			}
		}
		return out
	}
	for row := range a.in.View.AllocsByJob(a.job.Key) {
		out = append(out, row)
	}
	return out
}

func (a *attempt) stays() func(int, state.NodeKey) bool {
	checkers := map[int]*feasible.Checker{}
	return func(group int, k state.NodeKey) bool {
		c := checkers[group]
		if c == nil {
			c = feasible.Staying(a.cur.Spec, &a.cur.Spec.TaskGroups[group])
			checkers[group] = c
		}
		n := a.in.View.Node(k)
		return c.Judge(n.Spec, n.Class)
	}
}

// broken asks the constraints that must always hold. The word of a node without
// link is old, but it is the last one.
func (a *attempt) broken() func(int, state.NodeKey) (string, bool) {
	checkers := map[int]*feasible.Checker{}
	return func(group int, k state.NodeKey) (string, bool) {
		c, known := checkers[group]
		if !known {
			c = feasible.Always(a.cur.Spec, &a.cur.Spec.TaskGroups[group])
			checkers[group] = c
		}
		if c == nil {
			return "", false
		}
		n := a.in.View.Node(k)
		wants, has, broken := c.Broken(n.Spec)
		return fmt.Sprintf("moved: %s no longer holds on node %s, which has %s", wants, n.Spec.Name, has), broken
	}
}

// moving asks the drain of an allocation's node.
func (a *attempt) moving(row *state.Alloc) (why string, anyway bool) {
	n := a.in.View.Node(row.Node)
	if n == nil || !n.Drain.Marked(row.ID) {
		return "", false
	}
	return fmt.Sprintf("moved: node %s is drained", n.Spec.Name), n.Drain.Forced
}

// atHome reports whether the node of an allocation takes one of the group instead.
func (a *attempt) atHome(group int, row *state.Alloc) bool {
	n := a.in.View.Node(row.Node)
	return n != nil && n.Ready() && n.Spec.InPool(a.cur.Spec.NodePool) && a.admits(group, n) && a.fits(group, n, row)
}

// score is how full a node is that has one of the group already: what placing it
// there would have been worth.
func (a *attempt) score(group int, k state.NodeKey) int64 {
	n := a.in.View.Node(k)
	if n == nil {
		return 0
	}
	ask, used, whole := a.cur.Asks[group], a.in.View.Usage(k), n.Room
	node := rank.Node{Key: k, Cap: whole, Free: whole.Minus(used.Ask()).Plus(ask)}
	return rank.New(rank.Request{Ask: ask, Emptiest: a.emptiest()}, nil, nil).Fit(&node)
}

// emptiest reports whether the job's pool is filled evenly instead of tightly.
func (a *attempt) emptiest() bool {
	return a.in.View.SchedulerConfigOf(a.cur.Spec.NodePool).SchedulerAlgorithm == fleet.AlgorithmSpread
}

func (a *attempt) run(r reconcile.Result) {
	for _, s := range r.Stops {
		a.stop(s.Alloc, s.Lost, s.Reason)
	}
	for _, s := range r.Unknown {
		a.plan.Stops = append(a.plan.Stops, command.Stop{Alloc: s.Alloc.ID, Desired: state.DesiredRun, Lost: true, Reason: s.Reason})
	}
	placing := false
	for i := range r.Groups {
		placing = placing || len(r.Groups[i].Place) > 0
	}
	if placing {
		a.pool, a.groups = loadPool(&a.in, specs(a.cur, r.Groups)...), r.Groups
		a.pool.settle(&r)
	}
	for i := range r.Groups {
		g := &r.Groups[i]
		for _, row := range g.InPlace {
			a.plan.Updates = append(a.plan.Updates, row.ID)
		}
		a.delay(g)
		a.later(g)
		if g.Pinned {
			a.placePinned(g)
		} else {
			a.place(g)
		}
	}
	a.explain.Stops, a.explain.Displaced = len(r.Stops), a.yields.named
	a.finish()
}

// specs are the versions of a job that are placed.
func specs(cur *state.JobVersion, groups []reconcile.Group) []*fleet.Job {
	out := []*fleet.Job{cur.Spec}
	for i := range groups {
		if v := groups[i].Version; v != nil {
			out = append(out, v.Spec)
		}
	}
	return out
}

func (a *attempt) stop(row *state.Alloc, lost bool, reason string) {
	a.plan.Stops = append(a.plan.Stops, command.Stop{Alloc: row.ID, Desired: state.DesiredStop, Lost: lost, Reason: reason})
}

func (a *attempt) mint() fleet.UUID {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], a.rng.Uint64())
	binary.LittleEndian.PutUint64(b[8:], a.rng.Uint64())
	return fleet.MintUUID(b)
}
