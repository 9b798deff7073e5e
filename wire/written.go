package wire

import "github.com/dunlin-edge/dunlin/wire/codec"

// WrittenBytesMax bounds what a device tells about its writes: a month of days by class takes a tenth of it.
const WrittenBytesMax = 64 << 10

// WrittenAnswer is a device's answer on a stream of [KindWritten], whose header is the whole question.
type WrittenAnswer struct {
	JSON  []byte // of fleet.DiskWrites
	Error string // not empty: it cannot tell
}

// Type implements [Message].
func (*WrittenAnswer) Type() byte { return typeWrittenAnswer }

// Append implements [Message].
func (m *WrittenAnswer) Append(b []byte) []byte {
	return codec.AppendString(codec.AppendBytes(b, m.JSON), m.Error)
}

// Decode implements [Message].
func (m *WrittenAnswer) Decode(r *codec.Reader) {
	m.JSON = r.Bytes("what was written", WrittenBytesMax)
	m.Error = r.String("an error", ErrorBytesMax)
}
