package scheduler

import (
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/scheduler/reconcile"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// followupStep is how far apart delayed evaluations of a job are at least: what
// is due within one step is placed by one evaluation, at its end.
const followupStep = time.Second

// followups are the delayed evaluations of an attempt, in the order of their use.
type followups []state.Eval

func (a *attempt) delay(g *reconcile.Group) {
	for _, d := range g.Delayed {
		if a.explain.NextWake.IsZero() || d.At.Before(a.explain.NextWake) {
			a.explain.NextWake = d.At
		}
		if d.Marked {
			continue
		}
		a.plan.Stops = append(a.plan.Stops, command.Stop{
			Alloc: d.Alloc.ID, Desired: state.DesiredRun, Followup: a.followup(d),
			Reason: d.Reason,
		})
	}
}

func (a *attempt) followup(d reconcile.Delayed) fleet.UUID {
	due := d.At.Add(followupStep - 1).Truncate(followupStep).UnixNano()
	for i := range a.follow {
		if a.follow[i].WaitUntil == due {
			return a.follow[i].ID
		}
	}
	trigger := fleet.TriggerReschedule
	if d.Away {
		trigger = fleet.TriggerDisconnect
	}
	e := a.newEval(trigger, fleet.EvalPending)
	e.WaitUntil = due
	a.follow = append(a.follow, e)
	return e.ID
}

func (a *attempt) newEval(trigger, status string) state.Eval {
	e := state.Eval{
		ID: a.mint(), Namespace: a.plan.Namespace, Job: a.plan.Job, Type: a.in.Eval.Type, Trigger: trigger,
		Priority: a.plan.Priority, Status: status, Prev: a.in.Eval.ID,
		CreateTime: a.plan.At, ModifyTime: a.plan.At,
	}
	if a.job != nil {
		e.JobIndex, e.Type = a.job.JobModifyIndex, a.cur.Spec.Type
	}
	return e
}

// steps is what is left of updates for later.
type steps struct {
	left int       // running allocations that later steps replace
	next time.Time // when time alone makes one due; zero if none does
	held int       // of the new version hold the next one up
	by   string    // the first of them, and why
}

func (a *attempt) later(g *reconcile.Group) {
	a.steps.left += g.Later
	a.steps.held += g.Held
	if a.steps.by == "" {
		a.steps.by = g.HeldBy
	}
	a.steps.at(g.NextStep)
}

// words is what an evaluation says of later steps.
func (s *steps) words() string {
	switch {
	case s.left == 0:
		return ""
	case s.held == 0:
		return fmt.Sprintf("later steps of the update replace %d more", s.left)
	}
	return fmt.Sprintf("later steps of the update replace %d more; %d of the new version hold it up, %s", s.left, s.held, s.by)
}

// lookAt has a step that this attempt took looked at again: after its stagger in a
// job that runs on every node, and otherwise when it should be healthy.
func (a *attempt) lookAt(g *reconcile.Group, change *GroupChange) {
	if change.Destructive == 0 || g.Later == 0 {
		return
	}
	wait := g.Spec.Update.HealthyDeadline.Std()
	if g.Pinned {
		wait = min(wait, g.Spec.Update.Stagger.Std())
	}
	a.steps.at(a.in.Now.Add(wait))
}

func (s *steps) at(t time.Time) {
	if !t.IsZero() && (s.next.IsZero() || t.Before(s.next)) {
		s.next = t
	}
}

// nextStep adds the evaluation that takes the next step of an update which waits
// for a time, if none comes by then anyway. The others are raised by the devices'
// reports, when the log takes them in.
func (a *attempt) nextStep() {
	if a.steps.next.IsZero() {
		return
	}
	due := a.steps.next.Add(followupStep - 1).Truncate(followupStep).UnixNano()
	for e := range a.in.View.EvalsByJob(a.plan.Namespace, a.plan.Job) {
		if !e.Ended() && e.Trigger == fleet.TriggerRolling && e.WaitUntil > 0 && e.WaitUntil <= due && e.ID != a.plan.Eval {
			return
		}
	}
	e := a.newEval(fleet.TriggerRolling, fleet.EvalPending)
	e.WaitUntil = due
	a.follow = append(a.follow, e)
}

// finish writes what becomes of the evaluation and which follow it.
func (a *attempt) finish() {
	e := a.ended(fleet.EvalComplete)
	e.Groups = a.outcomes
	placed, queued := 0, 0
	for _, o := range a.outcomes {
		placed, queued = placed+o.Placed, queued+o.Queued
	}
	e.Description = a.steps.words()
	a.nextStep()
	waiting, others := a.blocked()
	switch {
	case queued == 0:
		if waiting != nil {
			others = append(others, waiting)
		}
		a.plan.Evals = append(a.plan.Evals, e)
	case a.in.Eval.Trigger == fleet.TriggerQueued:
		// It waited and must wait on: the same evaluation, not one more.
		if waiting != nil {
			others = append(others, waiting)
		}
		e.Status, e.Description = fleet.EvalBlocked, a.waitsFor(placed, queued)
		a.plan.Evals = append(a.plan.Evals, e)
	default:
		b := a.waitOn(waiting, queued)
		e.Blocked, e.Description = b.ID, a.waitsFor(placed, queued)
		a.plan.Evals = append(a.plan.Evals, e, b)
	}
	for _, o := range others {
		c := *o
		c.Status, c.Description, c.ModifyTime = fleet.EvalCancelled, "superseded by evaluation "+a.plan.Eval.String(), a.plan.At
		a.plan.Evals = append(a.plan.Evals, c)
	}
	a.plan.Evals = append(a.plan.Evals, a.follow...)
}

func (a *attempt) waitsFor(placed, queued int) string {
	words := fmt.Sprintf("placed %d; %d wait for room or for a node that may take them", placed, queued)
	if more := a.steps.words(); more != "" {
		words += "; " + more
	}
	return words
}

// ended is the evaluation with its new status.
func (a *attempt) ended(status string) state.Eval {
	e := *a.in.Eval
	e.Status, e.Snapshot, e.ModifyTime, e.Description, e.WaitUntil = status, a.plan.Snapshot, a.plan.At, "", 0
	if a.job != nil {
		e.JobIndex = a.job.JobModifyIndex
	}
	return e
}

// blocked finds the evaluations of the job that wait for room, this one left out:
// the newest, and those that should not be. Of a job that is stopped nothing is to
// come, also not at a later time.
func (a *attempt) blocked() (newest *state.Eval, others []*state.Eval) {
	stopped := a.job == nil || a.job.Stop
	for e := range a.in.View.EvalsByJob(a.plan.Namespace, a.plan.Job) {
		if stopped && e.WaitUntil > a.plan.At && !e.Ended() && e.Status != fleet.EvalBlocked && e.ID != a.plan.Eval {
			others = append(others, e)
			continue
		}
		if e.Status != fleet.EvalBlocked || e.ID == a.plan.Eval {
			continue
		}
		if newest != nil {
			others = append(others, newest)
		}
		newest = e
	}
	return newest, others
}

// waitOn brings the waiting evaluation up to date, or makes one.
func (a *attempt) waitOn(waiting *state.Eval, queued int) state.Eval {
	var b state.Eval
	if waiting != nil {
		b = *waiting
		b.Priority, b.Prev, b.ModifyTime = a.plan.Priority, a.plan.Eval, a.plan.At
		b.JobIndex = a.job.JobModifyIndex
	} else {
		b = a.newEval(fleet.TriggerQueued, fleet.EvalBlocked)
	}
	b.Snapshot, b.Description, b.Groups = a.plan.Snapshot, fmt.Sprintf("%d wait for room or for a node that may take them", queued), nil
	for _, o := range a.outcomes {
		b.Groups = append(b.Groups, state.GroupOutcome{Group: o.Group, Queued: o.Queued})
	}
	return b
}

// refuse ends the evaluation as failed.
func (a *attempt) refuse(why string) {
	e := a.ended(fleet.EvalFailed)
	e.Description = why
	a.explain.Refused = why
	a.plan.Evals = append(a.plan.Evals, e)
}
