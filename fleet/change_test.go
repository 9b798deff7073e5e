package fleet

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func sampleJob() *Job {
	j := &Job{ID: "shop", TaskGroups: []TaskGroup{
		{Name: "web", Tasks: []Task{
			{Name: "server", Driver: "wasm", Config: json.RawMessage(`{"module": "sha256:00", "args": ["a"]}`), Env: map[string]string{"A": "1"}},
		}, Disconnect: &Disconnect{LostAfter: Ptr(Duration(time.Hour)), StopOnClientAfter: Ptr(Duration(time.Minute))}},
		{Name: "db", Tasks: []Task{{Name: "store", Driver: "raw_exec"}}},
	}}
	Canonicalize(j)
	return j
}

func TestUpdateKind(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*Job)
		want Change
	}{
		"nothing":            {func(*Job) {}, ChangeNone},
		"bookkeeping":        {func(j *Job) { j.Version, j.JobModifyIndex, j.Stable = 4, 9, true }, ChangeNone},
		"another group":      {func(j *Job) { j.TaskGroups[1].Tasks[0].Driver = "wasm" }, ChangeNone},
		"order of groups":    {func(j *Job) { j.TaskGroups[0], j.TaskGroups[1] = j.TaskGroups[1], j.TaskGroups[0] }, ChangeNone},
		"count":              {func(j *Job) { j.TaskGroups[0].Count = Ptr(7) }, ChangeInPlace},
		"priority":           {func(j *Job) { j.Priority = Ptr(7) }, ChangeInPlace},
		"kill timeout":       {func(j *Job) { j.TaskGroups[0].Tasks[0].KillTimeout = Ptr(Duration(9)) }, ChangeInPlace},
		"restart policy":     {func(j *Job) { j.TaskGroups[0].RestartPolicy.Attempts = Ptr(9) }, ChangeInPlace},
		"job constraint":     {func(j *Job) { j.Constraints = []Constraint{{LTarget: "a"}} }, ChangeInPlace},
		"uncarried of job":   {func(j *Job) { j.Periodic = json.RawMessage(`{"Enabled":true}`) }, ChangeInPlace},
		"uncarried of task":  {func(j *Job) { j.TaskGroups[0].Tasks[0].Services = json.RawMessage(`[{}]`) }, ChangeInPlace},
		"disk":               {func(j *Job) { j.TaskGroups[0].EphemeralDisk = &EphemeralDisk{SizeMB: Ptr(7)} }, ChangeRestart},
		"a disk of nothing":  {func(j *Job) { j.TaskGroups[0].EphemeralDisk = &EphemeralDisk{SizeMB: Ptr(0)} }, ChangeNone},
		"uncarried resource": {func(j *Job) { j.TaskGroups[0].Tasks[0].Resources.DiskMB = json.RawMessage(`5`) }, ChangeInPlace},
		"job meta":           {func(j *Job) { j.Meta = map[string]string{"a": "b"} }, ChangeRestart},
		"job type":           {func(j *Job) { j.Type = JobTypeBatch }, ChangeRestart},
		"memory":             {func(j *Job) { j.TaskGroups[0].Tasks[0].Resources.MemoryMB = Ptr(7) }, ChangeRestart},
		"memory_max":         {func(j *Job) { j.TaskGroups[0].Tasks[0].Resources.MemoryMaxMB = Ptr(700) }, ChangeRestart},
		"memory_max of 0":    {func(j *Job) { j.TaskGroups[0].Tasks[0].Resources.MemoryMaxMB = Ptr(0) }, ChangeNone},
		"env":                {func(j *Job) { j.TaskGroups[0].Tasks[0].Env["A"] = "2" }, ChangeRestart},
		"config":             {func(j *Job) { j.TaskGroups[0].Tasks[0].Config = json.RawMessage(`{}`) }, ChangeRestart},
		"log limits":         {func(j *Job) { j.TaskGroups[0].Tasks[0].LogConfig.MaxFiles = Ptr(1) }, ChangeRestart},
		"a task more":        {func(j *Job) { j.TaskGroups[0].Tasks = append(j.TaskGroups[0].Tasks, Task{Name: "new"}) }, ChangeRestart},
		"another task":       {func(j *Job) { j.TaskGroups[0].Tasks[0].Name = "other" }, ChangeRestart},
		"both kinds":         {func(j *Job) { j.Priority = Ptr(7); j.TaskGroups[0].Tasks[0].Driver = "x" }, ChangeRestart},
	} {
		old, next := sampleJob(), sampleJob()
		tc.edit(next)
		Canonicalize(next)
		if got := UpdateKind(old.Group("web"), next.Group("web"), old, next); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// A job that was stored and read back asks for nothing; and a change that makes
// no difference in canonical bytes never restarts anything.
func TestUpdateKindOfEqualJobs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t)
		Canonicalize(j)
		stored := j.Clone()
		for i := range j.TaskGroups {
			g := &j.TaskGroups[i]
			if got := UpdateKind(g, stored.Group(g.Name), j, stored); got != ChangeNone {
				t.Fatalf("group %s: %s", g.Name, got)
			}
		}
	})
}

// Each tag is obeyed: changing any one field gives what its tag says.
func TestUpdateKindFollowsTags(t *testing.T) {
	var check func(v reflect.Value, inherited Change, job *Job, old *Job)
	check = func(v reflect.Value, inherited Change, job, old *Job) {
		for f := range v.Type().Fields() {
			want, fv := changeTag(f, inherited), v.FieldByIndex(f.Index)
			switch {
			case f.Anonymous:
				check(fv, want, job, old)
				continue
			case f.Type == reflect.TypeFor[[]TaskGroup](), f.Type == reflect.TypeFor[[]Task](), f.Tag.Get("hcl") == ",label":
				continue
			case f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct:
				check(fv.Elem(), want, job, old)
				continue
			}
			before := reflect.New(f.Type).Elem()
			before.Set(fv)
			fv.Set(different(fv))
			if got := UpdateKind(&old.TaskGroups[0], &job.TaskGroups[0], old, job); got != want {
				t.Errorf("%s.%s: %s, its tag says %s", v.Type().Name(), f.Name, got, want)
			}
			fv.Set(before)
		}
	}
	old, job := sampleJob(), sampleJob()
	for _, j := range []*Job{old, job} {
		j.Update, j.Migrate = &UpdateStrategy{}, &MigrateStrategy{}
		j.TaskGroups[0].EphemeralDisk = &EphemeralDisk{SizeMB: Ptr(7)}
		Canonicalize(j)
	}
	check(reflect.ValueOf(job).Elem(), ChangeNone, job, old)
	check(reflect.ValueOf(&job.TaskGroups[0]).Elem(), ChangeNone, job, old)
	check(reflect.ValueOf(&job.TaskGroups[0].Tasks[0]).Elem(), ChangeNone, job, old)
}

// different returns some other value of v's type.
func different(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		was := reflect.Zero(v.Type().Elem())
		if !v.IsNil() {
			was = v.Elem()
		}
		out.Set(reflect.New(v.Type().Elem()))
		out.Elem().Set(different(was))
	case reflect.String:
		out.SetString(v.String() + "x")
	case reflect.Bool:
		out.SetBool(!v.Bool())
	case reflect.Slice:
		out.Set(reflect.MakeSlice(v.Type(), v.Len()+1, v.Len()+1))
	case reflect.Map:
		out.Set(reflect.ValueOf(map[string]string{"different": ""}))
	case reflect.Uint64:
		out.SetUint(v.Uint() + 1)
	default:
		out.SetInt(v.Int() + 1)
	}
	return out
}
