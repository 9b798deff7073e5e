package wire

import (
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// Limits of what a device learns about servers.
const (
	ServersMax            = 32
	ServerAddressBytesMax = 265 // a host name, a colon, a port, "/tcp"
)

// Servers tells a device where its region is, on a stream of its own after the registration. The device keeps the newest.
type Servers struct {
	// Addresses are host:port for QUIC and host:port/tcp for TLS over TCP, best first.
	Addresses []string
}

// Type implements [Message].
func (*Servers) Type() byte { return typeServers }

// Append implements [Message].
func (m *Servers) Append(b []byte) []byte {
	b = codec.AppendUint(b, uint64(len(m.Addresses)))
	for _, a := range m.Addresses {
		b = codec.AppendString(b, a)
	}
	return b
}

// Decode implements [Message].
func (m *Servers) Decode(r *codec.Reader) {
	m.Addresses = nil
	for range r.Count("server addresses", ServersMax, 1) {
		m.Addresses = append(m.Addresses, r.String("a server's address", ServerAddressBytesMax))
	}
}
