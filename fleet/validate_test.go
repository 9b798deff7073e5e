package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func okConfig(string, json.RawMessage) error { return nil }

func TestValidateAccepts(t *testing.T) {
	if ps := Validate(sampleJob(), okConfig); len(ps) > 0 {
		t.Errorf("%v", ps)
	}
}

func TestValidateMessages(t *testing.T) {
	long := strings.Repeat("x", JobIDBytesMax+1)
	group := func(f func(*TaskGroup)) func(*Job) { return func(j *Job) { f(&j.TaskGroups[0]) } }
	task := func(f func(*Task)) func(*Job) { return func(j *Job) { f(&j.TaskGroups[0].Tasks[0]) } }
	rule := func(l, op, r string) func(*Job) {
		return func(j *Job) { j.Constraints = []Constraint{{LTarget: l, RTarget: r, Operand: op}} }
	}
	const g, k = "TaskGroups[0]", "TaskGroups[0].Tasks[0]"
	for _, tc := range []struct {
		edit func(*Job)
		want string
	}{
		{func(j *Job) { j.ID, j.Name = "", "" }, "ID: the name is empty"},
		{group(func(g *TaskGroup) { g.Disconnect.Reconcile = Ptr("newest") }),
			g + `.Disconnect.Reconcile: unknown word "newest"; use best_score, longest_running, keep_original or keep_replacement`},
		{group(func(g *TaskGroup) { g.Disconnect.StopOnClientAfter = Ptr(Duration(time.Second)) }),
			g + ".Disconnect.StopOnClientAfter: 1s is shorter than many a pause of a link; use at least 10s, or leave it out"},
		{group(func(g *TaskGroup) { g.Disconnect.LostAfter = Ptr(Duration(-1)) }), g + ".Disconnect.LostAfter: -1ns is out of range"},
		{func(j *Job) { j.ID = "a b" }, `ID: "a b" contains a space; use dashes`},
		{func(j *Job) { j.ID = "a/b" }, `ID: "a/b" contains a slash or a control character; use letters, digits, dots and dashes`},
		{func(j *Job) { j.ID = ".." }, `ID: ".." contains a slash`},
		{func(j *Job) { j.Name = long }, `Name: "xxxxxxxxxxxxxxxxxxxx"… has 129 bytes; at most 128`},
		{func(j *Job) { j.Type, j.TaskGroups[0].Count = "system", Ptr(3) }, `TaskGroups[0].Count: a system job runs once on each node, and the count is 3; leave count out`},
		{func(j *Job) { j.Type, j.TaskGroups[0].ReschedulePolicy.Attempts = "sysbatch", Ptr(1) }, `TaskGroups[0].ReschedulePolicy: a sysbatch job is not rescheduled`},
		{func(j *Job) { j.Type, j.Constraints = "system", []Constraint{{Operand: "distinct_hosts"}} }, `Constraints[0]: distinct_hosts has no meaning in a system job; leave it out`},
		{func(j *Job) { j.Type = "cron" }, `Type: unknown job type "cron"; use service, batch, system or sysbatch`},
		{func(j *Job) { j.Priority = Ptr(0) }, "Priority: 0 is out of range; use 1 to 100"},
		{func(j *Job) { j.Priority = Ptr(101) }, "Priority: 101 is out of range"},
		{func(j *Job) { j.Namespace = "ops" }, `Namespace: namespace "ops" does not exist; use default`},
		{func(j *Job) { j.NodePool = "gpu pool" }, `NodePool: "gpu pool" is no name of a node pool: use 1 to 128 letters`},
		{func(j *Job) { j.Datacenters = []string{"a", " "} }, "Datacenters[1]: a datacenter's name is empty"},
		{func(j *Job) { j.TaskGroups = nil }, "TaskGroups: the job has no group; add group"},
		{func(j *Job) { j.TaskGroups = make([]TaskGroup, GroupsMax+1) }, "TaskGroups: 65 groups; at most 64"},
		{func(j *Job) { j.TaskGroups[1].Name = "web" }, `TaskGroups[1].Name: two groups are named "web"; give each its own name`},
		{group(func(g *TaskGroup) { g.Name = "" }), g + ".Name: the name is empty"},
		{group(func(g *TaskGroup) { g.Count = Ptr(-1) }), g + ".Count: -1 is out of range; use 0 to 100000"},
		{group(func(g *TaskGroup) { g.Tasks = nil }), g + `.Tasks: group "web" has no task; add task`},
		{group(func(g *TaskGroup) { g.Tasks = make([]Task, TasksMax+1) }), g + ".Tasks: 65 tasks; at most 64"},
		{group(func(g *TaskGroup) { g.Tasks = append(g.Tasks, g.Tasks[0]) }), g + `.Tasks[1].Name: two tasks of group "web" are named "server"`},
		{group(func(g *TaskGroup) { g.Meta = map[string]string{"big": strings.Repeat("x", MetaValueBytesMax+1)} }), g + ".Meta.big: the value has 65537 bytes; at most 65536"},
		{group(func(g *TaskGroup) { g.RestartPolicy.Attempts = Ptr(-1) }), g + ".RestartPolicy.Attempts: -1 is negative; use 0 for no restart"},
		{group(func(g *TaskGroup) { g.RestartPolicy.Mode = Ptr("never") }), g + `.RestartPolicy.Mode: unknown mode "never"; use fail or delay`},
		{group(func(g *TaskGroup) { g.RestartPolicy.Interval = Ptr(Duration(0)) }), g + ".RestartPolicy.Interval: attempts are counted within an interval, which is 0; set interval"},
		{group(func(g *TaskGroup) { g.RestartPolicy.Delay = Ptr(Duration(-time.Second)) }), g + ".RestartPolicy.Delay: -1s is out of range; use 0 to five years"},
		{group(func(g *TaskGroup) { g.ReschedulePolicy.Attempts = Ptr(-1) }), g + ".ReschedulePolicy.Attempts: -1 is negative; use 0 for none"},
		{group(func(g *TaskGroup) { g.ReschedulePolicy.Attempts = Ptr(1) }), g + ".ReschedulePolicy.Unlimited: unlimited with 1 attempts is a contradiction"},
		{group(func(g *TaskGroup) { g.ReschedulePolicy.Attempts = Ptr(1) }), g + ".ReschedulePolicy.Interval: attempts are counted within an interval"},
		{group(func(g *TaskGroup) { g.ReschedulePolicy.Attempts = Ptr(11) }), g + ".ReschedulePolicy.Attempts: 11 is more than 10, which is how many are remembered"},
		{group(func(g *TaskGroup) { g.ReschedulePolicy.MaxDelay = Ptr(Duration(time.Second)) }), g + ".ReschedulePolicy.MaxDelay: 1s is shorter than delay, 30s; make it longer"},
		{group(func(g *TaskGroup) { g.ReschedulePolicy.DelayFunction = Ptr("log") }), g + `.ReschedulePolicy.DelayFunction: unknown function "log"; use constant, exponential or fibonacci`},
		{group(func(g *TaskGroup) { g.ReschedulePolicy.MaxDelay = Ptr(Duration(DurationMax + 1)) }), g + ".ReschedulePolicy.MaxDelay: 43800h0m0.000000001s is out of range"},
		{task(func(t *Task) { t.Driver = "" }), k + `.Driver: task "server" names no driver; write driver = "wasm"`},
		{task(func(t *Task) { t.Driver = "broken" }), k + ".Config: driver broken refuses {\"args\":[\"a\"],\"module\":\"sha256:00\"}"},
		{task(func(t *Task) { t.Resources.CPU = Ptr(0) }), k + ".Resources.CPU: cpu is 0; ask for at least 1 MHz"},
		{task(func(t *Task) { t.Resources.MemoryMB = Ptr(-5) }), k + ".Resources.MemoryMB: memory is -5; ask for at least 1 MiB"},
		{task(func(t *Task) { t.KillTimeout = Ptr(Duration(-1)) }), k + ".KillTimeout: -1ns is out of range"},
		{task(func(t *Task) { t.LogConfig.MaxFiles = Ptr(0) }), k + ".LogConfig.MaxFiles: 0 is out of range; use 1 to 1000"},
		{task(func(t *Task) { t.LogConfig.MaxFileSizeMB = Ptr(0) }), k + ".LogConfig.MaxFileSizeMB: 0 is out of range; use 1 to 10000 (MiB)"},
		{task(func(t *Task) { t.Env = map[string]string{"A=B": ""} }), k + `.Env: "A=B" is not a variable name; leave out = and empty names`},
		{task(func(t *Task) { t.Env = map[string]string{"": "x"} }), k + `.Env: "" is not a variable name`},
		{rule("a", "~=", "b"), `Constraints[0].Operand: unknown operator "~="; use one of = != <`},
		{rule("", "distinct_hosts", "maybe"), `Constraints[0].RTarget: distinct_hosts takes true or false, not "maybe"`},
		{rule("", "=", "x"), `Constraints[0].LTarget: the rule names no attribute; write attribute = "${attr.…}"`},
		{rule("a", "regexp", "("), `Constraints[0].RTarget: "(" is not a regular expression`},
		{rule("a", "version", "new"), `Constraints[0].RTarget: "new" is not a version (want for example 1.2.3); write for example ">= 1.2, < 2.0"`},
		{rule("a", "version", "=> 1"), `Constraints[0].RTarget: "=>" is not a version operator`},
		{rule("a", "version", ">= 1,"), `Constraints[0].RTarget: ">= 1," has an empty version bound`},
		{rule("a", "semver", "~> 1.2"), `Constraints[0].RTarget: "~> 1.2": semver knows no ~>, which the operator version does`},
		{rule("a", "semver", "> 1.2.3.4"), `Constraints[0].RTarget: "> 1.2.3.4": a semantic version has three numbers`},
		{rule("a", "distinct_property", "0"), `Constraints[0].RTarget: distinct_property takes how many may have one value, not "0"; write a number`},
		{func(j *Job) {
			j.Type = JobTypeSystem
			j.Constraints = []Constraint{{LTarget: "a", Operand: OpDistinctProperty}}
		}, "Constraints[0].Operand: a job of type system runs on every node that may take it, however many have one value"},
		{rule("", "distinct_property", ""), `Constraints[0].LTarget: the rule names no attribute`},
	} {
		j := sampleJob()
		tc.edit(j)
		fillPointers(j)
		ps := Validate(j, func(driver string, config json.RawMessage) error {
			if driver == "broken" {
				return fmt.Errorf("driver %s refuses %s", driver, config)
			}
			return nil
		})
		found := slices.ContainsFunc(ps, func(p Problem) bool { return !p.Warning && strings.HasPrefix(p.String(), tc.want) })
		if !found || ps.Err() == nil {
			t.Errorf("want %s\ngot  %v", tc.want, ps)
		}
	}
}

