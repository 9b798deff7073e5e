package fleet

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// specTypes calls f for each struct of a job's specification, with the struct
// field that embeds or refers to it.
func specTypes(t reflect.Type, seen map[reflect.Type]bool, f func(reflect.Type)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] || t == reflect.TypeFor[JobBookkeeping]() {
		return
	}
	seen[t] = true
	f(t)
	for sf := range t.Fields() {
		specTypes(sf.Type, seen, f)
	}
}

// Fields that job files cannot set, and why.
var notInJobFiles = map[string]string{
	"TaskUncarried.Identities":  "job files write identity blocks, which go to Identity",
	"Network.DynamicPorts":      "job files write port blocks, which SortPorts moves",
	"Network.ReservedPorts":     "job files write port blocks, which SortPorts moves",
	"NetworkUncarried.Device":   "what the field's servers fill in; old clients send it back",
	"NetworkUncarried.CIDR":     "what the field's servers fill in; old clients send it back",
	"NetworkUncarried.IP":       "what the field's servers fill in; old clients send it back",
	"ResourcesUncarried.IOPS":   "the field took it out of its job files long ago; old clients still send it",
	"ResourcesUncarried.Custom": "has no form in job files yet",
}

// One struct, one place to touch: a field without its tags would be ignored by
// the job file decoder, or its changes would never reach a device.
func TestEveryFieldSaysWhatItIs(t *testing.T) {
	excused := map[string]bool{}
	specTypes(reflect.TypeFor[Job](), map[reflect.Type]bool{}, func(typ reflect.Type) {
		uncarried := strings.HasSuffix(typ.Name(), "Uncarried")
		for f := range typ.Fields() {
			name := typ.Name() + "." + f.Name
			change, tagged := f.Tag.Lookup("change")
			switch {
			case uncarried:
				if tagged || f.Type != rawType || !strings.HasSuffix(f.Tag.Get("json"), ",omitempty") {
					t.Errorf("%s: want raw JSON with omitempty, and the change tag on the embedded struct alone", name)
				}
			case change != "inplace" && change != "restart" && change != "none":
				t.Errorf("%s: change tag is %q", name, change)
			}
			if f.Anonymous {
				continue
			}
			if _, ok := f.Tag.Lookup("hcl"); !ok {
				if notInJobFiles[name] == "" {
					t.Errorf("%s has no hcl tag; job files cannot set it", name)
				}
				excused[name] = true
			}
		}
	})
	for name := range notInJobFiles {
		if !excused[name] {
			t.Errorf("%s is excused but not there, or has a tag", name)
		}
	}
}

// Nothing is dropped in silence: each raw field has a row, each row a field.
func TestUncarriedTableIsComplete(t *testing.T) {
	fields := map[string]bool{}
	for noun, block := range map[string]any{
		"Job": &Job{}, "Group": &TaskGroup{}, "Task": &Task{}, "Resources": &Resources{}, "LogConfig": &LogConfig{},
		"Volume": &Volume{}, "VolumeMount": &VolumeMount{},
		"Network": &Network{}, "Port": &Port{}, "Device": &RequestedDevice{},
	} {
		rawFields(block, func(name string, _ *json.RawMessage) { fields[noun+"."+name] = true })
	}
	delete(fields, "Task.Config") // its driver reads it
	for name := range fields {
		if uncarried[name].Why == "" {
			t.Errorf("%s has no row in uncarried", name)
		}
	}
	for name := range uncarried {
		if !fields[name] {
			t.Errorf("uncarried has a row for %s, which is no field", name)
		}
	}
	// A struct that specTypes finds and the list above lacks would be unchecked.
	specTypes(reflect.TypeFor[Job](), map[reflect.Type]bool{}, func(typ reflect.Type) {
		for f := range typ.Fields() {
			noun := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(typ.Name(), "Task"), "Requested"), "Uncarried")
			if typ == reflect.TypeFor[Task]() || typ == reflect.TypeFor[TaskUncarried]() {
				noun = "Task"
			}
			if f.Type == rawType && !fields[noun+"."+f.Name] && noun+"."+f.Name != "Task.Config" {
				t.Errorf("%s.%s is raw JSON that no noun reports", typ.Name(), f.Name)
			}
		}
	})
}
