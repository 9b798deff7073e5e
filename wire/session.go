package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// Header opens every stream.
type Header struct {
	Kind Kind
	Node fleet.UUID // whom the stream speaks for; must be the certificate's node unless it is a gateway's
}

// Type implements [Message].
func (*Header) Type() byte { return typeHeader }

// Append implements [Message].
func (h *Header) Append(b []byte) []byte { return append(append(b, byte(h.Kind)), h.Node[:]...) }

// Decode implements [Message].
func (h *Header) Decode(r *codec.Reader) {
	h.Kind = Kind(r.Byte())
	h.Node = r.UUID()
	if r.Err() == nil && !h.Kind.known() {
		r.Fail(fmt.Errorf("unknown stream kind %d", h.Kind))
	}
}

// Generation orders what a device is told. Epoch rises when a region is
// restored; N is the raft index of the state it was read from.
type Generation struct {
	Epoch uint64
	N     uint64
}

// Less reports whether g comes before h.
func (g Generation) Less(h Generation) bool {
	return g.Epoch < h.Epoch || g.Epoch == h.Epoch && g.N < h.N
}

// String formats g as "epoch.n".
func (g Generation) String() string { return fmt.Sprintf("%d.%d", g.Epoch, g.N) }

func (g Generation) append(b []byte) []byte {
	return codec.AppendUint(codec.AppendUint(b, g.Epoch), g.N)
}

func readGeneration(r *codec.Reader) Generation { return Generation{Epoch: r.Uint(), N: r.Uint()} }

// Register is the first thing a device says on a new link.
type Register struct {
	RegionID fleet.UUID // the region it obeys; zero before its first contact
	Held     Generation // the newest desired state it has on disk
	Spec     []byte     // fleet.Node as JSON, what the agent reports
	// Mark names the stretch of the region's log that Held is of, as it came with
	// that state; 0: unknown. By it a region sees that it was taken back.
	Mark uint64
	// Everything: the device lacks something that it should have; tell it all.
	Everything bool
	// Place names the running system and the data folder that the agent is in;
	// zero: unknown. Only one agent can be in a place, so a link from the same
	// place takes over at once; one from another place may be a clone's.
	Place fleet.UUID
}

// Type implements [Message].
func (*Register) Type() byte { return typeRegister }

// Append implements [Message].
func (m *Register) Append(b []byte) []byte {
	b = codec.AppendBytes(m.Held.append(append(b, m.RegionID[:]...)), m.Spec)
	b = codec.AppendBool(codec.AppendUint(b, m.Mark), m.Everything)
	return append(b, m.Place[:]...)
}

// Decode implements [Message].
func (m *Register) Decode(r *codec.Reader) {
	m.RegionID = r.UUID()
	m.Held = readGeneration(r)
	m.Spec = r.Bytes("the node's description", fleet.NodeSpecBytesMax)
	m.Mark, m.Everything = r.Uint(), r.Bool()
	m.Place = r.UUID()
}

// Welcome answers Register.
type Welcome struct {
	RegionID   fleet.UUID
	Epoch      uint64
	ServerTime int64  // Unix nanoseconds
	BeatEvery  int64  // nanoseconds; the device adds jitter
	ServerName string // for people
	Refusal    string // not empty: why the device may not work here; the link then ends
	// Return is within how long devices come back when they lose their link all at once, in nanoseconds: each waits a random part
	// of it before its first try. It is told beforehand, because a server that was killed tells nothing.
	Return int64
}

// Type implements [Message].
func (*Welcome) Type() byte { return typeWelcome }

// Append implements [Message].
func (m *Welcome) Append(b []byte) []byte {
	b = codec.AppendUint(append(b, m.RegionID[:]...), m.Epoch)
	b = codec.AppendInt(codec.AppendInt(b, m.ServerTime), m.BeatEvery)
	b = codec.AppendString(codec.AppendString(b, m.ServerName), m.Refusal)
	return codec.AppendInt(b, m.Return)
}

// Decode implements [Message].
func (m *Welcome) Decode(r *codec.Reader) {
	m.RegionID = r.UUID()
	m.Epoch = r.Uint()
	m.ServerTime, m.BeatEvery = r.Int(), r.Int()
	m.ServerName = r.String("the server's name", NameBytesMax)
	m.Refusal = r.String("the refusal", ErrorBytesMax)
	m.Return = r.Int()
}

// Beat is a datagram by which a device shows that it lives. Its number takes eight bytes whatever it is: a server that was killed and
// has forgotten the link answers with a stateless reset, and QUIC does so only to packets of more than 42 bytes. With a short number
// a beat that goes over QUIC has 42, and the device would learn of the restart from its idle timeout, which is longer than the time after which it is
// taken for lost.
type Beat struct {
	Node fleet.UUID
	Seq  uint64 // rises with each beat of a link
}

// Type implements [Message].
func (*Beat) Type() byte { return typeBeat }

// Append implements [Message].
func (m *Beat) Append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(append(b, m.Node[:]...), m.Seq)
}

// Decode implements [Message].
func (m *Beat) Decode(r *codec.Reader) {
	m.Node = r.UUID()
	if p := r.Raw(8); r.Err() == nil {
		m.Seq = binary.BigEndian.Uint64(p)
	}
}

// EncodeDatagram returns m without a length, as datagrams carry it.
func EncodeDatagram(m Message) []byte { return m.Append([]byte{m.Type()}) }
