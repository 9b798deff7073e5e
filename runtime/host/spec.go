package host

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Kind is what a task is made of.
type Kind string

// The two kinds.
const (
	KindProcess Kind = "process" // Argv, Env, Dir
	KindWasm    Kind = "wasm"    // Guest, handed to a guest process
)

// StopMode is how a Wasm guest is asked to end; see the package comment.
type StopMode string

// The stop modes.
const (
	StopKill  StopMode = "kill"
	StopStdin StopMode = "stdin"
)

// TaskSpec is everything the host needs to start a task.
type TaskSpec struct {
	// ID is chosen by the caller and unique per start; Start with a known ID answers with the task that is there.
	ID   string
	Kind Kind

	Argv []string `json:",omitempty"` // process: the program's path or a name to find in Env's PATH, then its arguments
	Env  []string `json:",omitempty"` // process: KEY=VALUE; nothing is inherited from the host
	Dir  string   `json:",omitempty"` // process: absolute working directory

	Guest json.RawMessage `json:",omitempty"` // wasm: the engine's spec; opaque here
	Stop  StopMode        `json:",omitempty"` // wasm; "" is StopKill

	Log LogSpec
}

// LogSpec says where the task's output goes.
type LogSpec struct {
	Dir          string // absolute
	Task         string // names the files
	FilesMax     int
	FileBytesMax int64
}

// Exit is how a task ended. At is when.
type Exit struct {
	Code   int
	Signal string `json:",omitempty"`
	OOM    bool   `json:",omitempty"`
	Trap   string `json:",omitempty"`
	Err    string `json:",omitempty"`
	At     time.Time
}

// HostDied is the Err of a task whose host ended before it.
const HostDied = "host died"

// TaskStatus is what the host knows about a task. PID is 0 once it has ended.
type TaskStatus struct {
	ID        string
	Kind      Kind
	PID       int `json:",omitempty"`
	StartedAt time.Time
	Exit      *Exit `json:",omitempty"` // nil while it runs
}

// Stats is what a task uses now: its leader and everything attributed to it. CPU of descendants that ended without being
// waited for by their parent is not in it.
type Stats struct {
	At          time.Time
	CPUNanos    int64
	MemoryBytes int64
	Pids        int
}

// Written is what a host has written to disk since it began. A host is known by Began: the counts of another one begin at zero.
type Written struct {
	Began time.Time
	Logs  int64  // bytes of tasks' output, rotated and packed ones included
	All   *int64 `json:",omitempty"` // bytes that the kernel says the host and its tasks wrote; nil: it does not say
}

// ExecSpec is a command to run beside a process task, in its directory and environment.
type ExecSpec struct {
	ID       string // of the task
	Argv     []string
	Terminal bool `json:",omitempty"` // its standard input is a terminal, which is to control it
}

// ExecResult is how a command beside a task ended.
type ExecResult struct {
	Code   int    // exit code; 128 + n after signal n
	Signal string `json:",omitempty"`
}

// Bodies of requests.
type (
	idBody   struct{ ID string }
	stopBody struct {
		ID, Signal string
		Grace      time.Duration
	}
	signalBody struct{ ID, Signal string }
)

// Check finds what cannot be started, before anything is.
func (s TaskSpec) Check() error {
	switch {
	case s.ID == "":
		return badRequest("task ID is empty")
	case !filepath.IsAbs(s.Log.Dir):
		return badRequest("task %q: log directory %q is not absolute", s.ID, s.Log.Dir)
	case s.Log.Task == "" || strings.ContainsRune(s.Log.Task, filepath.Separator):
		return badRequest("task %q: log name %q cannot name a file", s.ID, s.Log.Task)
	}
	switch s.Kind {
	case KindProcess:
		return s.checkProcess()
	case KindWasm:
		if len(s.Guest) == 0 {
			return badRequest("task %q: a wasm task needs a guest spec", s.ID)
		}
		if s.Stop != "" && s.Stop != StopKill && s.Stop != StopStdin {
			return badRequest("task %q: stop mode %q is neither %q nor %q", s.ID, s.Stop, StopKill, StopStdin)
		}
		return nil
	}
	return badRequest("task %q: kind %q is neither %q nor %q", s.ID, s.Kind, KindProcess, KindWasm)
}

func (s TaskSpec) checkProcess() error {
	if len(s.Argv) == 0 || s.Argv[0] == "" {
		return badRequest("task %q: no program to run", s.ID)
	}
	if !filepath.IsAbs(s.Dir) {
		return badRequest("task %q: working directory %q is not absolute", s.ID, s.Dir)
	}
	for _, list := range [][]string{s.Argv, s.Env} {
		for _, a := range list {
			if strings.ContainsRune(a, 0) {
				return badRequest("task %q: %q contains a zero byte", s.ID, a)
			}
		}
	}
	for _, kv := range s.Env {
		if i := strings.IndexByte(kv, '='); i <= 0 {
			return badRequest("task %q: environment entry %q is not KEY=VALUE", s.ID, kv)
		}
	}
	return nil
}

func badRequest(format string, args ...any) error {
	return &Error{Code: CodeBadRequest, Text: fmt.Sprintf(format, args...)}
}
