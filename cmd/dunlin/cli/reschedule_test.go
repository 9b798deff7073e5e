package cli

import (
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
)

func TestRescheduleWords(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	limited := fleet.ReschedulePolicy{Attempts: fleet.Ptr(3), Interval: fleet.Ptr(fleet.Duration(time.Hour)), Unlimited: fleet.Ptr(false)}
	for _, tc := range []struct {
		name    string
		status  string
		policy  fleet.ReschedulePolicy
		minutes []int // of the placements before, counted back from the failure
		next    time.Time
		want    string
	}{
		{"runs for the first time", fleet.ClientRunning, limited, nil, time.Time{}, ""},
		{"runs again", fleet.ClientRunning, limited, []int{90, 20, 10}, time.Time{}, "attempts 2/3 within 1h0m0s"},
		{"waits", fleet.ClientFailed, limited, []int{20, 10}, now.Add(time.Minute), "attempts 2/3 within 1h0m0s, next at 2026-03-01T12:01:00Z"},
		{"due", fleet.ClientFailed, limited, []int{10}, time.Time{}, "attempts 1/3 within 1h0m0s, next as soon as there is room"},
		{"spent", fleet.ClientFailed, limited, []int{30, 20, 10}, time.Time{}, "attempts 3/3 within 1h0m0s, none left: a new version of the job begins anew"},
		{"never", fleet.ClientFailed, fleet.ReschedulePolicy{Attempts: fleet.Ptr(0)}, nil, time.Time{}, "attempts 0, none left: a new version of the job begins anew"},
		{"unlimited", fleet.ClientFailed, fleet.ReschedulePolicy{}, []int{20, 10}, now.Add(time.Hour), "attempts 2, unlimited, next at 2026-03-01T13:00:00Z"},
		{"for long", fleet.ClientRunning, fleet.ReschedulePolicy{}, []int{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, now, "attempts 10 or more, unlimited"},
	} {
		j := &fleet.Job{ID: "app", TaskGroups: []fleet.TaskGroup{{Name: "web", ReschedulePolicy: &tc.policy}}}
		if tc.policy.Attempts != nil && *tc.policy.Attempts == 0 {
			j.TaskGroups[0].ReschedulePolicy.Unlimited = fleet.Ptr(false)
		}
		fleet.Canonicalize(j)
		a := &fleet.Allocation{Job: j, TaskGroup: "web", ClientStatus: tc.status, DesiredStatus: fleet.DesiredRun, ModifyTime: now.UnixNano()}
		for _, m := range tc.minutes {
			if a.RescheduleTracker == nil {
				a.RescheduleTracker = &fleet.RescheduleTracker{}
			}
			at := now.Add(-time.Duration(m) * time.Minute).UnixNano()
			a.RescheduleTracker.Events = append(a.RescheduleTracker.Events, fleet.ReschedulePast{RescheduleTime: at})
		}
		if got := rescheduleWords(a, tc.next, now); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
