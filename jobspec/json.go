package jobspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
)

// ParseJSON reads the body of a request that carries a job: {"Job": {…}}, or the
// job alone. Fields it does not know are skipped, because clients of the field
// send many; a value of the wrong type is an error that names its path, such as
// "Job.TaskGroups[0].Count: want a whole number, got a string".
func ParseJSON(b []byte) (*fleet.Job, error) {
	if len(b) > FileBytesMax {
		return nil, fmt.Errorf("the body has %d bytes; at most %d", len(b), FileBytesMax)
	}
	var tree any
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&tree); err != nil {
		return nil, syntaxError(b, err)
	}
	if dec.More() {
		return nil, errors.New("the body has more than one JSON value; send the job alone")
	}
	path := ""
	if outer, ok := tree.(map[string]any); ok {
		if inner, wrapped := outer["Job"]; wrapped {
			tree, path = inner, "Job"
			var body struct{ Job json.RawMessage }
			if err := json.Unmarshal(b, &body); err != nil {
				return nil, fmt.Errorf("body: %w", err)
			}
			b = body.Job
		}
	}
	object, ok := tree.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%swant a job object, got %s", colon(path), jsonKind(tree))
	}
	if errs := checkJSON(nil, path, tree, reflect.TypeFor[fleet.Job]()); len(errs) > 0 {
		return nil, errors.New(strings.Join(errs, "\n"))
	}
	if path == "" && !slices.ContainsFunc(slices.Collect(maps.Keys(object)), isID) {
		return nil, errors.New(`the body has no Job: send {"Job": {"ID": …}}`)
	}
	job := &fleet.Job{}
	if err := json.Unmarshal(b, job); err != nil {
		return nil, fmt.Errorf("%s%w", colon(path), err) // a key written twice, once with the wrong type
	}
	return job, nil
}

func isID(key string) bool { return strings.EqualFold(key, "ID") } // as encoding/json reads keys

// syntaxError adds the line to an error of the JSON syntax.
func syntaxError(b []byte, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	at := min(int(syntax.Offset), len(b))
	return fmt.Errorf("the body is not JSON: line %d: %w", 1+bytes.Count(b[:at], []byte("\n")), err)
}

func colon(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// jsonErrorsMax bounds what one body is told.
const jsonErrorsMax = 10

// checkJSON compares decoded JSON with the type it goes into. The errors of
// encoding/json itself leave out indexes, and custom decoders their path.
func checkJSON(errs []string, path string, v any, t reflect.Type) []string {
	if v == nil || t == rawType || len(errs) >= jsonErrorsMax {
		return errs
	}
	if t.Kind() == reflect.Pointer {
		return checkJSON(errs, path, v, t.Elem())
	}
	want := ""
	switch {
	case t == reflect.TypeFor[fleet.Volumes](): // an object by name
		return checkJSON(errs, path, v, reflect.TypeFor[map[string]fleet.Volume]())
	case t == reflect.TypeFor[fleet.Duration]():
		want = wantDuration(v)
	case t.Kind() == reflect.Struct:
		m, ok := v.(map[string]any)
		for _, k := range keys(m) {
			if f, known := jsonField(t, k); known {
				errs = checkJSON(errs, strings.TrimPrefix(path+"."+f.name, "."), m[k], f.typ)
			}
		}
		want = unless(ok, "an object")
	case t.Kind() == reflect.Map:
		m, ok := v.(map[string]any)
		for _, k := range keys(m) {
			errs = checkJSON(errs, fmt.Sprintf("%s[%q]", path, k), m[k], t.Elem())
		}
		want = unless(ok, "an object")
	case t.Kind() == reflect.Slice:
		list, ok := v.([]any)
		for i, e := range list {
			errs = checkJSON(errs, fmt.Sprintf("%s[%d]", path, i), e, t.Elem())
		}
		want = unless(ok, "a list")
	case t.Kind() == reflect.String:
		_, ok := v.(string)
		want = unless(ok, "a string")
	case t.Kind() == reflect.Bool:
		_, ok := v.(bool)
		want = unless(ok, "true or false")
	default:
		n, ok := v.(json.Number)
		whole := ok && json.Unmarshal([]byte(n), reflect.New(t).Interface()) == nil
		want = unless(whole, "a whole number")
	}
	if want != "" {
		errs = append(errs, fmt.Sprintf("%s: want %s, got %s", path, want, jsonKind(v)))
	}
	return errs
}

func unless(ok bool, want string) string {
	if ok {
		return ""
	}
	return want
}

func wantDuration(v any) string {
	switch v := v.(type) {
	case json.Number:
		_, err := v.Int64()
		return unless(err == nil, "nanoseconds as a whole number")
	case string:
		_, err := time.ParseDuration(v)
		return unless(err == nil, `a duration such as "30s"`)
	}
	return `nanoseconds or a duration such as "30s"`
}

func jsonKind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "the string " + fmt.Sprintf("%q", printable(v))
	case json.Number:
		return "the number " + printable(v.String())
	default:
		return fmt.Sprint(v)
	}
}

type jsonTyped struct {
	name string
	typ  reflect.Type
}

// jsonKnown keeps what jsonFields found, by type: there are as many types as the model has, and to look through one for each value
// of a job took a twentieth of a server's time while it was given a thousand jobs.
var jsonKnown sync.Map

// jsonFields maps the JSON names of a struct to its fields, embedded structs
// included.
func jsonFields(t reflect.Type) []jsonTyped {
	if known, ok := jsonKnown.Load(t); ok {
		return known.([]jsonTyped)
	}
	var out []jsonTyped
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		out = append(out, jsonTyped{name, f.Type})
	}
	jsonKnown.Store(t, out)
	return out
}

// jsonField finds a field as encoding/json does: by its exact name, else without
// regard to case.
func jsonField(t reflect.Type, key string) (jsonTyped, bool) {
	fields := jsonFields(t)
	for _, same := range []func(string) bool{
		func(name string) bool { return name == key },
		func(name string) bool { return strings.EqualFold(name, key) },
	} {
		if i := slices.IndexFunc(fields, func(f jsonTyped) bool { return same(f.name) }); i >= 0 {
			return fields[i], true
		}
	}
	return jsonTyped{}, false
}
