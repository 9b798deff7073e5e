package fleet

import "reflect"

// Change is what an update of a job does to a running allocation.
type Change int

const (
	// ChangeNone: nothing the allocation or its explanation shows has changed.
	ChangeNone Change = iota
	// ChangeInPlace: the allocation takes the new version and goes on running.
	ChangeInPlace
	// ChangeRestart: the allocation is replaced.
	ChangeRestart
)

// String returns the tag's word for c.
func (c Change) String() string {
	switch c {
	case ChangeInPlace:
		return "inplace"
	case ChangeRestart:
		return "restart"
	}
	return "none"
}

// UpdateKind says what replacing oldJob by newJob does to a running allocation
// of the group. All four must be canonical; old and new are groups of the same
// name in the two jobs. What a field does is its `change` tag; fields of the job
// count for every group of it, another group's fields do not. Fields that are
// not carried out change nothing on a device, yet count as in-place: the job
// version that an allocation shows should be one that reads like the job. It is
// meant to be asked once per pair of versions, not once per allocation.
func UpdateKind(old, new *TaskGroup, oldJob, newJob *Job) Change {
	c := max(
		changeOf(valueOf(oldJob), valueOf(newJob), ChangeNone),
		changeOf(valueOf(old), valueOf(new), ChangeNone),
	)
	pairs(old.Tasks, new.Tasks, func(t Task) string { return t.Name }, func(_ string, a, b *Task) {
		if a == nil || b == nil {
			c = ChangeRestart
			return
		}
		c = max(c, changeOf(valueOf(a), valueOf(b), ChangeNone))
	})
	return c
}

// changeOf returns the strongest change among the fields of two structs of one
// type. Fields without a tag of their own, as in the embedded structs of
// uncarried fields, take what their struct was tagged with.
func changeOf(old, new reflect.Value, inherited Change) Change {
	strongest := ChangeNone
	for f := range old.Type().Fields() {
		kind := changeTag(f, inherited)
		a, b := old.FieldByIndex(f.Index), new.FieldByIndex(f.Index)
		switch {
		case f.Anonymous:
			strongest = max(strongest, changeOf(a, b, kind))
		case f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct && !a.IsNil() && !b.IsNil():
			strongest = max(strongest, changeOf(a.Elem(), b.Elem(), kind))
		case kind > strongest && !reflect.DeepEqual(a.Interface(), b.Interface()):
			strongest = kind
		}
	}
	return strongest
}

func changeTag(f reflect.StructField, inherited Change) Change {
	switch f.Tag.Get("change") {
	case "inplace":
		return ChangeInPlace
	case "restart":
		return ChangeRestart
	case "none":
		return ChangeNone
	}
	return inherited
}
