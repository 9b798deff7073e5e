package wire

import (
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// RenewRequest asks for a new certificate for the identity and the key of the
// link's own: the handshake has proved both, so there is nothing to say.
type RenewRequest struct{}

// Type implements [Message].
func (*RenewRequest) Type() byte { return typeRenewRequest }

// Append implements [Message].
func (*RenewRequest) Append(b []byte) []byte { return b }

// Decode implements [Message].
func (*RenewRequest) Decode(*codec.Reader) {}

// RenewAnswer carries the new certificate.
type RenewAnswer struct {
	CertPEM []byte
	Error   string // not empty: refused
}

// Type implements [Message].
func (*RenewAnswer) Type() byte { return typeRenewAnswer }

// Append implements [Message].
func (m *RenewAnswer) Append(b []byte) []byte {
	return codec.AppendString(codec.AppendBytes(b, m.CertPEM), m.Error)
}

// Decode implements [Message].
func (m *RenewAnswer) Decode(r *codec.Reader) {
	m.CertPEM = r.Bytes("a certificate", PEMBytesMax)
	m.Error = r.String("an error", ErrorBytesMax)
}

// ProbeAnswer says that a device is still at the end of its link, and where it
// runs. The server asks before it lets another machine take the link over.
type ProbeAnswer struct{ Place fleet.UUID }

// Type implements [Message].
func (*ProbeAnswer) Type() byte { return typeProbeAnswer }

// Append implements [Message].
func (m *ProbeAnswer) Append(b []byte) []byte { return append(b, m.Place[:]...) }

// Decode implements [Message].
func (m *ProbeAnswer) Decode(r *codec.Reader) { m.Place = r.UUID() }
