package fleet

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Types of a difference.
const (
	DiffNone    = "None"
	DiffAdded   = "Added"
	DiffDeleted = "Deleted"
	DiffEdited  = "Edited"
)

// JobDiff is what changes from one job to another, in the public API's form.
type JobDiff struct {
	Type       string
	ID         JobID
	Fields     []FieldDiff
	Objects    []ObjectDiff
	TaskGroups []TaskGroupDiff
}

// TaskGroupDiff is what changes in one group. Updates counts what the plan does
// about it ("create", "destroy", …); the planner fills it in.
type TaskGroupDiff struct {
	Type    string
	Name    string
	Fields  []FieldDiff
	Objects []ObjectDiff
	Tasks   []TaskDiff
	Updates map[string]uint64 `json:",omitempty"`
}

// TaskDiff is what changes in one task.
type TaskDiff struct {
	Type        string
	Name        string
	Fields      []FieldDiff
	Objects     []ObjectDiff
	Annotations []string `json:",omitempty"`
}

// ObjectDiff is what changes in a nested object.
type ObjectDiff struct {
	Type    string
	Name    string
	Fields  []FieldDiff
	Objects []ObjectDiff
}

// FieldDiff is one changed value, as text.
type FieldDiff struct {
	Type        string
	Name        string
	Old         string
	New         string
	Annotations []string `json:",omitempty"`
}

// Diff says what changes from old to new; either may be nil. Defaults are filled
// in on copies first, so writing a default out is no difference. The order of
// lists (constraints, datacenters, groups, tasks) is none either: it makes a new
// version, but asks for nothing else.
func Diff(old, new *Job) *JobDiff {
	d := &JobDiff{Type: DiffNone}
	var a, b *Job
	if old != nil {
		d.ID, a = old.ID, diffable(old)
	}
	if new != nil {
		d.ID, b = new.ID, diffable(new)
	}
	d.Fields, d.Objects = diffStruct(valueOf(a), valueOf(b))
	if a != nil && b != nil && old.Stop != new.Stop { // registering starts a stopped job again
		d.Fields = append(d.Fields, FieldDiff{Type: DiffEdited, Name: "Stop",
			Old: strconv.FormatBool(old.Stop), New: strconv.FormatBool(new.Stop)})
	}
	d.TaskGroups = diffGroups(a, b)
	d.Type = diffType(a != nil, b != nil, len(d.Fields)+len(d.Objects)+len(d.TaskGroups))
	return d
}

func diffable(j *Job) *Job {
	c := j.Spec().Clone()
	Canonicalize(c)
	return c
}

func diffType(old, new bool, changes int) string {
	switch {
	case old == new && changes == 0 || !old && !new:
		return DiffNone
	case !old:
		return DiffAdded
	case !new:
		return DiffDeleted
	}
	return DiffEdited
}

func diffGroups(old, new *Job) []TaskGroupDiff {
	var was, is []TaskGroup
	if old != nil {
		was = old.TaskGroups
	}
	if new != nil {
		is = new.TaskGroups
	}
	var out []TaskGroupDiff
	pairs(was, is, func(g TaskGroup) string { return g.Name }, func(name string, a, b *TaskGroup) {
		d := TaskGroupDiff{Name: name, Tasks: diffTasks(a, b)}
		d.Fields, d.Objects = diffStruct(valueOf(a), valueOf(b))
		d.Type = diffType(a != nil, b != nil, len(d.Fields)+len(d.Objects)+len(d.Tasks))
		if d.Type != DiffNone {
			out = append(out, d)
		}
	})
	return out
}

func diffTasks(old, new *TaskGroup) []TaskDiff {
	var was, is []Task
	if old != nil {
		was = old.Tasks
	}
	if new != nil {
		is = new.Tasks
	}
	var out []TaskDiff
	pairs(was, is, func(t Task) string { return t.Name }, func(name string, a, b *Task) {
		d := TaskDiff{Name: name}
		d.Fields, d.Objects = diffStruct(valueOf(a), valueOf(b))
		d.Type = diffType(a != nil, b != nil, len(d.Fields)+len(d.Objects))
		if d.Type != DiffNone {
			out = append(out, d)
		}
	})
	return out
}

// pairs calls f once for each name in either list, by name, with nil where a
// list lacks it.
func pairs[T any](old, new []T, name func(T) string, f func(name string, old, new *T)) {
	was, is := map[string]*T{}, map[string]*T{}
	var names []string
	for i := range old {
		n := name(old[i])
		was[n], names = &old[i], append(names, n)
	}
	for i := range new {
		n := name(new[i])
		is[n], names = &new[i], append(names, n)
	}
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		f(n, was[n], is[n])
	}
}

// valueOf returns the struct p points to, or the invalid value for nil.
func valueOf[T any](p *T) reflect.Value {
	return reflect.ValueOf(p).Elem()
}

var rawType = reflect.TypeFor[json.RawMessage]()

