package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// VariablePrefixes begin the names of what tasks are told: each variable is there under
// the name of the field and under our own.
var VariablePrefixes = []string{"NOMAD_", "DUNLIN_"}

// Variable is one row of the table of what tasks are told in their environment.
type Variable struct {
	Name  string // behind the prefix; one that ends in _ goes on with a key
	Means string // with the unit
	Not   string // why no task has it; empty: they do
}

// MemoryMaxVariable is told to tasks that may exceed their memory, and to no others.
const MemoryMaxVariable = "MEMORY_MAX_LIMIT"

const (
	metaVariables   = "META_"
	deviceVariables = "DEVICE_"
)

// DeviceVariable is the name, without prefix, under which a task is told its devices of a kind: VENDOR/TYPE/NAME.
func DeviceVariable(kind string) string {
	return deviceVariables + strings.ToUpper(VariableKey((&RequestedDevice{Name: kind}).Kind()))
}

// TaskVariables is the table: what tasks are told, and what those of the field are told
// and ours are not. Ports add their own by label, see portVariables.
var TaskVariables = []Variable{
	{Name: "ALLOC_ID", Means: "ID of the allocation"},
	{Name: "SHORT_ALLOC_ID", Means: "its first eight characters"},
	{Name: "ALLOC_NAME", Means: "JOB.GROUP[INDEX]"},
	{Name: "ALLOC_INDEX", Means: "its index in the group, from 0; that of a replacement is the same"},
	{Name: "TASK_NAME", Means: "name of the task"},
	{Name: "GROUP_NAME", Means: "name of its group"},
	{Name: "JOB_ID", Means: "ID of the job"},
	{Name: "JOB_NAME", Means: "name of the job"},
	{Name: "NAMESPACE", Means: "namespace of the job"},
	{Name: "REGION", Means: "name of the region"},
	{Name: "DC", Means: "datacenter of the device"},
	{Name: "NODE_ID", Means: "ID of the device"},
	{Name: "NODE_NAME", Means: "name of the device"},
	{Name: "ALLOC_DIR", Means: "folder that the tasks of the group share; `/alloc` in a Wasm guest"},
	{Name: "TASK_DIR", Means: "folder of the task; `/local` in a Wasm guest"},
	{Name: "CPU_LIMIT", Means: "what the task asks for, MHz"},
	{Name: "MEMORY_LIMIT", Means: "what the task asks for, MiB"},
	{Name: MemoryMaxVariable, Means: "the limit, MiB; where the task has a larger `memory_max` and its region lets it take that"},
	{Name: metaVariables, Means: "the value of a meta key, the task's before the group's before the job's; the key as written and in capitals, with _ for what is no letter, digit or _"},
	{Name: deviceVariables, Means: "IDs of the devices of that type that the task holds, with commas between; the type in capitals, with _ for what is no letter, digit or _: `device \"nvidia/gpu\"` gives `DUNLIN_DEVICE_GPU`"},
	{Name: "SECRETS_DIR", Not: "there is no folder for secrets: one on the device's disk would promise what it does not keep"},
	{Name: "CPU_CORES", Not: "cores are not reserved"},
	{Name: "PARENT_CGROUP", Not: "tasks have no control group of their own"},
	{Name: "JOB_PARENT_ID", Not: "no job has a parent: periodic and dispatched ones are refused"},
	{Name: "TOKEN", Not: "workload identities are not issued"},
	{Name: "UNIX_ADDR", Not: "tasks have no way to the API of their own"},
	{Name: "UPSTREAM_", Not: "there is no service mesh"},
}

// portVariables begin what tasks are told of ports. Which labels there are, a device
// knows; it refuses the others.
var portVariables = []string{"PORT_", "IP_", "ADDR_", "HOST_PORT_", "HOST_IP_", "HOST_ADDR_", "ALLOC_PORT_"}

// VariableKey makes that part of a variable's name which a meta key gives.
func VariableKey(key string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' {
			return c
		}
		return '_'
	}, key)
}

// MetaVariables are the variables that meta keys give, by their names without prefix.
// Later maps win.
func MetaVariables(metas ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, meta := range metas {
		for _, k := range sortedKeys(meta) {
			name := VariableKey(k)
			out[metaVariables+name], out[metaVariables+strings.ToUpper(name)] = meta[k], meta[k]
		}
	}
	return out
}

