package fleet

import (
	"encoding/json"
	"fmt"
	"reflect"

	"pgregory.net/rapid"
)

// drawJob makes a job with anything in any field, raw JSON included.
func drawJob(t *rapid.T) *Job {
	j := &Job{}
	drawInto(t, reflect.ValueOf(j).Elem(), "job")
	for i := range j.TaskGroups { // names must differ, or there is no telling which is which
		g := &j.TaskGroups[i]
		g.Name = fmt.Sprintf("g%d", i)
		for k := range g.Volumes {
			g.Volumes[k].Name = fmt.Sprintf("v%d", k)
		}
		for k := range g.Tasks {
			g.Tasks[k].Name = fmt.Sprintf("t%d", k)
		}
	}
	return j
}

func drawInto(t *rapid.T, v reflect.Value, label string) {
	if v.Type() == rawType {
		raw := rapid.SampledFrom([]string{"", "null", "[]", "{}", "0", `""`, `{"b": [1, 2.50, 1e3], "a": "<x>"}`, `"text"`, "true", "[{}]"}).Draw(t, label)
		if raw != "" {
			v.SetBytes([]byte(raw))
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			drawInto(t, v.Field(i), v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, label) {
			v.Set(reflect.New(v.Type().Elem()))
			drawInto(t, v.Elem(), label)
		}
	case reflect.Slice:
		for i := range rapid.IntRange(0, 2).Draw(t, label) {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			drawInto(t, v.Index(i), label)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(rapid.MapOfN(rapid.StringMatching("[a-z]{1,3}"), rapid.StringMatching("[a-z]{0,3}"), 0, 2).Draw(t, label)))
	case reflect.String:
		v.SetString(rapid.SampledFrom([]string{"", "a", "b", "batch", "service", "system", "==", "version"}).Draw(t, label))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, label))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, label))
	default:
		v.SetInt(int64(rapid.IntRange(-5, 200).Draw(t, label)))
	}
}

// encodeJSON is the form in which tests compare nouns.
func encodeJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
