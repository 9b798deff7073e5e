package wire

import (
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// LogRequest asks a device for a task's output.
type LogRequest struct {
	Alloc     fleet.UUID
	Task      string // empty: the only task
	Stream    string // "stdout" or "stderr"
	FromEnd   bool   // Offset counts back from the end
	Offset    uint64 // bytes
	TailLines uint64 // not zero: the last lines instead of an offset
	Follow    bool
}

// Type implements [Message].
func (*LogRequest) Type() byte { return typeLogRequest }

// Append implements [Message].
func (m *LogRequest) Append(b []byte) []byte {
	b = codec.AppendString(codec.AppendString(append(b, m.Alloc[:]...), m.Task), m.Stream)
	b = codec.AppendUint(codec.AppendBool(b, m.FromEnd), m.Offset)
	return codec.AppendBool(codec.AppendUint(b, m.TailLines), m.Follow)
}

// Decode implements [Message].
func (m *LogRequest) Decode(r *codec.Reader) {
	m.Alloc = r.UUID()
	m.Task = r.String("a task's name", fleet.JobIDBytesMax)
	m.Stream = r.String("a stream's name", NameBytesMax)
	m.FromEnd = r.Bool()
	m.Offset, m.TailLines = r.Uint(), r.Uint()
	m.Follow = r.Bool()
}

// LogAnswer comes before the raw bytes of a log, which end with the stream.
type LogAnswer struct{ Error string }

// Type implements [Message].
func (*LogAnswer) Type() byte { return typeLogAnswer }

// Append implements [Message].
func (m *LogAnswer) Append(b []byte) []byte { return codec.AppendString(b, m.Error) }

// Decode implements [Message].
func (m *LogAnswer) Decode(r *codec.Reader) { m.Error = r.String("an error", ErrorBytesMax) }

// JoinRequest is sent by a device that has a token and no certificate. Its key
// is the one it proved to hold in the handshake.
type JoinRequest struct {
	Token string
	Name  string // wanted; the invite's name wins
}

// Type implements [Message].
func (*JoinRequest) Type() byte { return typeJoinRequest }

// Append implements [Message].
func (m *JoinRequest) Append(b []byte) []byte {
	return codec.AppendString(codec.AppendString(b, m.Token), m.Name)
}

// Decode implements [Message].
func (m *JoinRequest) Decode(r *codec.Reader) {
	m.Token = r.String("a token", NameBytesMax)
	m.Name = r.String("a name", NameBytesMax)
}

// PEMBytesMax bounds a certificate in a JoinAnswer.
const PEMBytesMax = 16 << 10

// JoinAnswer carries the device's certificate and what it needs to know.
type JoinAnswer struct {
	Node       fleet.UUID
	Name       string
	Region     string
	Datacenter string
	CertPEM    []byte
	CAPEM      []byte
	Error      string // not empty: refused
	Pool       string // the node pool that the invite chose; may be empty
	Role       string // fleet.InviteRoleGateway, or empty for a node
}

// Type implements [Message].
func (*JoinAnswer) Type() byte { return typeJoinAnswer }

// Append implements [Message].
func (m *JoinAnswer) Append(b []byte) []byte {
	b = codec.AppendString(codec.AppendString(append(b, m.Node[:]...), m.Name), m.Region)
	b = codec.AppendBytes(codec.AppendString(b, m.Datacenter), m.CertPEM)
	b = codec.AppendString(codec.AppendBytes(b, m.CAPEM), m.Error)
	return codec.AppendString(codec.AppendString(b, m.Pool), m.Role)
}

// Decode implements [Message].
func (m *JoinAnswer) Decode(r *codec.Reader) {
	m.Node = r.UUID()
	m.Name = r.String("a name", NameBytesMax)
	m.Region = r.String("a region", NameBytesMax)
	m.Datacenter = r.String("a datacenter", NameBytesMax)
	m.CertPEM = r.Bytes("a certificate", PEMBytesMax)
	m.CAPEM = r.Bytes("a CA certificate", PEMBytesMax)
	m.Error = r.String("an error", ErrorBytesMax)
	m.Pool, m.Role = r.String("a node pool", NameBytesMax), r.String("a role", NameBytesMax)
}
