package quicnet

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Limits of an endpoint.
const (
	// HandshakeTimeout bounds the silence during a handshake; a handshake may take twice as long in all.
	HandshakeTimeout = 10 * time.Second
	// HandshakesRetry is the number of handshakes in progress from which on a client must first prove its address, at
	// the price of a round trip: what keeps a flood of forged packets from costing key exchanges.
	HandshakesRetry = 256
	// HandshakesMax is the number of handshakes in progress from which on further ones are refused as busy.
	HandshakesMax = 2048
	// AcceptQueueMax bounds the accepted links per protocol that nobody has taken yet.
	AcceptQueueMax = 256
	// LinksMax bounds the accepted links of an endpoint.
	LinksMax = 20_000
	// StreamsMax bounds the streams that a peer may have open on one link.
	StreamsMax = 256
	// SessionsMax bounds the sessions kept for resumption by the dialling side.
	SessionsMax = 64

	initialStreamWindow = 64 << 10
	initialLinkWindow   = 128 << 10
)

// Profile says how a link of one protocol behaves.
type Profile struct {
	// Idle is the silence after which a link is given up; the smaller value of both sides counts.
	Idle time.Duration
	// KeepAlive is how often the dialling side breaks its silence; 0 never, as each time costs a metered link 113 bytes.
	KeepAlive time.Duration
	// StreamWindow and LinkWindow bound the bytes in memory that a peer sent and nobody has read.
	StreamWindow, LinkWindow uint64
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
		return Profile{Idle: 30 * time.Second, StreamWindow: initialStreamWindow, LinkWindow: initialLinkWindow}
	default:
		return Profile{Idle: 75 * time.Second, StreamWindow: 512 << 10, LinkWindow: 1 << 20}
	}
}

// Credentials give the dialling side's TLS configuration and the words for its failures. trust.Client and
// trust.JoinClient are the two.
type Credentials interface {
	TLS(protocol string) (*tls.Config, error)
	Explain(protocol string, err error) error
}

// Options say what an endpoint does.
type Options struct {
	Credentials Credentials // nil: this endpoint does not dial
	ServerTLS   *tls.Config // of trust.ServerTLS; nil: this endpoint does not listen

	// Profile gives the profile of a protocol; nil is DefaultProfile.
	Profile func(protocol string) Profile

	// ResetKey lets a server that lost its memory tell its devices so at once, instead of letting them run into their
	// idle timeout; keep it over restarts. TokenKey proves to a server that a client's address was checked before;
	// share it among the servers of a region. Zero values draw fresh keys.
	ResetKey, TokenKey [trust.SecretBytes]byte
}

func (o *Options) fill() error {
	if o.Profile == nil {
		o.Profile = DefaultProfile
	}
	for _, key := range []*[trust.SecretBytes]byte{&o.ResetKey, &o.TokenKey} {
		if *key == [trust.SecretBytes]byte{} {
			if _, err := rand.Read(key[:]); err != nil {
				return fmt.Errorf("draw a key: %w", err)
			}
		}
	}
	return nil
}

func (p Profile) dialConfig() *quic.Config {
	return &quic.Config{
		Versions:                       []quic.Version{quic.Version1},
		HandshakeIdleTimeout:           HandshakeTimeout,
		MaxIdleTimeout:                 p.Idle,
		KeepAlivePeriod:                p.KeepAlive,
		InitialStreamReceiveWindow:     min(initialStreamWindow, p.StreamWindow),
		InitialConnectionReceiveWindow: min(initialLinkWindow, p.LinkWindow),
		MaxStreamReceiveWindow:         p.StreamWindow,
		MaxConnectionReceiveWindow:     p.LinkWindow,
		MaxIncomingStreams:             StreamsMax,
		MaxIncomingUniStreams:          1, // the greeting
		DisablePathMTUDiscovery:        !p.ProbeMTU,
		EnableDatagrams:                true,
	}
}

// serverConfig is one configuration for all protocols, as QUIC needs it before it knows the protocol: the longest idle
// time (the dialling side shortens it), the largest windows (a budget per link holds them down, see budget), and no
// search for larger packets, as most links lead to devices.
func (e *Endpoint) serverConfig(protocols []string) *quic.Config {
	all := Profile{}
	for _, name := range protocols {
		p := e.options.Profile(name)
		all.Idle = max(all.Idle, p.Idle)
		all.StreamWindow = max(all.StreamWindow, p.StreamWindow)
		all.LinkWindow = max(all.LinkWindow, p.LinkWindow)
	}
	conf := all.dialConfig()
	conf.MaxIncomingUniStreams = -1
	conf.AllowConnectionWindowIncrease = allowIncrease
	return conf
}
