package wire

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// StatusesMax bounds one batch; a device with more changes sends several.
const StatusesMax = 2_000

// AllocStatus is what a device observed of one allocation.
type AllocStatus struct {
	ID          fleet.UUID
	Status      string // fleet.ClientPending, ClientRunning, ClientComplete or ClientFailed
	Description string
	Tasks       []TaskStatus
}

// TaskStatus is one task of an AllocStatus.
type TaskStatus struct {
	Name string
	fleet.ObservedTask
}

// The order is on the wire: only append.
var (
	clientStatuses = []string{fleet.ClientPending, fleet.ClientRunning, fleet.ClientComplete, fleet.ClientFailed, fleet.ClientLost, fleet.ClientUnknown}
	taskStates     = []string{fleet.TaskPending, fleet.TaskRunning, fleet.TaskDead}
)

func appendWord(b []byte, words []string, w string) []byte {
	for i, s := range words {
		if s == w {
			return append(b, byte(i))
		}
	}
	panic(fmt.Sprintf("wire: %q has no code", w)) // a programming mistake: words are constants
}

func readWord(r *codec.Reader, what string, words []string) string {
	i := r.Byte()
	if int(i) >= len(words) {
		r.Fail(fmt.Errorf("unknown %s %d", what, i))
		return words[0]
	}
	return words[i]
}

// AppendAllocStatus appends the binary form of s. Replicated commands and
// checkpoints use the same form.
func AppendAllocStatus(b []byte, s *AllocStatus) []byte {
	b = appendWord(append(b, s.ID[:]...), clientStatuses, s.Status)
	return AppendTasks(codec.AppendString(b, s.Description), s.Tasks)
}

// AppendTasks appends the binary form of tasks, as it stands in a status.
func AppendTasks(b []byte, tasks []TaskStatus) []byte {
	b = codec.AppendUint(b, uint64(len(tasks)))
	for i := range tasks {
		b = appendTask(b, &tasks[i])
	}
	return b
}

// ReadTasks reads what AppendTasks wrote.
func ReadTasks(r *codec.Reader) []TaskStatus {
	return codec.List(r, "tasks", fleet.TasksMax, 8, readTask)
}

// ReadAllocStatus reads what AppendAllocStatus wrote.
func ReadAllocStatus(r *codec.Reader) AllocStatus {
	return AllocStatus{
		ID:          r.UUID(),
		Status:      readWord(r, "client status", clientStatuses),
		Description: r.String("a description", ErrorBytesMax),
		Tasks:       ReadTasks(r),
	}
}

func appendTask(b []byte, t *TaskStatus) []byte {
	b = appendWord(codec.AppendString(b, t.Name), taskStates, t.State)
	b = codec.AppendUint(codec.AppendBool(b, t.Failed), t.Restarts)
	b = codec.AppendInt(codec.AppendInt(codec.AppendInt(b, t.StartedAt), t.FinishedAt), t.RestartAt)
	b = codec.AppendUint(b, uint64(len(t.Events)))
	for _, e := range t.Events {
		b = codec.AppendInt(append(b, byte(e.Code)), e.Time)
		b = codec.AppendUint(b, uint64(len(e.Args)))
		for _, a := range e.Args {
			b = codec.AppendString(b, a)
		}
	}
	return b
}

func readTask(r *codec.Reader) TaskStatus {
	t := TaskStatus{Name: r.String("a task's name", fleet.JobIDBytesMax)}
	t.State = readWord(r, "task state", taskStates)
	t.Failed = r.Bool()
	t.Restarts = r.Uint()
	t.StartedAt, t.FinishedAt, t.RestartAt = r.Int(), r.Int(), r.Int()
	t.Events = codec.List(r, "task events", fleet.TaskEventsMax, 3, readEvent)
	return t
}

func readEvent(r *codec.Reader) fleet.CodedEvent {
	return fleet.CodedEvent{Code: fleet.EventCode(r.Byte()), Time: r.Int(), Args: codec.List(r, "event arguments", fleet.EventArgsMax, 1, readEventArg)}
}

func readEventArg(r *codec.Reader) string {
	return r.String("an event argument", fleet.EventArgBytesMax)
}

// StatusBatch is what changed since the last acknowledged batch. When Full is
// set it is everything the device has, so that the region can see orphans and
// what it missed.
type StatusBatch struct {
	Seq    uint64
	Full   bool
	Allocs []AllocStatus
	// TellsOrphans: Orphans is all that the device runs and its region does not
	// know. The first batch of a link tells, and each after that list has changed.
	TellsOrphans bool
	Orphans      []Orphan
}

// Type implements [Message].
func (*StatusBatch) Type() byte { return typeStatusBatch }

// Append implements [Message].
func (m *StatusBatch) Append(b []byte) []byte {
	b = codec.AppendBool(codec.AppendUint(b, m.Seq), m.Full)
	b = codec.AppendUint(b, uint64(len(m.Allocs)))
	for i := range m.Allocs {
		b = AppendAllocStatus(b, &m.Allocs[i])
	}
	if b = codec.AppendBool(b, m.TellsOrphans); m.TellsOrphans {
		b = AppendOrphans(b, m.Orphans)
	}
	return AppendGrantedOf(b, len(m.Orphans), func(i int) Granted { return m.Orphans[i].Granted })
}

// Decode implements [Message].
func (m *StatusBatch) Decode(r *codec.Reader) {
	m.Seq = r.Uint()
	m.Full = r.Bool()
	m.Allocs = codec.List(r, "statuses", StatusesMax, 19, ReadAllocStatus)
	m.Orphans = nil
	if m.TellsOrphans = r.Bool(); m.TellsOrphans {
		m.Orphans = ReadOrphans(r)
	}
	ReadGrantedOf(r, len(m.Orphans), func(i int, g Granted) { m.Orphans[i].Granted = g })
}

// StatusAck says that the batch of that number is committed in the region; only
// then may the device forget that it has to tell.
type StatusAck struct{ Seq uint64 }

// Type implements [Message].
func (*StatusAck) Type() byte { return typeStatusAck }

// Append implements [Message].
func (m *StatusAck) Append(b []byte) []byte { return codec.AppendUint(b, m.Seq) }

// Decode implements [Message].
func (m *StatusAck) Decode(r *codec.Reader) { m.Seq = r.Uint() }
