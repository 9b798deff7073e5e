package wire

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// A command beside a task runs on a stream of [KindExec] that the server opens: an ExecRequest, the device's ExecAnswer, then
// ExecInputs one way and ExecOutputs the other. The last ExecOutput tells how the command ended. When the stream ends before, for
// whatever reason, so does the command.

// Limits of commands.
const (
	ExecArgvMax      = 1024     // words of a command
	ExecArgvBytesMax = 64 << 10 // of all words
	ExecDataBytesMax = 32 << 10 // of one piece of input or output
	ExecSidesMax     = 10_000   // rows or columns of a terminal
)

// TerminalSize is the size of the terminal in which a command runs, in characters.
type TerminalSize struct{ Rows, Columns uint64 }

func (s TerminalSize) append(b []byte) []byte {
	return codec.AppendUint(codec.AppendUint(b, s.Rows), s.Columns)
}

func readTerminalSize(r *codec.Reader) TerminalSize {
	return TerminalSize{r.UintMax("rows of a terminal", ExecSidesMax), r.UintMax("columns of a terminal", ExecSidesMax)}
}

// ExecRequest asks a device to run a command beside a task.
type ExecRequest struct {
	Alloc    fleet.UUID
	Task     string // empty: the only task
	Argv     []string
	Terminal bool
}

// Type implements [Message].
func (*ExecRequest) Type() byte { return typeExecRequest }

// Append implements [Message].
func (m *ExecRequest) Append(b []byte) []byte {
	b = codec.AppendUint(codec.AppendString(append(b, m.Alloc[:]...), m.Task), uint64(len(m.Argv)))
	for _, word := range m.Argv {
		b = codec.AppendString(b, word)
	}
	return codec.AppendBool(b, m.Terminal)
}

// Decode implements [Message].
func (m *ExecRequest) Decode(r *codec.Reader) {
	m.Alloc = r.UUID()
	m.Task = r.String("a task's name", fleet.JobIDBytesMax)
	for range r.Count("words of a command", ExecArgvMax, 1) {
		m.Argv = append(m.Argv, r.String("a word of a command", ExecArgvBytesMax))
	}
	m.Terminal = r.Bool()
}

// ExecAnswer says that the command runs, or why it does not.
type ExecAnswer struct{ Error string }

// Type implements [Message].
func (*ExecAnswer) Type() byte { return typeExecAnswer }

// Append implements [Message].
func (m *ExecAnswer) Append(b []byte) []byte { return codec.AppendString(b, m.Error) }

// Decode implements [Message].
func (m *ExecAnswer) Decode(r *codec.Reader) { m.Error = r.String("an error", ErrorBytesMax) }

// ExecInput is what a command is given.
type ExecInput struct {
	Data []byte       // for its standard input
	End  bool         // of its standard input, behind Data
	Size TerminalSize // of its terminal from now on; zero: as it is
}

// Type implements [Message].
func (*ExecInput) Type() byte { return typeExecInput }

// Append implements [Message].
func (m *ExecInput) Append(b []byte) []byte {
	return m.Size.append(codec.AppendBool(codec.AppendBytes(b, m.Data), m.End))
}

// Decode implements [Message].
func (m *ExecInput) Decode(r *codec.Reader) {
	m.Data = r.Bytes("input of a command", ExecDataBytesMax)
	m.End = r.Bool()
	m.Size = readTerminalSize(r)
}

// ExecStream is where output of a command comes from.
type ExecStream byte

// The streams. They are on the wire: never renumber.
const (
	ExecStdout ExecStream = 1
	ExecStderr ExecStream = 2
	ExecEnd    ExecStream = 3 // the command has ended; the last message
)

// ExecOutput is what a command gives.
type ExecOutput struct {
	Stream ExecStream
	Data   []byte
	Code   int64  // of ExecEnd: the exit code
	Error  string // of ExecEnd: not empty when Code means nothing, because the end was not the command's own
}

// Type implements [Message].
func (*ExecOutput) Type() byte { return typeExecOutput }

// Append implements [Message].
func (m *ExecOutput) Append(b []byte) []byte {
	b = codec.AppendBytes(append(b, byte(m.Stream)), m.Data)
	return codec.AppendString(codec.AppendInt(b, m.Code), m.Error)
}

// Decode implements [Message].
func (m *ExecOutput) Decode(r *codec.Reader) {
	m.Stream = ExecStream(r.Byte())
	m.Data = r.Bytes("output of a command", ExecDataBytesMax)
	m.Code = r.Int()
	m.Error = r.String("an error", ErrorBytesMax)
	if r.Err() == nil && (m.Stream < ExecStdout || m.Stream > ExecEnd) {
		r.Fail(fmt.Errorf("unknown stream %d of a command", m.Stream))
	}
}
