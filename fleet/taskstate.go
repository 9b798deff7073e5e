package fleet

import (
	"fmt"
	"strconv"
	"time"
)

// Task states.
const (
	TaskPending = "pending"
	TaskRunning = "running"
	TaskDead    = "dead"
)

// TaskState is what a device observed of one task, as the API shows it.
type TaskState struct {
	State       string
	Failed      bool
	Restarts    uint64
	LastRestart time.Time
	StartedAt   time.Time
	FinishedAt  time.Time
	Events      []*TaskEvent
}

// TaskEvent is one thing that happened to a task, as the API shows it.
type TaskEvent struct {
	Type           string
	Time           int64 // Unix nanoseconds
	DisplayMessage string
	Details        map[string]string
	FailsTask      bool
	ExitCode       int
	Signal         int
	Message        string
}

// EventCode is the compact form of a task event's type; devices send codes with
// arguments, and words are made where they are read.
type EventCode uint8

// Task event codes. They are stored and sent: never renumber, only add.
const (
	EventReceived       EventCode = 1
	EventSetup          EventCode = 2  // directories made
	EventFetching       EventCode = 3  // arg 0: digest
	EventStarted        EventCode = 4  //
	EventTerminated     EventCode = 5  // args: exit code, signal, trap or error
	EventRestarting     EventCode = 6  // args: delay, reason
	EventNotRestarting  EventCode = 7  // arg 0: reason
	EventKilling        EventCode = 8  // arg 0: reason
	EventKilled         EventCode = 9  //
	EventStartFailed    EventCode = 10 // arg 0: error
	EventSetupFailed    EventCode = 11 // arg 0: error
	EventRecovered      EventCode = 12 // re-adopted after the agent restarted
	EventHostDied       EventCode = 13 //
	EventLastOutput     EventCode = 14 // arg 0: last log lines of a failed task
	EventOOM            EventCode = 15 // arg 0: limit
	EventNote           EventCode = 16 // arg 0: words
	EventRestartRequest EventCode = 17 // a user asked for it
)

// Limits of task events.
const (
	TaskEventsMax      = 10      // newest kept per task
	EventArgsMax       = 4       //
	EventArgBytesMax   = 2 << 10 // one argument; the log tail of a failed task is the longest
	LastOutputLinesMax = 20
)

// CodedEvent is a task event as devices send it and the region stores it.
type CodedEvent struct {
	Code EventCode
	Time int64 // Unix nanoseconds
	Args []string
}

// ObservedTask is what a device reports about one task.
type ObservedTask struct {
	State      string // TaskPending, TaskRunning or TaskDead
	Failed     bool
	Restarts   uint64
	StartedAt  int64 // Unix nanoseconds; 0 = never
	FinishedAt int64
	RestartAt  int64 // of the last restart
	Events     []CodedEvent
}

var eventNames = map[EventCode]string{
	EventReceived: "Received", EventSetup: "Task Setup", EventFetching: "Downloading Artifacts",
	EventStarted: "Started", EventTerminated: "Terminated", EventRestarting: "Restarting",
	EventNotRestarting: "Not Restarting", EventKilling: "Killing", EventKilled: "Killed",
	EventStartFailed: "Driver Failure", EventSetupFailed: "Setup Failure", EventRecovered: "Recovered",
	EventHostDied: "Host Died", EventLastOutput: "Last Output", EventOOM: "Out of Memory",
	EventNote: "Note", EventRestartRequest: "Restart Signaled",
}

func (e CodedEvent) arg(i int) string {
	if i < len(e.Args) {
		return e.Args[i]
	}
	return ""
}

// View turns a coded event into the API's form, with words.
func (e CodedEvent) View() *TaskEvent {
	v := &TaskEvent{Type: eventNames[e.Code], Time: e.Time, Details: map[string]string{}}
	if v.Type == "" {
		v.Type = fmt.Sprintf("Event %d", e.Code)
	}
	switch e.Code {
	case EventReceived:
		v.DisplayMessage = "Task received by client"
	case EventSetup:
		v.DisplayMessage = "Building Task Directory"
	case EventFetching:
		v.DisplayMessage = "Fetching " + e.arg(0)
	case EventStarted:
		v.DisplayMessage = "Task started by client"
	case EventTerminated:
		e.terminated(v)
	case EventRestarting:
		v.DisplayMessage = fmt.Sprintf("Task restarting in %s: %s", e.arg(0), e.arg(1))
		v.Details["start_delay"], v.Details["restart_reason"] = e.arg(0), e.arg(1)
	case EventNotRestarting, EventStartFailed, EventSetupFailed:
		v.DisplayMessage, v.FailsTask = e.arg(0), true
	case EventKilling:
		v.DisplayMessage = "Stopping the task: " + e.arg(0)
		v.Details["kill_reason"] = e.arg(0)
	case EventKilled:
		v.DisplayMessage = "Task stopped"
	case EventRecovered:
		v.DisplayMessage = "Agent restarted; the task went on running"
	case EventHostDied:
		v.DisplayMessage = "The process that held the task ended"
	case EventLastOutput:
		v.DisplayMessage = e.arg(0)
	case EventOOM:
		v.DisplayMessage = "The task reached its memory limit of " + e.arg(0)
	default:
		v.DisplayMessage = e.arg(0)
	}
	v.Message = v.DisplayMessage
	return v
}

func (e CodedEvent) terminated(v *TaskEvent) {
	v.ExitCode, _ = strconv.Atoi(e.arg(0))
	v.DisplayMessage = "Exit code: " + e.arg(0)
	v.Details["exit_code"] = e.arg(0)
	if s := e.arg(1); s != "" {
		v.DisplayMessage += ", signal: " + s
		v.Details["signal"] = s
	}
	if m := e.arg(2); m != "" {
		v.DisplayMessage += ", " + m
		v.Details["exit_message"] = m
	}
}

// View turns what a device reported into the API's form.
func (o *ObservedTask) View() *TaskState {
	at := func(n int64) time.Time {
		if n == 0 {
			return time.Time{}
		}
		return time.Unix(0, n).UTC()
	}
	s := &TaskState{
		State: o.State, Failed: o.Failed, Restarts: o.Restarts, LastRestart: at(o.RestartAt),
		StartedAt: at(o.StartedAt), FinishedAt: at(o.FinishedAt), Events: make([]*TaskEvent, 0, len(o.Events)),
	}
	for _, e := range o.Events {
		s.Events = append(s.Events, e.View())
	}
	return s
}
