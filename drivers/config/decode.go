package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Decode reads a config block into the struct that dst points to, strictly. Fields are found by their json tags; kinds are
// string, bool, int64 and slices of them.
//
// encoding/json with DisallowUnknownFields was the alternative: it names neither the path of a wrong type in a list nor a
// near key, takes keys in any case, and lets the last of two equal keys win.
func Decode(raw json.RawMessage, dst any) error {
	if len(raw) > BytesMax {
		return fmt.Errorf("config is %d bytes; the limit is %d", len(raw), BytesMax)
	}
	fields, err := object(raw)
	if err != nil {
		return err
	}
	v := reflect.ValueOf(dst).Elem()
	names := tagNames(v.Type())
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		i := slices.Index(names, key)
		if i < 0 {
			return unknownKey(key, names)
		}
		if err := decodeValue(key, fields[key], v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

// object splits a JSON object into its members. A missing or null config is an empty one.
func object(raw json.RawMessage) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if t := bytes.TrimSpace(raw); len(t) == 0 || bytes.Equal(t, []byte("null")) {
		return fields, nil
	}
	if !json.Valid(raw) {
		return nil, fmt.Errorf("config is not valid JSON")
	}
	if got := jsonKind(raw); got != "object" {
		return nil, fmt.Errorf("config: want an object, got %s", got)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
		key := tok.(string) // the JSON is valid, so a member begins with a string
		if _, twice := fields[key]; twice {
			return nil, fmt.Errorf("config: key %q is given twice", key)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("config %s: %w", key, err)
		}
		fields[key] = value
	}
	return fields, nil
}

func tagNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
	}
	return names
}

func unknownKey(key string, names []string) error {
	if near := nearest(key, names); near != "" {
		return fmt.Errorf("config: unknown key %q; did you mean %q?", key, near)
	}
	return fmt.Errorf("config: unknown key %q; keys are %s", key, strings.Join(names, ", "))
}

func decodeValue(path string, raw json.RawMessage, v reflect.Value) error {
	kind := jsonKind(raw)
	wrong := func(want string) error { return fmt.Errorf("config %s: want %s, got %s", path, want, kind) }
	switch v.Kind() {
	case reflect.String:
		if kind != "string" {
			return wrong("a string")
		}
	case reflect.Bool:
		if kind != "bool" {
			return wrong("true or false")
		}
	case reflect.Int64, reflect.Int:
		if kind != "number" {
			return wrong("a whole number")
		}
	case reflect.Slice:
		if kind != "list" {
			return wrong("a list")
		}
		return decodeList(path, raw, v)
	}
	if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
		return fmt.Errorf("config %s: %s does not fit: %w", path, raw, err)
	}
	return nil
}

func decodeList(path string, raw json.RawMessage, v reflect.Value) error {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return fmt.Errorf("config %s: %w", path, err)
	}
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if err := decodeValue(fmt.Sprintf("%s[%d]", path, i), item, list.Index(i)); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

func jsonKind(raw json.RawMessage) string {
	t := bytes.TrimSpace(raw)
	switch {
	case len(t) == 0:
		return "nothing"
	case t[0] == '{':
		return "object"
	case t[0] == '[':
		return "list"
	case t[0] == '"':
		return "string"
	case t[0] == 't' || t[0] == 'f':
		return "bool"
	case t[0] == 'n':
		return "null"
	}
	return "number"
}
