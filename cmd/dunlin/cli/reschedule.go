package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

// followup is when an allocation that failed will be placed again; zero if no
// evaluation waits for that.
func followup(ctx context.Context, c *api.Client, a *fleet.Allocation) (at time.Time, err error) {
	if a.FollowupEvalID == "" || a.NextAllocation != "" {
		return at, nil
	}
	e, _, err := c.Evaluation(ctx, a.FollowupEvalID, nil)
	switch {
	case api.IsNotFound(err): // it has ended, and was forgotten since
		return at, nil
	case err != nil:
		return at, err
	case e.Status == fleet.EvalPending && e.WaitUntil > 0:
		at = time.Unix(0, e.WaitUntil)
	}
	return at, nil
}

// rescheduleWords says how often an allocation's work was placed again after
// failures, and what comes next; empty where there is nothing to say.
func rescheduleWords(a *fleet.Allocation, next, now time.Time) string {
	failed := a.ClientStatus == fleet.ClientFailed && a.DesiredStatus == fleet.DesiredRun && a.NextAllocation == ""
	if a.Job == nil || !failed && a.RescheduleTracker == nil {
		return ""
	}
	g := slices.IndexFunc(a.Job.TaskGroups, func(g fleet.TaskGroup) bool { return g.Name == a.TaskGroup })
	if g < 0 || a.Job.TaskGroups[g].ReschedulePolicy == nil {
		return ""
	}
	p, past := a.Job.TaskGroups[g].ReschedulePolicy, []fleet.ReschedulePast(nil)
	if a.RescheduleTracker != nil {
		past = a.RescheduleTracker.Events
	}
	at := now
	if failed {
		at = time.Unix(0, a.ModifyTime)
	}
	words := fmt.Sprintf("attempts %d/%d within %s", p.Used(past, at), *p.Attempts, p.Interval)
	switch {
	case *p.Unlimited && len(past) >= fleet.ReschedulePastMax:
		words = fmt.Sprintf("attempts %d or more, unlimited", len(past))
	case *p.Unlimited:
		words = fmt.Sprintf("attempts %d, unlimited", len(past))
	case *p.Attempts == 0:
		words = "attempts 0"
	}
	if _, again := p.Next(past, at); !failed {
		return words
	} else if !again {
		return words + ", none left: a new version of the job begins anew"
	}
	if next.IsZero() {
		return words + ", next as soon as there is room"
	}
	return words + ", next at " + next.UTC().Format(time.RFC3339)
}
