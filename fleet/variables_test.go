package fleet

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestValidateReferences(t *testing.T) {
	const task, forms = "TaskGroups[0].Tasks[0]", "references are ${NOMAD_…}"
	env := func(v string) func(*Job) {
		return func(j *Job) { j.TaskGroups[0].Tasks[0].Env = map[string]string{"A": v, "OTHER": "x"} }
	}
	config := func(raw string) func(*Job) {
		return func(j *Job) {
			j.TaskGroups[0].Tasks[0].Env, j.TaskGroups[0].Tasks[0].Config = map[string]string{"OWN": "x"}, json.RawMessage(raw)
		}
	}
	meta := func(v string) func(*Job) {
		return func(j *Job) { j.Meta = map[string]string{"floor-no": v} }
	}
	for name, tc := range map[string]struct {
		edit func(*Job)
		want []string // all problems, by their beginnings, warnings with an ! before; none: it is right
	}{
		"what is known": {env(`${NOMAD_ALLOC_ID} ${DUNLIN_DC} ${node.class} ${node.unique.id} ${attr.x.y} ${meta.z} ${env["NOMAD_JOB_ID"]} $${HOME} ${NOMAD_PORT_http}`), nil},
		"own in config": {config(`{"args":["${OWN}","${env[\"OWN\"]}","${env.OWN}","${NOMAD_TASK_DIR}/x"]}`), nil},
		"meta": {func(j *Job) {
			meta("${node.datacenter}")(j)
			env("${NOMAD_META_floor_no} ${DUNLIN_META_FLOOR_NO}")(j)
		}, nil},
		"may exceed": {func(j *Job) {
			env("${NOMAD_MEMORY_MAX_LIMIT}")(j)
			r := j.TaskGroups[0].Tasks[0].Resources
			r.MemoryMaxMB = Ptr(*r.MemoryMB + 1)
		}, nil},
		"may not exceed":     {env("${NOMAD_MEMORY_MAX_LIMIT}"), []string{task + ".Env.A: ${NOMAD_MEMORY_MAX_LIMIT}: tasks have no variable NOMAD_MEMORY_MAX_LIMIT: the task has no memory_max"}},
		"no such variable":   {env("${NOMAD_JOB}"), []string{task + ".Env.A: ${NOMAD_JOB}: tasks have no variable NOMAD_JOB: there are ALLOC_ID, SHORT_ALLOC_ID, "}},
		"the field's only":   {env("${NOMAD_SECRETS_DIR}/key"), []string{task + ".Env.A: ${NOMAD_SECRETS_DIR}: tasks have no variable NOMAD_SECRETS_DIR: there is no folder for secrets"}},
		"no such meta":       {env("${NOMAD_META_none}"), []string{task + ".Env.A: ${NOMAD_META_none}: tasks have no variable NOMAD_META_none: neither the task"}},
		"no field":           {env("${node.name}"), []string{task + ".Env.A: ${node.name} is no field of a device; there are node.class, node.datacenter, "}},
		"shell":              {config(`{"args":["-c","echo ${HOME}"]}`), []string{task + ".Config.args[1]: ${HOME} refers to nothing; " + forms}},
		"no kind":            {config(`{"a":{"b":"${device.model}"}}`), []string{task + ".Config.a.b: ${device.model} refers to nothing; " + forms}},
		"no end":             {env("${node.class"), []string{task + `.Env.A: "${node.class" has ${ without }; ` + forms}},
		"own in env":         {env("${OTHER}"), []string{task + ".Env.A: ${OTHER}: values of env and meta see what the task is given"}},
		"meta of meta":       {meta("${NOMAD_META_x}"), []string{"Meta.floor-no: ${NOMAD_META_x}: tasks have no variable NOMAD_META_x: values of meta do not see each other"}},
		"a driver's":         {env(`${env["HOME"]}`), []string{"!" + task + `.Env.A: ${env["HOME"]}: whether a task is given a variable HOME depends on its driver`}},
		"itself":             {env(`/x:${env["A"]}`), []string{"!" + task + `.Env.A: ${env["A"]}: whether`}},
		"each value is said": {config(`{"a":"${x}","b":["${y}"]}`), []string{task + ".Config.a: ${x}", task + ".Config.b[0]: ${y}"}},
	} {
		j := sampleJob()
		tc.edit(j)
		Canonicalize(j)
		var got []string
		for _, p := range Validate(j, okConfig) {
			mark := ""
			if p.Warning {
				mark = "!"
			}
			if s := mark + p.String(); strings.Contains(s, "${") {
				got = append(got, s)
			}
		}
		if !slices.EqualFunc(got, tc.want, strings.HasPrefix) {
			t.Errorf("%s: %q; want %q", name, got, tc.want)
		}
	}
}

func TestVariablesAreNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range TaskVariables {
		if seen[v.Name] || (v.Means == "") == (v.Not == "") {
			t.Errorf("%+v", v)
		}
		seen[v.Name] = true
	}
}
