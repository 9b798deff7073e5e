package quicnet

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/dunlin-edge/dunlin/wire/link"
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
	HandshakesMax = 1024
	// HandshakeWait is how long a handshake may wait for the others in progress, at the rate that this machine was measured to do:
	// further ones are refused. What waits longer repeats its packets, which costs both sides more than to come back, and a device
	// that could also go over TCP gives up a silent handshake after six seconds.
	HandshakeWait = 2 * time.Second
	// TurnsMax is the number of handshakes that are reckoned at once; the others in progress wait for a turn.
	TurnsMax = 64
	// TurnMax is how long one handshake may keep its turn: some round trips.
	TurnMax = time.Second
	// Acceptors is how many finished connections are taken at once. One alone lost 300 of 1,000 that came together: it has its
	// turn among a thousand goroutines that reckon keys, and the library queues 32.
	Acceptors = 16
	// LinksMax bounds the accepted links of an endpoint.
	LinksMax = 20_000
	// StreamsMax bounds the streams that a peer may have open on one link.
	StreamsMax = 256
	// SessionsMax bounds the sessions kept for resumption by the dialling side.
	SessionsMax = 64
)

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

	// Later leaves handshakes unanswered until Serve: a server that reads its log first must not spend its start on devices that it
	// cannot welcome yet. They repeat their first packet, which costs nobody anything.
	Later bool

	// Profile gives the profile of a protocol; nil is link.DefaultProfile.
	Profile func(protocol string) link.Profile

	// ResetKey lets a server that lost its memory tell its devices so at once, instead of letting them run into their
	// idle timeout; keep it over restarts. TokenKey proves to a server that a client's address was checked before;
	// share it among the servers of a region. Zero values draw fresh keys.
	ResetKey, TokenKey [trust.SecretBytes]byte
}

func (o *Options) fill() error {
	if o.Profile == nil {
		o.Profile = link.DefaultProfile
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

func dialConfig(p link.Profile) *quic.Config {
	if p.Beside {
		p.Idle, p.KeepAlive = ConnectionIdle, ConnectionKeepAlive
	}
	return &quic.Config{
		Versions:                       []quic.Version{quic.Version1},
		HandshakeIdleTimeout:           HandshakeTimeout,
		MaxIdleTimeout:                 p.Idle,
		KeepAlivePeriod:                p.KeepAlive,
		InitialStreamReceiveWindow:     min(link.SmallStreamWindow, p.StreamWindow),
		InitialConnectionReceiveWindow: min(link.SmallLinkWindow, p.LinkWindow),
		MaxStreamReceiveWindow:         p.StreamWindow,
		MaxConnectionReceiveWindow:     p.LinkWindow,
		MaxIncomingStreams:             StreamsMax,
		MaxIncomingUniStreams:          1, // the greeting
		DisablePathMTUDiscovery:        !p.ProbeMTU,
		EnableDatagrams:                true,
	}
}

// serverConfig is one configuration for all protocols, as QUIC needs it before it knows the protocol: the longest idle
// time (the dialling side shortens it, and watch keeps the protocol's own), the largest windows (a budget per link holds them down, see budget), and no
// search for larger packets, as most links lead to devices.
func (e *Endpoint) serverConfig(protocols []string) *quic.Config {
	all := link.Profile{}
	for _, name := range protocols {
		p := e.options.Profile(name)
		all.Idle = max(all.Idle, p.Idle)
		all.Beside = all.Beside || p.Beside
		all.StreamWindow = max(all.StreamWindow, p.StreamWindow)
		all.LinkWindow = max(all.LinkWindow, p.LinkWindow)
	}
	conf := dialConfig(all)
	conf.KeepAlivePeriod = 0 // the dialling side's business
	conf.MaxIncomingUniStreams = -1
	conf.AllowConnectionWindowIncrease = allowIncrease
	return conf
}
