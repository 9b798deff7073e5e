package fleet

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// A difference shows every value as text; here is how values become it.

// rawText flattens raw JSON into path → text. A scalar has the empty path.
func rawText(v reflect.Value) map[string]string {
	out := map[string]string{}
	if !v.IsValid() || v.Len() == 0 {
		return out
	}
	dec := json.NewDecoder(strings.NewReader(string(v.Bytes())))
	dec.UseNumber()
	var tree any
	if dec.Decode(&tree) != nil {
		out[""] = string(v.Bytes()) // Validate refuses it; a diff still shows it
		return out
	}
	flatten("", tree, out)
	return out
}

// flatten gives an empty list or object inside another an entry of its own, since
// [{}] is not []; at the top it is nothing, as an absent value is.
func flatten(path string, v any, out map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 && path != "" {
			out[path] = "{}"
		}
		for k, e := range v {
			flatten(strings.TrimPrefix(path+"."+k, "."), e, out)
		}
	case []any:
		if len(v) == 0 && path != "" {
			out[path] = "[]"
		}
		for i, e := range v {
			flatten(fmt.Sprintf("%s[%d]", path, i), e, out)
		}
	case nil:
		out[path] = "null"
	default:
		out[path] = fmt.Sprint(v)
	}
}

func mapText(name string, v reflect.Value) map[string]string {
	out := map[string]string{}
	if v.IsValid() {
		for k, e := range v.Seq2() {
			out[name+"["+k.String()+"]"] = e.String()
		}
	}
	return out
}

// scalarText returns the value as text, durations in nanoseconds as in JSON. An
// absent or empty value gives no entry.
func scalarText(name string, v reflect.Value) map[string]string {
	v = deref(v)
	if !v.IsValid() {
		return nil
	}
	var s string
	switch v.Kind() {
	case reflect.String:
		s = v.String()
	case reflect.Bool:
		s = strconv.FormatBool(v.Bool())
	default:
		s = strconv.FormatInt(v.Int(), 10)
	}
	if s == "" {
		return nil
	}
	return map[string]string{name: s}
}

// diffText compares two maps from name to text, in the order of names.
func diffText(old, new map[string]string) []FieldDiff {
	all := map[string]struct{}{}
	for k := range old {
		all[k] = struct{}{}
	}
	for k := range new {
		all[k] = struct{}{}
	}
	var out []FieldDiff
	for _, k := range sortedKeys(all) {
		a, was := old[k]
		b, is := new[k]
		if was == is && a == b {
			continue
		}
		out = append(out, FieldDiff{Type: diffType(was, is, 1), Name: k, Old: a, New: b})
	}
	return out
}
