package wire

import (
	"github.com/dunlin-edge/dunlin/wire/codec"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

// Class is what the bytes of a stream are counted as.
func (k Kind) Class() traffic.Class {
	switch k {
	case KindRegister, KindJoin, KindRenew:
		return traffic.Handshake
	case KindStatus, KindFacts:
		return traffic.Status
	case KindModule:
		return traffic.Modules
	case KindDesired:
		return traffic.Desired
	case KindLogs, KindFiles: // what is read of a device in bulk, and is slowed alike when the link's budget is short
		return traffic.Logs
	case KindExec:
		return traffic.Exec
	}
	return traffic.Other
}

// TrafficRequest asks a device for what it counted itself. The server asks only when an operator does: a device that reported by
// itself would spend bytes on telling how few it spends.
type TrafficRequest struct{}

// Type implements [Message].
func (*TrafficRequest) Type() byte { return typeTrafficRequest }

// Append implements [Message].
func (*TrafficRequest) Append(b []byte) []byte { return b }

// Decode implements [Message].
func (*TrafficRequest) Decode(*codec.Reader) {}

// TrafficAnswer is a device's own account, which goes on over links and restarts.
type TrafficAnswer struct {
	Book   traffic.Book
	Links  uint64 // made since the agent started
	Budget traffic.Budget
}

// Type implements [Message].
func (*TrafficAnswer) Type() byte { return typeTrafficAnswer }

// Append implements [Message].
func (m *TrafficAnswer) Append(b []byte) []byte {
	return codec.AppendUint(codec.AppendUint(m.Book.Append(b), m.Links), uint64(m.Budget))
}

// Decode implements [Message].
func (m *TrafficAnswer) Decode(r *codec.Reader) {
	m.Book.Decode(r)
	m.Links, m.Budget = r.Uint(), traffic.Budget(r.Uint())
}
