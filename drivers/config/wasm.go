package config

import (
	"encoding/json"
	"fmt"
	"strings"
)

// WasmDriver is the driver's name in job files.
const WasmDriver = "wasm"

// The values of Wasm.Stop.
const (
	// StopKill kills the guest at once: a preview1 guest has no signals, so for most guests waiting the whole grace would only
	// be lost time. Its standard input is at its end from the start, so that programs which read it do not wait for ever.
	StopKill = "kill"
	// StopStdin keeps the guest's standard input open, closes it and waits for the whole grace: for guests that read stdin and
	// take its end as the request to stop.
	StopStdin = "stdin"
)

// Wasm is the config of the wasm driver.
type Wasm struct {
	// Module is the program; ParseModuleRef says in which forms.
	Module string `json:"module"`
	// Args follow the program's name, which is the task's.
	Args []string `json:"args,omitempty"`
	// Stop is how the guest is asked to end: StopKill (the default) or StopStdin.
	Stop string `json:"stop,omitempty"`
}

// ParseWasm decodes and checks the config of the wasm driver.
func ParseWasm(raw json.RawMessage) (Wasm, error) {
	s, err := load(WasmDriver, raw)
	if err != nil {
		return Wasm{}, err
	}
	return s.(Wasm), nil
}

func (w Wasm) check() error {
	if _, err := ParseModuleRef(w.Module); err != nil {
		return fmt.Errorf("config module: %w", err)
	}
	switch w.Stop {
	case "", StopKill, StopStdin:
	default:
		return fmt.Errorf("config stop: %q is neither %q nor %q", w.Stop, StopKill, StopStdin)
	}
	return checkArgs(w.Args)
}

func (w Wasm) modules() []ModuleRef {
	ref, err := ParseModuleRef(w.Module)
	if err != nil {
		return nil // check has refused it before
	}
	return []ModuleRef{ref}
}

// WithModule is the config with its module replaced: how the CLI turns a local path into the digest it has pushed.
func (w Wasm) WithModule(ref ModuleRef) (json.RawMessage, error) {
	w.Module = ref.String()
	raw, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode wasm config: %w", err)
	}
	return raw, nil
}

func checkArgs(args []string) error {
	for i, a := range args {
		if strings.ContainsRune(a, 0) {
			return fmt.Errorf("config args[%d]: %q contains a zero byte", i, a)
		}
	}
	return nil
}