// fillPointers canonicalises groups and tasks that an edit added, without the
// defaults of names that an edit emptied.
func fillPointers(j *Job) {
	for i := range j.TaskGroups {
		canonicalGroup(&j.TaskGroups[i], j.Type)
		canonicalSteps(j, &j.TaskGroups[i])
	}
}

func TestValidateSecretsWarn(t *testing.T) {
	j := sampleJob()
	j.TaskGroups[0].Tasks[0].Env = map[string]string{"DB_PASSWORD": "x", "API_TOKEN": "", "PLAIN": "x"}
	ps := Validate(j, nil)
	if ps.Err() != nil || len(ps.Warnings()) != 1 || !strings.HasPrefix(ps.Warnings()[0], "TaskGroups[0].Tasks[0].Env.DB_PASSWORD: DB_PASSWORD looks like a secret") {
		t.Errorf("%v", ps)
	}
}

func TestValidateDisconnectWarns(t *testing.T) {
	for want, edit := range map[string]func(*Disconnect){
		"a device stops its work 2h0m0s after it lost contact": func(d *Disconnect) { d.StopOnClientAfter = Ptr(Duration(2 * time.Hour)) },
		"it has no meaning with replace = false":               func(d *Disconnect) { d.Replace = Ptr(false) },
	} {
		j := sampleJob()
		edit(j.TaskGroups[0].Disconnect)
		ps := Validate(j, nil)
		if ps.Err() != nil || len(ps.Warnings()) != 1 || !strings.Contains(ps.Warnings()[0], want) {
			t.Errorf("%v", ps)
		}
	}
}

