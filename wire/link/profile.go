package link

import (
	"time"

	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Transport is how a link's bytes travel.
type Transport string

// The transports, as people see them.
const (
	TransportQUIC Transport = "quic/udp"
	TransportTLS  Transport = "tls/tcp"
)

// Windows of a link whose protocol moves little, in bytes.
const (
	SmallStreamWindow = 64 << 10
	SmallLinkWindow   = 128 << 10
)

// Profile says how a link of one protocol behaves.
type Profile struct {
	// Idle is the silence after which a link is given up; the smaller value of both sides counts, or each side's own with Beside.
	Idle time.Duration
	// KeepAlive is how often the dialling side breaks its silence; 0 never, as each time costs a metered link 113 bytes.
	KeepAlive time.Duration
	// StreamWindow and LinkWindow bound the bytes in memory that a peer sent and nobody has read.
	StreamWindow, LinkWindow uint64
	// Beside lets the dialling side's datagrams travel beside the connection where the transport can: far cheaper for a server
	// with thousands of quiet links, and its Idle is then kept by the adapter.
	Beside bool
	// ProbeMTU looks for larger packets, at the cost of some 5 KB per link.
	ProbeMTU bool
}

// DefaultProfile is the profile of each protocol: thrift towards devices, speed between servers.
func DefaultProfile(protocol string) Profile {
	switch protocol {
	case trust.ProtocolRaft:
		return Profile{Idle: 15 * time.Second, KeepAlive: 5 * time.Second, StreamWindow: 6 << 20, LinkWindow: 15 << 20, ProbeMTU: true}
	case trust.ProtocolRPC:
		return Profile{Idle: 60 * time.Second, StreamWindow: 6 << 20, LinkWindow: 15 << 20}
	case trust.ProtocolJoin:
		return Profile{Idle: 30 * time.Second, StreamWindow: SmallStreamWindow, LinkWindow: SmallLinkWindow}
	default:
		return Profile{Idle: 75 * time.Second, StreamWindow: 512 << 10, LinkWindow: 1 << 20, Beside: true}
	}
}
