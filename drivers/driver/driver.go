package driver

import (
	"context"
	"encoding/json"
	"io"
	"time"
)

// HandleVersion is the version of the Handle's outer form. A driver refuses a Handle of a higher version with ErrTaskGone,
// because after a downgrade it cannot know what the state in it means.
const HandleVersion = 1

// Handle is the token to re-attach to a task. The agent persists it as it is and gives it back; only the driver named in it
// reads State.
type Handle struct {
	Version int
	Driver  string
	ID      string
	State   json.RawMessage `json:",omitempty"`
	// StartedAt is when the task began, in Unix nanoseconds; 0 is unknown. It is the driver's knowledge, because an agent
	// that died right after a start asks for the same start again and must not take what runs for something new.
	StartedAt int64 `json:",omitempty"`
}

// Driver runs tasks of one kind.
type Driver interface {
	// Name is the word in job files: "wasm", "raw_exec".
	Name() string
	// Capabilities says what the driver can do, and the words for what it cannot. It is constant for the driver's life.
	Capabilities() Capabilities
	// Fingerprint probes whether the driver works on this device now.
	Fingerprint(ctx context.Context) Fingerprint
	// Prepare does ahead of a first Start what makes that quick, at low priority and within a bound of memory, and starts nothing.
	// It may be called for what was prepared already, and Start does not depend on it. Its error says what is wrong with the
	// task's artifacts or that there was no room; Start finds that again in its own words.
	Prepare(ctx context.Context, task Task) error
	// Start begins a task; one that runs already is answered with the Handle that it has. Its error is a *StartError that says whether trying again can help. After an error nothing is left.
	Start(ctx context.Context, task Task) (Handle, error)
	// Wait blocks until the task has ended; any number of callers may wait. After the end it answers at once until Destroy.
	// It fails with ErrTaskGone for a task the driver does not know and with ctx.Err() when ctx ends first.
	Wait(ctx context.Context, h Handle) (Exit, error)
	// Stop asks the task to end by signal ("" is the driver's default), kills it after grace, and returns when it has ended.
	// Stopping a task that has ended is not an error.
	Stop(ctx context.Context, h Handle, signal string, grace time.Duration) error
	// Signal sends one signal, by name ("SIGHUP" or "HUP").
	Signal(ctx context.Context, h Handle, signal string) error
	// Exec starts a command beside the task, in its directory and environment. It ends with whatever it has started when its first
	// process does, when ctx ends, or when the task does, and never outlives the agent.
	Exec(ctx context.Context, h Handle, req ExecRequest) (Command, error)
	// Stats reads what the task uses now.
	Stats(ctx context.Context, h Handle) (Stats, error)
	// Recover checks that the task of a persisted Handle is still known, running or ended; ErrTaskGone if it is not.
	Recover(ctx context.Context, h Handle) error
	// Destroy kills the task if it runs and forgets its end. Destroying an unknown task is not an error.
	Destroy(ctx context.Context, h Handle) error
}

// Capabilities says what a driver can do. Words holds, for each thing it cannot, what a user can do instead.
type Capabilities struct {
	Signals     bool // Signal works, and Stop begins with the wanted signal
	Exec        bool // Exec works
	MemoryLimit bool // Task.MemoryBytes is enforced
	CPULimit    bool // Task.CPUMHz is enforced
	Words       map[Facility]string
}

// Facility names one thing a driver may or may not do.
type Facility string

// The facilities that Capabilities speaks about.
const (
	FacilitySignals     Facility = "signals"
	FacilityExec        Facility = "exec"
	FacilityMemoryLimit Facility = "memory limit"
	FacilityCPULimit    Facility = "cpu limit"
)

// Fingerprint is what a probe of a driver found on this device.
type Fingerprint struct {
	Detected    bool              // the driver could run tasks here
	Healthy     bool              // and can do so now
	Description string            // for users; says why, when it is not healthy
	Attributes  map[string]string // node attributes, such as "driver.wasm" = "1"
}

// ExecRequest is a command to run beside a task.
type ExecRequest struct {
	Argv []string
	// Terminal gives the command a terminal of its own, as interactive programs want; all its output is then on Stdout.
	Terminal bool
	// Stdout and Stderr take the output, each from one goroutine. They may block, which makes the command wait. An error of theirs
	// ends it: nobody is there any more. nil drops the output.
	Stdout, Stderr io.Writer
}

// Command is a command that runs beside a task. Wait must be called, once; the rest may be called from any goroutine, also after
// the end.
type Command interface {
	// Write gives the command input. It waits while the command does not read, until it ends.
	io.Writer
	// CloseInput ends the input: a pipe is closed, and in a terminal it is as if somebody had pressed control-D.
	CloseInput() error
	// Resize says how large the operator's terminal is, in characters. Without a terminal it does nothing.
	Resize(rows, columns uint16) error
	// Wait returns when the command has ended and all of its output was passed on. The code is 128 + n after signal n. An error
	// says why there is no code: it could not be started, or ctx has ended.
	Wait() (code int, err error)
}

// Stats is what a task uses at one moment.
type Stats struct {
	At          time.Time
	CPUNanos    int64 // CPU time used since the start, user and system
	MemoryBytes int64 // resident memory now
	Pids        int   // processes now
	// Unenforced names the limits that nothing holds this driver's tasks to on this device.
	Unenforced []Facility `json:",omitempty"`
}

// Exit is how a task ended.
type Exit struct {
	Code   int       // exit code; 128 + n after signal n, as shells count
	Signal string    `json:",omitempty"` // name of the signal that ended it
	OOM    bool      `json:",omitempty"` // it ran into its memory limit
	Trap   string    `json:",omitempty"` // the trap of a Wasm guest
	Err    string    `json:",omitempty"` // why it ended when it was not the task's own doing
	At     time.Time // when it ended
}

// Succeeded reports whether the task ended by itself with code 0.
func (e Exit) Succeeded() bool {
	return e.Code == 0 && e.Signal == "" && e.Trap == "" && e.Err == "" && !e.OOM
}