// Each field that is not carried out says so, by its verdict, at its path.
func TestValidateUncarried(t *testing.T) {
	for _, noun := range []string{"Job", "Group", "Task", "Resources", "LogConfig", "Volume", "VolumeMount"} {
		blocks := func(j *Job) (string, any) {
			g := &j.TaskGroups[0]
			switch noun {
			case "Job":
				return "", &j.JobUncarried
			case "Group":
				return "TaskGroups[0].", &g.GroupUncarried
			case "Task":
				return "TaskGroups[0].Tasks[0].", &g.Tasks[0].TaskUncarried
			case "Volume", "VolumeMount":
				g.Volumes = Volumes{{Name: "v", Type: VolumeTypeHost, Source: "s"}}
				g.Tasks[0].VolumeMounts = []VolumeMount{{Volume: "v", Destination: "/v"}}
				if noun == "Volume" {
					return "TaskGroups[0].Volumes[0].", &g.Volumes[0]
				}
				return "TaskGroups[0].Tasks[0].VolumeMounts[0].", &g.Tasks[0].VolumeMounts[0]
			case "Resources":
				return "TaskGroups[0].Tasks[0].Resources.", g.Tasks[0].Resources
			}
			return "TaskGroups[0].Tasks[0].LogConfig.", g.Tasks[0].LogConfig
		}
		var names []string
		_, block := blocks(sampleJob())
		rawFields(block, func(name string, _ *json.RawMessage) { names = append(names, name) })
		for _, name := range names {
			j := sampleJob()
			path, block := blocks(j)
			rawFields(block, func(n string, raw *json.RawMessage) {
				if n == name {
					*raw = json.RawMessage(`{"Asks":"for something"}`)
				}
			})
			ps := Validate(j, nil)
			row := uncarried[noun+"."+name]
			if len(ps) != 1 || ps[0].Path != path+name || ps[0].Warning != (row.Verdict == Warn) || !strings.HasSuffix(ps[0].Message, row.Why) {
				t.Errorf("%s.%s: %v", noun, name, ps)
			}
		}
	}
}

