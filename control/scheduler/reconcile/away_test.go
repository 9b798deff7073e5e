package reconcile

import (
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// away is a job of one allocation whose group has this disconnect block.
func away(d fleet.Disconnect) *state.Job {
	one := 1
	spec := &fleet.Job{ID: "app", TaskGroups: []fleet.TaskGroup{{Name: "web", Count: &one, Tasks: []fleet.Task{{Name: "t"}}, Disconnect: &d}}}
	fleet.Canonicalize(spec)
	return &state.Job{Key: 1, Versions: []*state.JobVersion{state.NewJobVersion(1, 0, spec, nil, 0, 1)}}
}

const lostNode = 9

func TestLostAfterHoldsTheReplacement(t *testing.T) {
	j := away(fleet.Disconnect{LostAfter: fleet.Ptr(fleet.Duration(90 * time.Second))})
	a := alloc(j, 0, state.ObservedRunning)
	a.Node = lostNode // away for a minute
	out := Reconcile(input(j, a))
	g := out.Groups[0]
	if len(out.Stops)+len(out.Unknown)+len(g.Place) != 0 || len(g.Delayed) != 1 || !g.Delayed[0].At.Equal(now.Add(30*time.Second)) {
		t.Fatalf("%+v", out)
	}
	in := input(j, a)
	in.Now = now.Add(31 * time.Second)
	in.AwaySince = func(state.NodeKey) time.Time { return now.Add(-time.Minute) }
	out = Reconcile(in)
	if len(out.Stops) != 0 || len(out.Unknown) != 1 || len(out.Groups[0].Place) != 1 || out.Groups[0].Place[0].Prev != a {
		t.Fatalf("after it has passed: %+v", out)
	}
}

func TestWithoutReplacementsTheSlotIsHeld(t *testing.T) {
	no := false
	j := away(fleet.Disconnect{Replace: &no})
	a := alloc(j, 0, state.ObservedRunning)
	a.Node = lostNode
	if out := Reconcile(input(j, a)); len(out.Stops)+len(out.Unknown)+len(out.Groups[0].Place) != 0 || len(out.Groups[0].Keep) != 1 {
		t.Fatalf("lost: %+v", out)
	}
	newer := away(fleet.Disconnect{Replace: &no})
	out := Reconcile(input(newer, a)) // another version, which restarts
	if len(out.Stops) != 1 || out.Stops[0].Lost || len(out.Groups[0].Place) != 0 || out.Groups[0].Ending != 1 {
		t.Fatalf("updated while away: %+v", out)
	}
	a.Desired = state.DesiredStop
	if out = Reconcile(input(newer, a)); len(out.Stops) != 0 || len(out.Groups[0].Place) != 0 || out.Groups[0].Ending != 1 {
		t.Fatalf("its end is not known: %+v", out)
	}
	a.Observed = state.ObservedComplete
	if out = Reconcile(input(newer, a)); len(out.Groups[0].Place) != 1 {
		t.Fatalf("its end is known: %+v", out)
	}
	newer.Stop, a.Desired, a.Observed = true, state.DesiredRun, state.ObservedRunning
	if out = Reconcile(input(newer, a)); len(out.Stops) != 1 || out.Stops[0].Lost {
		t.Fatalf("a stopped job must not forget what may run: %+v", out)
	}
}

// pair is an original on node 2, and its replacement on node 3.
func pair(j *state.Job, original, replacement state.Observed) (o, r *state.Alloc) {
	o, r = alloc(j, 0, original), alloc(j, 0, replacement)
	o.ID, r.ID, o.Key, r.Key, o.Node, r.Node = fleet.UUID{1}, fleet.UUID{2}, 1, 2, 2, 3
	o.Next, r.Prev = r.ID, o.ID
	started := func(at int64) *state.AllocDetail {
		return &state.AllocDetail{Report: state.ReportOf([]wire.TaskStatus{{Name: "t", ObservedTask: fleet.ObservedTask{State: fleet.TaskRunning, StartedAt: at}}})}
	}
	o.Detail, r.Detail = started(5), started(500)
	return o, r
}

func TestReconcileWord(t *testing.T) {
	const run, pend, unknown, failed = state.ObservedRunning, state.ObservedPending, state.ObservedUnknown, state.ObservedFailed
	for name, c := range map[string]struct {
		word    string
		o, r    state.Observed
		restart bool
		loser   string // "o", "r" or none
	}{
		"the original":                   {fleet.ReconcileKeepOriginal, run, run, false, "r"},
		"the replacement":                {fleet.ReconcileKeepReplacement, run, run, false, "o"},
		"the longest":                    {fleet.ReconcileLongestRunning, run, run, false, "r"},
		"the better place is node 3":     {fleet.ReconcileBestScore, run, run, false, "o"},
		"the replacement does not run":   {fleet.ReconcileBestScore, run, pend, false, "r"},
		"nothing is known yet":           {fleet.ReconcileKeepOriginal, unknown, run, false, ""},
		"the job has changed":            {fleet.ReconcileKeepOriginal, run, run, true, "o"},
		"the replacement has failed":     {fleet.ReconcileKeepReplacement, run, failed, false, ""},
		"the original has failed itself": {fleet.ReconcileKeepOriginal, failed, run, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			j := away(fleet.Disconnect{Reconcile: &c.word})
			o, r := pair(j, c.o, c.r)
			if c.restart {
				o.Version = away(fleet.Disconnect{Reconcile: &c.word}).Current()
				o.Version.Job = 1
			}
			out := Reconcile(input(j, o, r))
			loser := ""
			for _, s := range out.Stops {
				loser += map[*state.Alloc]string{o: "o", r: "r"}[s.Alloc]
				if s.Reason == "" {
					t.Error("a stop without a reason")
				}
			}
			if loser != c.loser || len(out.Groups[0].Place) != 0 {
				t.Fatalf("stopped %q, want %q; places %+v", loser, c.loser, out.Groups[0].Place)
			}
		})
	}
}

func TestWorkDoneWhileAwayNeedsNoReplacement(t *testing.T) {
	j := away(fleet.Disconnect{})
	o, r := pair(j, state.ObservedComplete, state.ObservedRunning)
	in := input(j, o, r)
	in.Rules.CompleteStays = true
	out := Reconcile(in)
	if len(out.Stops) != 1 || out.Stops[0].Alloc != r || !strings.Contains(out.Stops[0].Reason, "done the work") || out.Groups[0].Done != 1 {
		t.Fatalf("%+v", out)
	}
}
