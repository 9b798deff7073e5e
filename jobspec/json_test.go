package jobspec

import (
	"strings"
	"testing"
)

func TestParseJSON(t *testing.T) {
	for _, body := range []string{
		`{"Job": {"ID": "x", "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t", "KillTimeout": "5s"}]}]}}`,
		`{"ID": "x", "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t", "KillTimeout": 5000000000, "Later": {"a": 1}}]}], "New": [1]}`,
		`{"Job": {"id": "x", "taskgroups": [{"name": "g", "Count": null, "Tasks": [{"NAME": "t", "killTimeout": 5000000000}]}]}}`,
	} {
		j, err := ParseJSON([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if task := j.TaskGroups[0].Tasks[0]; j.ID != "x" || task.Name != "t" || task.KillTimeout.String() != "5s" {
			t.Errorf("%s: got %+v", body, j)
		}
	}
}

func TestParseJSONErrors(t *testing.T) {
	for body, want := range map[string]string{
		``:               "the body is not JSON: EOF",
		`{`:              "the body is not JSON: unexpected EOF",
		"{\n,":           "the body is not JSON: line 2: invalid character ',' looking for beginning of object key string",
		`{"Job": {}} {}`: "the body has more than one JSON value; send the job alone",
		`{}`:             `the body has no Job: send {"Job": {"ID": …}}`,
		`{"job": {}}`:    `the body has no Job: send {"Job": {"ID": …}}`,
		`[]`:             "want a job object, got a list",
		`{"Job": null}`:  "Job: want a job object, got null",
		`{"Job": "x"}`:   `Job: want a job object, got the string "x"`,
		`{"Job": {"TaskGroups": [{"Count": "3"}]}}`:                      `Job.TaskGroups[0].Count: want a whole number, got the string "3"`,
		`{"TaskGroups": [{}, {"Tasks": [{"Resources": {"CPU": 1.5}}]}]}`: `TaskGroups[1].Tasks[0].Resources.CPU: want a whole number, got the number 1.5`,
		`{"TaskGroups": {}}`: `TaskGroups: want a list, got an object`,
		`{"Meta": {"a": 1}}`: `Meta["a"]: want a string, got the number 1`,
		`{"TaskGroups": [{"RestartPolicy": {"Delay": "soon"}}]}`:                   `TaskGroups[0].RestartPolicy.Delay: want a duration such as "30s", got the string "soon"`,
		`{"TaskGroups": [{"RestartPolicy": {"Delay": true}}]}`:                     `TaskGroups[0].RestartPolicy.Delay: want nanoseconds or a duration such as "30s", got true`,
		`{"TaskGroups": [{"ReschedulePolicy": {"Unlimited": 1, "Attempts": []}}]}`: "TaskGroups[0].ReschedulePolicy.Attempts: want a whole number, got a list\nTaskGroups[0].ReschedulePolicy.Unlimited: want true or false, got the number 1",
		`{"Version": -1}`:              `Version: want a whole number, got the number -1`,
		`{"Constraints": ["a"]}`:       `Constraints[0]: want an object, got the string "a"`,
		`{"Datacenters": ["a", 5]}`:    `Datacenters[1]: want a string, got the number 5`,
		`{"id": 5}`:                    `ID: want a string, got the number 5`,
		`{"ID": 5, "ID": "x"}`:         `json: cannot unmarshal number into Go struct field Job.ID of type fleet.JobID`,
		strings.Repeat("[", 1_000_000): "the body is not JSON: line 1: invalid character '[' exceeded max depth",
	} {
		_, err := ParseJSON([]byte(body))
		if err == nil || err.Error() != want {
			t.Errorf("%.80s\n got %v\nwant %s", body, err, want)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"Job": {"ID": "x", "Meta": {"a": "b"}, "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t", "Driver": "wasm", "Config": {"a": [1]}, "KillTimeout": "5s"}]}]}}`))
	f.Add([]byte(`{"ID": "x", "Periodic": {"Spec": "* * * * *"}, "Datacenters": null, "Priority": 1e3}`))
	f.Add([]byte(`{"job": {"taskGroups": [null, {}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := ParseJSON(b)
		if (j == nil) == (err == nil) {
			t.Fatalf("job %v, error %v", j, err)
		}
		if err == nil {
			j.Clone() // panics when a job does not encode
		}
	})
}
