package fleet

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func steps(t *testing.T, text string) *Job {
	t.Helper()
	j := sampleJob()
	if err := json.Unmarshal([]byte(text), j); err != nil {
		t.Fatal(err)
	}
	Canonicalize(j)
	return j
}

func TestStepsOfGroups(t *testing.T) {
	j := steps(t, `{"Update": {"MaxParallel": 3, "Stagger": "1m"}, "TaskGroups": [
		{"Name": "web", "Update": {"MaxParallel": 5}, "Tasks": [{"Name": "t", "Driver": "wasm"}]}, {"Name": "db", "Tasks": [{"Name": "t", "Driver": "wasm"}]}]}`)
	web, db := j.TaskGroups[0].Update, j.TaskGroups[1].Update
	if *web.MaxParallel != 5 || *web.Stagger != Duration(time.Minute) || *web.HealthCheck != HealthChecks || *db.MaxParallel != 3 {
		t.Fatalf("%+v %+v", web, db)
	}
	before := CanonicalBytes(j)
	Canonicalize(j)
	if !bytes.Equal(before, CanonicalBytes(j)) {
		t.Fatal("filling the blocks twice changes them")
	}
	*db.MaxParallel = 9
	if *j.Update.MaxParallel != 3 {
		t.Fatal("a group's block shares its values with the job's")
	}
}

// Clients send blocks of zeros for what was not written.
func TestABlockOfZerosIsNone(t *testing.T) {
	j := steps(t, `{"Update": {"Stagger": 0, "MaxParallel": 0, "HealthCheck": "", "MinHealthyTime": 0, "HealthyDeadline": 0,
		"ProgressDeadline": 0, "Canary": 0, "AutoRevert": false, "AutoPromote": false}}`)
	if j.Update != nil || j.TaskGroups[0].Update != nil || j.TaskGroups[0].Step() != 0 {
		t.Fatalf("%+v", j.Update)
	}
	if j := steps(t, `{"Update": {}}`); j.TaskGroups[0].Step() != 1 {
		t.Fatal("an empty block means its defaults")
	}
	if j := steps(t, `{"Update": {"MaxParallel": 0}}`); j.TaskGroups[0].Step() != 0 || j.Update == nil {
		t.Fatal("0 was written and means all at once")
	}
}

func TestStepsThatAreRefusedOrWarned(t *testing.T) {
	for text, want := range map[string]string{
		`{"Update": {"Canary": 1}}`:                                             "TaskGroups[0].Update.Canary: canaries are not carried out",
		`{"Update": {"MaxParallel": -1}}`:                                       "TaskGroups[0].Update.MaxParallel: -1 is negative",
		`{"Update": {"AutoPromote": true}}`:                                     "TaskGroups[0].Update.AutoPromote: there is nothing to promote",
		`{"Update": {"HealthCheck": "manual"}}`:                                 "TaskGroups[0].Update.HealthCheck: health is not set by hand",
		`{"Update": {"HealthCheck": "feeling"}}`:                                `TaskGroups[0].Update.HealthCheck: unknown word "feeling"`,
		`{"Update": {"HealthyDeadline": "20m"}}`:                                "TaskGroups[0].Update.ProgressDeadline: 10m0s is not longer than healthy_deadline, 20m0s",
		`{"Update": {"AutoRevert": true}}`:                                      "TaskGroups[0].Update.AutoRevert: a version that fails is not taken back",
		`{"Update": {"ProgressDeadline": "20m"}}`:                               "TaskGroups[0].Update.ProgressDeadline: an update is not failed for its age",
		`{"Type": "batch", "Update": {"MaxParallel": 1}}`:                       "TaskGroups[0].Update: a batch job has no update",
		`{"Migrate": {"MaxParallel": 0, "HealthCheck": "checks"}}`:              "TaskGroups[0].Migrate.MaxParallel: 0 would never move anything",
		`{"Migrate": {"MinHealthyTime": "9m"}}`:                                 "TaskGroups[0].Migrate.HealthyDeadline: 5m0s is not longer than min_healthy_time, 9m0s",
		`{"Type": "sysbatch", "Migrate": {"MaxParallel": 2}, "TaskGroups": []}`: "TaskGroups: the job has no group",
	} {
		got := Validate(steps(t, text), nil)
		found := false
		for _, p := range got {
			found = found || strings.HasPrefix(p.String(), want)
		}
		if !found {
			t.Errorf("%s: want %s\ngot %v", text, want, got)
		}
	}
	if ps := Validate(steps(t, `{"Update": {"MaxParallel": 2, "MinHealthyTime": "1m", "HealthyDeadline": "9m"}, "Migrate": {"MaxParallel": 2}}`), nil); len(ps) > 0 {
		t.Errorf("what is carried out is warned about: %v", ps)
	}
}