func TestProblemsErr(t *testing.T) {
	ps := Problems{{Path: "A", Message: "bad", Fix: "mend"}, {Path: "B", Message: "odd", Warning: true}, {Path: "C", Message: "worse"}}
	if err := ps.Err(); err == nil || err.Error() != "A: bad; mend\nC: worse" {
		t.Errorf("%v", err)
	}
	if w := ps.Warnings(); !slices.Equal(w, []string{"B: odd"}) {
		t.Errorf("%v", w)
	}
	if err := (Problems{ps[1]}).Err(); err != nil {
		t.Errorf("%v", err)
	}
}

// Validate answers about any canonical job without a panic, and paths are of
// the form that jobspec looks up.
func TestValidateNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		Canonicalize(j)
		for _, p := range Validate(j, func(string, json.RawMessage) error { return errors.New("no") }) {
			if p.Path == "" || p.Message == "" || strings.HasPrefix(p.Path, ".") {
				t.Fatalf("%+v", p)
			}
		}
	})
}

// The body of a register request as the official Go client sends it: null for
// what the user left out, its own defaults for some of the rest.
const clientJob = `{
  "Region": null, "Namespace": null, "ID": "cache", "Name": "cache", "Type": "service", "Priority": 50, "AllAtOnce": null,
  "Datacenters": ["dc1"], "NodePool": "", "Constraints": null, "Affinities": null, "Update": null, "Multiregion": null,
  "Spreads": null, "Periodic": null, "ParameterizedJob": null, "Reschedule": null, "Migrate": null, "Meta": {}, "UI": null,
  "ConsulToken": null, "VaultToken": null, "VersionTag": null, "Stop": null, "ParentID": null, "Dispatched": false,
  "DispatchIdempotencyToken": null, "Payload": null, "ConsulNamespace": null, "VaultNamespace": null, "NomadTokenID": null,
  "Status": null, "StatusDescription": null, "Stable": null, "Version": null, "SubmitTime": null, "CreateIndex": null,
  "ModifyIndex": null, "JobModifyIndex": null,
  "TaskGroups": [{
    "Name": "g", "Count": 1, "Constraints": [], "Affinities": null, "Spreads": [], "Volumes": null, "Update": null, "Migrate": null,
    "RestartPolicy": {"Interval": null, "Attempts": 1, "Delay": null, "Mode": "fail", "RenderTemplates": false},
    "ReschedulePolicy": null, "Disconnect": null, "Networks": null, "Services": null, "Scaling": null, "ShutdownDelay": null,
    "EphemeralDisk": {"Sticky": false, "Migrate": false, "SizeMB": 300}, "Meta": null, "StopAfterClientDisconnect": null,
    "MaxClientDisconnect": null, "MaxRunDuration": null, "PreventRescheduleOnLost": false,
    "Consul": {"Namespace": "", "Cluster": "default", "Partition": ""},
    "Tasks": [{
      "Name": "t", "Driver": "wasm", "User": "", "Lifecycle": null, "Config": {"module": "sha256:00"}, "Constraints": null,
      "Affinities": null, "Env": {}, "Services": null,
      "Resources": {"CPU": 100, "Cores": 0, "MemoryMB": 64, "MemoryMaxMB": 0, "DiskMB": null, "Networks": null, "Devices": [], "NUMA": null, "SecretsMB": null, "IOPS": null},
      "RestartPolicy": null, "Meta": null, "KillTimeout": null, "LogConfig": {"MaxFiles": null, "MaxFileSizeMB": 10, "Enabled": null, "Disabled": false},
      "Artifacts": null, "Vault": null, "Consul": null, "Templates": [], "DispatchPayload": null, "VolumeMounts": null, "CSIPluginConfig": null,
      "Leader": false, "ShutdownDelay": 0, "KillSignal": "", "Kind": "", "ScalingPolicies": null, "Identity": null, "Identities": null,
      "Actions": null, "Schedule": null, "Secrets": null
    }]
  }]
}`

