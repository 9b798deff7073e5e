package fake

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/config"
)

// Script is the config of a fake task.
type Script struct {
	RunFor     string `json:"run_for"`     // a Go duration after which it ends; "" runs until stopped
	ExitCode   int64  `json:"exit_code"`   // with which it ends after RunFor
	StopCode   int64  `json:"stop_code"`   // with which it ends when asked to stop; 0 dies of the signal
	IgnoreStop bool   `json:"ignore_stop"` // it must be killed
	StartError string `json:"start_error"` // Start fails with this, recoverably
	Stdout     string `json:"stdout"`      // written at the start
	Stderr     string `json:"stderr"`
	FloodLines int64  `json:"flood_lines"` // numbered lines written to standard output after Stdout
	EchoSignal bool   `json:"echo_signal"` // writes "got NAME" for each signal
}

// FloodLinesMax limits Script.FloodLines.
const FloodLinesMax = 10_000_000

func parseScript(raw json.RawMessage) (Script, time.Duration, error) {
	var s Script
	if err := config.Decode(raw, &s); err != nil {
		return s, 0, err
	}
	if s.FloodLines < 0 || s.FloodLines > FloodLinesMax {
		return s, 0, fmt.Errorf("config flood_lines: %d is not between 0 and %d", s.FloodLines, FloodLinesMax)
	}
	if s.RunFor == "" {
		return s, -1, nil
	}
	d, err := time.ParseDuration(s.RunFor)
	if err != nil || d < 0 {
		return s, 0, fmt.Errorf("config run_for: %q is not a duration such as \"10s\"", s.RunFor)
	}
	return s, d, nil
}
