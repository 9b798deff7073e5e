package fleet

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCanonicalizeIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		Canonicalize(j)
		once := encodeJSON(j)
		Canonicalize(j)
		if diff := cmp.Diff(once, encodeJSON(j)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestJobJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		Canonicalize(j)
		if c := j.Clone(); !reflect.DeepEqual(j, c) {
			t.Fatal(cmp.Diff(j, c))
		}
	})
}

// What the region writes beside a job, and how a default is written, make no
// new version; anything else does.
func TestCanonicalBytesIsTheVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		want := string(CanonicalBytes(j))
		written := j.Clone()
		Canonicalize(written)
		written.JobBookkeeping = JobBookkeeping{Version: 7, Stable: true, SubmitTime: 1, JobModifyIndex: 9}
		if got := string(CanonicalBytes(written)); got != want {
			t.Fatal(cmp.Diff(want, got))
		}
		var decoded Job
		if err := json.Unmarshal([]byte(want), &decoded); err != nil {
			t.Fatal(err)
		}
		if got := string(CanonicalBytes(&decoded)); got != want {
			t.Fatal(cmp.Diff(want, got))
		}
		changed := written.Clone()
		changed.Meta = map[string]string{"added by the test": ""}
		if string(CanonicalBytes(changed)) == want {
			t.Fatal("a change of meta makes a version")
		}
	})
}

// CanonicalBytes must leave its argument alone: jobs are shared.
func TestCanonicalBytesCopies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		before := encodeJSON(j)
		CanonicalBytes(j)
		if diff := cmp.Diff(before, encodeJSON(j)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestDefaults(t *testing.T) {
	for jobType, want := range map[string]struct{ restart, reschedule string }{
		"service": {
			`{"Attempts":2,"Interval":1800000000000,"Delay":15000000000,"Mode":"fail"}`,
			`{"Attempts":0,"Interval":0,"Delay":30000000000,"DelayFunction":"exponential","MaxDelay":3600000000000,"Unlimited":true}`,
		},
		"batch": {
			`{"Attempts":3,"Interval":86400000000000,"Delay":15000000000,"Mode":"fail"}`,
			`{"Attempts":1,"Interval":86400000000000,"Delay":5000000000,"DelayFunction":"constant","MaxDelay":0,"Unlimited":false}`,
		},
		"system": {
			`{"Attempts":2,"Interval":1800000000000,"Delay":15000000000,"Mode":"fail"}`,
			`{"Attempts":0,"Interval":0,"Delay":0,"DelayFunction":"constant","MaxDelay":0,"Unlimited":false}`,
		},
		"sysbatch": {
			`{"Attempts":3,"Interval":86400000000000,"Delay":15000000000,"Mode":"fail"}`,
			`{"Attempts":0,"Interval":0,"Delay":0,"DelayFunction":"constant","MaxDelay":0,"Unlimited":false}`,
		},
	} {
		j := &Job{ID: "x", Type: jobType, TaskGroups: []TaskGroup{{Tasks: []Task{{}}}}}
		Canonicalize(j)
		g := &j.TaskGroups[0]
		if got := encodeJSON(g.RestartPolicy); got != want.restart {
			t.Errorf("%s restart %s", jobType, got)
		}
		if got := encodeJSON(g.Tasks[0].RestartPolicy); got != want.restart {
			t.Errorf("%s task restart %s", jobType, got)
		}
		if got := encodeJSON(g.ReschedulePolicy); got != want.reschedule {
			t.Errorf("%s reschedule %s", jobType, got)
		}
	}
	j := &Job{ID: "x", TaskGroups: []TaskGroup{{Tasks: []Task{{}}}}}
	Canonicalize(j)
	task := &j.TaskGroups[0].Tasks[0]
	if j.Name != "x" || j.Type != JobTypeService || *j.Priority != 50 || *j.TaskGroups[0].Count != 1 ||
		*task.KillTimeout != Duration(5*time.Second) || *task.Resources.CPU != 100 || *task.Resources.MemoryMB != 300 || *task.LogConfig.MaxFiles != 10 {
		t.Errorf("%s", encodeJSON(j))
	}
}

// A task's policy fills what it leaves open from its group, not from the type.
func TestTaskRestartInherits(t *testing.T) {
	j := &Job{ID: "x", TaskGroups: []TaskGroup{{
		RestartPolicy: &RestartPolicy{Attempts: Ptr(9), Delay: Ptr(Duration(time.Second))},
		Tasks:         []Task{{RestartPolicy: &RestartPolicy{Attempts: Ptr(1)}}},
	}}}
	Canonicalize(j)
	p := j.TaskGroups[0].Tasks[0].RestartPolicy
	if *p.Attempts != 1 || *p.Delay != Duration(time.Second) || *p.Mode != RestartModeFail {
		t.Errorf("%s", encodeJSON(p))
	}
}

// Attempts alone mean a limited policy, as in the field.
func TestRescheduleAttemptsLimit(t *testing.T) {
	j := &Job{ID: "x", TaskGroups: []TaskGroup{{ReschedulePolicy: &ReschedulePolicy{Attempts: Ptr(2), Interval: Ptr(Duration(time.Hour))}}}}
	Canonicalize(j)
	if *j.TaskGroups[0].ReschedulePolicy.Unlimited {
		t.Error("unlimited with attempts")
	}
}

func TestDurationJSON(t *testing.T) {
	for in, want := range map[string]Duration{`5`: 5, `"1m30s"`: Duration(90 * time.Second), `null`: 0, `-1`: -1} {
		var d Duration
		if err := json.Unmarshal([]byte(in), &d); err != nil || d != want {
			t.Errorf("%s: %v, %v", in, d, err)
		}
	}
	for _, in := range []string{`"30"`, `1.5`, `true`, `{}`, `"\u"`} {
		var d Duration
		if err := json.Unmarshal([]byte(in), &d); err == nil {
			t.Errorf("%s was accepted as %s", in, d)
		}
	}
}