// diffStruct compares two structs of one type field by field; the invalid value
// stands for an absent one. Labels, groups and tasks are left to the caller.
func diffStruct(old, new reflect.Value) (fields []FieldDiff, objects []ObjectDiff) {
	some := old
	if !some.IsValid() {
		some = new
	}
	if !some.IsValid() {
		return nil, nil
	}
	for f := range some.Type().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		name = cmp.Or(name, f.Name)
		a, b := fieldOf(old, f.Index), fieldOf(new, f.Index)
		switch {
		case f.Type == reflect.TypeFor[JobBookkeeping](), f.Name == "Name" && f.Tag.Get("hcl") == ",label" && some.Type() != reflect.TypeFor[RequestedDevice](), f.Type == reflect.TypeFor[JobID](),
			f.Type == reflect.TypeFor[[]TaskGroup](), f.Type == reflect.TypeFor[[]Task]():
		case f.Anonymous:
			fs, obs := diffStruct(a, b)
			fields, objects = append(fields, fs...), append(objects, obs...)
		case f.Type == rawType:
			fs, ob := diffRaw(name, a, b)
			fields, objects = append(fields, fs...), append(objects, ob...)
		case f.Type.Kind() == reflect.Map:
			fields = append(fields, diffText(mapText(name, a), mapText(name, b))...)
		case f.Type.Kind() == reflect.Slice:
			objects = append(objects, diffSet(singular(name), a, b)...)
		case f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct:
			objects = append(objects, diffObject(name, deref(a), deref(b))...)
		default:
			fields = append(fields, diffText(scalarText(name, a), scalarText(name, b))...)
		}
	}
	slices.SortStableFunc(fields, func(a, b FieldDiff) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(objects, func(a, b ObjectDiff) int { return cmp.Compare(a.Name, b.Name) })
	return fields, objects
}

func fieldOf(v reflect.Value, index []int) reflect.Value {
	if !v.IsValid() {
		return v
	}
	return v.FieldByIndex(index)
}

func deref(v reflect.Value) reflect.Value {
	if v.IsValid() && v.Kind() == reflect.Pointer {
		return v.Elem() // of a nil pointer: the invalid value
	}
	return v
}

func diffObject(name string, old, new reflect.Value) []ObjectDiff {
	d := ObjectDiff{Name: name}
	d.Fields, d.Objects = diffStruct(old, new)
	d.Type = diffType(old.IsValid(), new.IsValid(), len(d.Fields)+len(d.Objects))
	if d.Type == DiffNone {
		return nil
	}
	return []ObjectDiff{d}
}

// diffSet compares lists as sets with repeats: an element is there or not. That
// two elements are "the same, edited" would be a guess.
func diffSet(name string, old, new reflect.Value) []ObjectDiff {
	count := map[string]int{}
	elems := map[string]reflect.Value{}
	tally := func(v reflect.Value, by int) {
		for i := 0; v.IsValid() && i < v.Len(); i++ {
			key := elementKey(v.Index(i))
			count[key] += by
			elems[key] = v.Index(i)
		}
	}
	tally(old, -1)
	tally(new, 1)
	var out []ObjectDiff
	for _, key := range sortedKeys(count) {
		n, elem, none := count[key], elems[key], reflect.Value{}
		for ; n != 0; n -= sign(n) {
			a, b := elem, none
			if n > 0 {
				a, b = none, elem
			}
			if elem.Kind() == reflect.Struct {
				out = append(out, diffObject(name, a, b)...)
			} else {
				out = append(out, ObjectDiff{Type: diffType(a.IsValid(), b.IsValid(), 1), Name: name,
					Fields: diffText(scalarText(name, a), scalarText(name, b))})
			}
		}
	}
	return out
}

// elementKey is equal for equal elements: JSON follows pointers, which a print of
// the value would show as addresses.
func elementKey(v reflect.Value) string {
	b, err := json.Marshal(v.Interface())
	if err != nil {
		panic("fleet: an element of a job must encode: " + err.Error())
	}
	return string(b)
}

// singular is the name of one element of a list: "Affinity" of "Affinities".
func singular(plural string) string {
	if stem, ok := strings.CutSuffix(plural, "ies"); ok {
		return stem + "y"
	}
	return strings.TrimSuffix(plural, "s")
}

func sign(n int) int { return cmp.Compare(n, 0) }

// diffRaw compares raw JSON value by value: "a.b[0]".
func diffRaw(name string, old, new reflect.Value) ([]FieldDiff, []ObjectDiff) {
	was, is := rawText(old), rawText(new)
	changed := diffText(was, is)
	if len(changed) == 0 {
		return nil, nil
	}
	if _, scalar := was[""]; scalar || len(was) == 0 {
		if _, scalar := is[""]; scalar || len(is) == 0 {
			changed[0].Name = name
			return changed, nil
		}
	}
	return nil, []ObjectDiff{{Type: diffType(len(was) > 0, len(is) > 0, 1), Name: name, Fields: changed}}
}