func TestOfficialClientJSON(t *testing.T) {
	var j Job
	if err := json.Unmarshal([]byte(clientJob), &j); err != nil {
		t.Fatal(err)
	}
	Canonicalize(&j)
	if ps := Validate(&j, okConfig); len(ps) > 0 {
		t.Errorf("%v", ps)
	}
	g := &j.TaskGroups[0]
	if *g.RestartPolicy.Attempts != 1 || g.RestartPolicy.Interval.Std() != 30*time.Minute || *g.Tasks[0].Resources.MemoryMB != 64 || j.Region != DefaultRegion {
		t.Errorf("%s", encodeJSON(j))
	}
	var plain Job
	if err := json.Unmarshal([]byte(`{"ID": "cache", "Datacenters": ["dc1"], "TaskGroups": [{"Name": "g", "RestartPolicy": {"Attempts": 1},
		"EphemeralDisk": {"SizeMB": 300, "Sticky": false, "Migrate": false}, "Consul": {"Partition": "", "Namespace": "", "Cluster": "default"},
		"Tasks": [{"Name": "t", "Driver": "wasm", "Config": {"module": "sha256:00"}, "Resources": {"MemoryMB": 64}}]}]}`), &plain); err != nil {
		t.Fatal(err)
	}
	if a, b := CanonicalBytes(&j), CanonicalBytes(&plain); string(a) != string(b) {
		t.Errorf("empty fields make a version:\n%s\n%s", a, b)
	}
}

func TestGroupResources(t *testing.T) {
	j := sampleJob()
	g := j.Group("web")
	if got := g.Ask(); got != (Ask{CPU: 100, MemoryMB: 300}) {
		t.Errorf("%+v", got)
	}
	g.EphemeralDisk = &EphemeralDisk{SizeMB: Ptr(70)}
	if got := g.Ask(); got != (Ask{CPU: 100, MemoryMB: 300, DiskMB: 70}) || g.Resources(false).Shared.DiskMB != 70 {
		t.Errorf("%+v", got)
	}
	if names := slices.Collect(maps.Keys(g.Resources(false).Tasks)); !slices.Equal(names, []string{"server"}) || g.Task("server") == nil || g.Task("x") != nil || j.Group("x") != nil {
		t.Errorf("%v", names)
	}
}
