package tlsnet

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
)

// Limits of an endpoint.
const (
	// HandshakeTimeout bounds one whole handshake, the TCP connection included on the dialling side.
	HandshakeTimeout = 10 * time.Second
	// HandshakesMax is the number of handshakes in progress from which on further connections wait in the kernel's queue:
	// clients of a storm that lose patience leave it, and cost nothing.
	HandshakesMax = 512
	// LinksMax bounds the accepted links of an endpoint.
	LinksMax = 20_000
	// StreamsMax bounds the streams that a peer may have open on one link.
	StreamsMax = 256
	// SessionsMax bounds the sessions kept for resumption by the dialling side.
	SessionsMax = 64
	// DatagramBytesMax is the longest datagram. TCP could carry more; what QUIC cannot carry would fail on the next link.
	DatagramBytesMax = 1200
	// DatagramsMax bounds the datagrams that wait to be sent, and those that wait to be taken, per link.
	DatagramsMax = 32
	// FrameBytesMax is the longest body of a frame: with its head it fills one TLS record.
	FrameBytesMax = 16<<10 - frameHead
	// UnsentBytesMax is what the kernel may hold unsent (Linux): the rest waits where a beat can overtake it.
	UnsentBytesMax = 32 << 10
	// CloseTimeout bounds how long Close waits until the peer was told, and how long the connection lingers afterwards.
	CloseTimeout = 2 * time.Second
	// AcceptPause follows a failure to accept (out of file descriptors, say).
	AcceptPause = 100 * time.Millisecond
	// windowMax bounds what a peer may announce as a window.
	windowMax = 1 << 30
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
	ServerTLS   *tls.Config // of trust.ServerTLS; used with a listener only

	// Profile gives the profile of a protocol; nil is link.DefaultProfile.
	Profile func(protocol string) link.Profile

	// DialTCP makes the connections under the links; nil dials TCP.
	DialTCP func(ctx context.Context, addr string) (net.Conn, error)
}

func (o *Options) fill() {
	if o.Profile == nil {
		o.Profile = link.DefaultProfile
	}
	if o.DialTCP == nil {
		// Go's own keep-alive would send a packet each 15 s, day and night.
		d := &net.Dialer{KeepAlive: -1}
		o.DialTCP = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
}
