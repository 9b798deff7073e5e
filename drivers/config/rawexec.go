package config

import (
	"encoding/json"
	"fmt"
	"strings"
)

// RawExecDriver is the driver's name in job files.
const RawExecDriver = "raw_exec"

// RawExec is the config of the raw_exec driver.
type RawExec struct {
	// Command is a program's path, relative to the task's directory, or a bare name that is looked up in the task's PATH.
	Command string `json:"command"`
	// Args follow the command.
	Args []string `json:"args,omitempty"`
}

// ParseRawExec decodes and checks the config of the raw_exec driver.
func ParseRawExec(raw json.RawMessage) (RawExec, error) {
	s, err := load(RawExecDriver, raw)
	if err != nil {
		return RawExec{}, err
	}
	return s.(RawExec), nil
}

func (r RawExec) check() error {
	switch {
	case r.Command == "":
		return fmt.Errorf("config command is empty; name the program to run")
	case strings.ContainsRune(r.Command, 0):
		return fmt.Errorf("config command: %q contains a zero byte", r.Command)
	}
	return checkArgs(r.Args)
}

func (r RawExec) modules() []ModuleRef { return nil }