// variable says why a task has no variable of this name; empty: it does, or may. metas
// is nil where meta itself is looked at.
func (t *Task) variable(name string, metas map[string]string) string {
	if _, ok := metas[name]; ok {
		return ""
	}
	begins := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	var names []string
	for _, v := range TaskVariables {
		same := name == v.Name || strings.HasSuffix(v.Name, "_") && begins(v.Name)
		switch {
		case same && v.Not != "":
			return v.Not
		case same && v.Name == metaVariables && metas == nil:
			return "values of meta do not see each other"
		case same && v.Name == metaVariables:
			return "neither the task, its group nor the job has such a meta key"
		case same && v.Name == deviceVariables && !slices.ContainsFunc(t.Resources.Devices, func(d RequestedDevice) bool { return DeviceVariable(d.Name) == name }):
			return "the task asks for no device of that type"
		case same && v.Name == MemoryMaxVariable && t.Resources.MemoryLimitMB(true) == t.Resources.MemoryLimitMB(false):
			return "the task has no memory_max above its memory"
		case same:
			return ""
		case v.Not == "":
			names = append(names, v.Name)
		}
	}
	if slices.ContainsFunc(portVariables, begins) {
		return ""
	}
	return "there are " + strings.Join(names, ", ")
}

// references refuses references of a task that no device could follow, and warns of
// those that only some drivers make good.
func (c *checker) references(path string, j *Job, g *TaskGroup, t *Task) {
	metas := MetaVariables(j.Meta, g.Meta, t.Meta)
	check := func(place, s string, metas, own map[string]string) {
		if _, err := Interpolate(s, func(text string) (string, error) { return "", c.reference(place, text, t, metas, own) }); err != nil {
			c.refuse(place, err.Error(), "")
		}
	}
	for _, k := range sortedKeys(t.Meta) {
		check(path+".Meta."+k, t.Meta[k], nil, nil)
	}
	for _, k := range sortedKeys(t.Env) {
		check(path+".Env."+k, t.Env[k], metas, nil)
	}
	// What is no JSON the check of the config has refused.
	_, _ = eachText(t.Config, func(place, s string) (string, error) {
		check(strings.TrimSuffix(path+".Config."+place, "."), s, metas, t.Env)
		return s, nil
	})
}

// outerReferences does the same for the meta of a job and of its groups.
func (c *checker) outerReferences(path string, meta map[string]string) {
	for _, k := range sortedKeys(meta) {
		place := path + "." + k
		if _, err := Interpolate(meta[k], func(text string) (string, error) {
			return "", c.reference(place, text, &Task{Resources: &Resources{}}, nil, nil)
		}); err != nil {
			c.refuse(place, err.Error(), "")
		}
	}
}

func (c *checker) reference(place, text string, t *Task, metas, own map[string]string) error {
	ref := ParseReference(text)
	switch ref.Kind {
	case RefAttr, RefMeta:
		return nil // the device's own: it says so if it has none
	case RefNode:
		fields := NodeFields(&Node{}, "")
		if _, ok := fields[ref.Key]; !ok {
			return fmt.Errorf("${%s} is no field of a device; there are node.%s", text, strings.Join(slices.Sorted(maps.Keys(fields)), ", node."))
		}
		return nil
	case "":
		return fmt.Errorf("${%s} refers to nothing; %s", clip(text), ReferenceForms)
	}
	if _, ok := own[ref.Key]; ok {
		return nil
	}
	for _, prefix := range VariablePrefixes {
		if name, ok := strings.CutPrefix(ref.Key, prefix); ok {
			if why := t.variable(name, metas); why != "" {
				return fmt.Errorf("${%s}: tasks have no variable %s: %s", text, ref.Key, why)
			}
			return nil
		}
	}
	switch _, ok := t.Env[ref.Key]; {
	case ok && !strings.HasSuffix(place, ".Env."+ref.Key):
		return fmt.Errorf("${%s}: values of env and meta see what the task is given and not those of env; write the value itself, or use a local of the job file", text)
	case ref.Bare && !ok:
		return fmt.Errorf("${%s} refers to nothing; %s", clip(text), ReferenceForms)
	}
	c.warn(place, fmt.Sprintf("${%s}: whether a task is given a variable %s depends on its driver; where it is not, the task does not start", text, ref.Key))
	return nil
}
