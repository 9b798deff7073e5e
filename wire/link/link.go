// Package link is the port between sessions and the network: an authenticated link to one peer, with streams and
// datagrams. It opens no socket; wire/quicnet does, and wire/memnet stands under it in tests.
//
// The one idea: whoever holds a Link knows who is at the other end and by which protocol, and need not know how the
// bytes travel.
//
// Invariants:
//   - Dial returns a link only once the server has accepted the client's certificate; a refusal is an error of Dial.
//   - When a link ends, its Context ends with the reason as cause, and every pending call on it and its streams returns
//     an error that wraps the reason (see Closed).
//   - A stream becomes visible to the peer with its first written bytes, not when it is opened.
//
// Threading: a Link is safe for concurrent use. On a Stream one goroutine may read while another writes; Reset, Close
// and the deadlines may be called from any goroutine.
package link

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"time"

	"github.com/dunlin-edge/dunlin/wire/trust"
)

// ReasonBytesMax is the longest reason that travels with Close; longer ones are cut. It must fit into one packet.
const ReasonBytesMax = 512

// Link is an authenticated connection to one peer.
type Link interface {
	// Peer is who is at the other end; zero on the accepting side of the join protocol.
	Peer() trust.Identity
	// Protocol is one of trust.Protocols.
	Protocol() string
	// Transport is how the bytes travel.
	Transport() Transport
	// PeerCertificates is the chain the peer presented, leaf first, never empty. On the accepting side of a join it
	// carries the device's new public key; on the dialling side, the region's CA.
	PeerCertificates() []*x509.Certificate
	LocalAddr() net.Addr
	RemoteAddr() net.Addr

	// OpenStream opens a stream. It waits while the peer allows no more of them.
	OpenStream(ctx context.Context) (Stream, error)
	// AcceptStream waits for a stream that the peer opened and wrote to. Several may wait at once.
	AcceptStream(ctx context.Context) (Stream, error)

	// SendDatagram sends a message that may be lost or come out of order. A message that is too long for the path is
	// a *DatagramSizeError. It waits while the send queue is full (a few dozen), until the link ends at the latest.
	SendDatagram(p []byte) error
	// ReceiveDatagram waits for the next datagram. Those that nobody takes are dropped beyond a bound. With a context that has
	// ended it takes what is there and does not wait.
	ReceiveDatagram(ctx context.Context) ([]byte, error)

	// Context ends when the link ends; context.Cause is then the reason.
	Context() context.Context
	// Close ends the link and tells the peer the code and the reason. Only the first Close counts. What was written and
	// has not arrived yet may be lost: let the peer confirm what matters before closing.
	Close(code Code, reason string) error
	// Stats counts what the link has carried.
	Stats() Stats
}

// Stream is an ordered, reliable pair of byte streams.
type Stream interface {
	io.Reader
	io.Writer
	// CloseWrite says that no more will be written; what was written still arrives. The peer reads io.EOF.
	CloseWrite() error
	// Reset gives up both directions at once; the peer's pending calls return a *ResetError with the code.
	Reset(code Code)
	// Close ends the stream gracefully: CloseWrite, and no more interest in what the peer still sends. Each opened or
	// accepted stream must be closed or reset.
	Close() error
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	// Context ends when writing has ended: by CloseWrite, Reset, the peer, or the end of the link.
	Context() context.Context
}

// Dialer makes links.
type Dialer interface {
	// Dial connects to a server at host:port. Several addresses of one host are tried in turn. The error of a refused
	// handshake is a *trust.Refusal.
	Dial(ctx context.Context, addr, protocol string) (Link, error)
}

// Listener takes the links that peers make by one protocol.
type Listener interface {
	// Accept waits for the next link. It returns net.ErrClosed once the listener is closed.
	Accept(ctx context.Context) (Link, error)
	Addr() net.Addr
	// Close refuses further links of the protocol; accepted ones stay.
	Close() error
}

// Stats counts a link's traffic in both directions, retransmissions and handshake included.
type Stats struct {
	SentBytes, ReceivedBytes     uint64 // payload of UDP, or of TCP
	SentPackets, ReceivedPackets uint64
	LostPackets                  uint64
	RoundTrip                    time.Duration // smoothed; 0 while unknown
	PacketHeader                 uint64        // what IP and UDP or TCP add to each packet, in bytes; 0 stands for HeaderBytes
	Resumed                      bool          // the handshake took up an earlier session
}

// HeaderBytes is what IPv4 and UDP add to each packet.
const HeaderBytes = 28

// WireBytes is what a metered link is billed for: both ways, headers of IPv4 and UDP or TCP included.
func (s Stats) WireBytes() uint64 {
	header := s.PacketHeader
	if header == 0 {
		header = HeaderBytes
	}
	return s.SentBytes + s.ReceivedBytes + header*(s.SentPackets+s.ReceivedPackets)
}
