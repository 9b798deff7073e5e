package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// BytesMax limits the JSON of one config block.
const BytesMax = 64 << 10

// ErrUnknownDriver says that no driver of that name exists in this version.
var ErrUnknownDriver = errors.New("unknown driver")

// schema is what a driver's config can do; one per driver, in its own file.
type schema interface {
	// check finds what types alone cannot say.
	check() error
	// modules lists the Wasm modules the config names.
	modules() []ModuleRef
}

var schemas = map[string]func(json.RawMessage) (schema, error){
	WasmDriver:    func(raw json.RawMessage) (schema, error) { return decoded[Wasm](raw) },
	RawExecDriver: func(raw json.RawMessage) (schema, error) { return decoded[RawExec](raw) },
}

func decoded[T schema](raw json.RawMessage) (schema, error) {
	var v T
	if err := Decode(raw, &v); err != nil {
		return nil, err
	}
	return v, nil
}

// Names lists the drivers that have a schema, sorted.
func Names() []string { return slices.Sorted(maps.Keys(schemas)) }

// Check refuses a config that the named driver would refuse. Unknown drivers give ErrUnknownDriver with a suggestion.
func Check(driver string, raw json.RawMessage) error {
	_, err := load(driver, raw)
	return err
}

// Modules lists the Wasm modules that a config names, so that they can be pushed, fetched and kept.
func Modules(driver string, raw json.RawMessage) ([]ModuleRef, error) {
	s, err := load(driver, raw)
	if err != nil {
		return nil, err
	}
	return s.modules(), nil
}

func load(driver string, raw json.RawMessage) (schema, error) {
	decode, ok := schemas[driver]
	if !ok {
		return nil, unknownDriver(driver)
	}
	s, err := decode(raw)
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

func unknownDriver(name string) error {
	if near := nearest(name, Names()); near != "" {
		return fmt.Errorf("%w %q; did you mean %q?", ErrUnknownDriver, name, near)
	}
	return fmt.Errorf("%w %q; drivers are %s", ErrUnknownDriver, name, strings.Join(Names(), ", "))
}
