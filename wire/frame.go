package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/dunlin-edge/dunlin/wire/codec"
)

// Limits of the protocol, on both ends.
const (
	FrameBytesMax    = 8 << 20 // one message
	DatagramBytesMax = 1000    // fits any path that QUIC accepts
	NameBytesMax     = 256
	ErrorBytesMax    = 4 << 10
)

// Kind says what a stream is for.
type Kind byte

// Stream kinds. They are on the wire: never renumber.
const (
	KindRegister Kind = 1
	KindStatus   Kind = 2
	KindModule   Kind = 3
	KindDesired  Kind = 4
	KindLogs     Kind = 5
	KindJoin     Kind = 6
	KindFacts    Kind = 20 // a device tells what has changed about it
	KindServers  Kind = 25 // the server tells where the region is
	KindRenew    Kind = 35 // a device asks for a new certificate
	KindProbe    Kind = 36 // the server asks whether a device is still there
	KindTraffic  Kind = 50
	KindWritten  Kind = 45
	KindFiles    Kind = 55 // the server reads files of an allocation
	KindExec     Kind = 56 // the server runs a command beside a task
)

func (k Kind) known() bool {
	switch k {
	case KindRegister, KindStatus, KindModule, KindDesired, KindLogs, KindJoin, KindFacts, KindServers, KindRenew, KindProbe, KindWritten, KindTraffic, KindFiles, KindExec:
		return true
	}
	return false
}

// Message is anything that can be a frame.
type Message interface {
	// Type is the byte before the message in its frame.
	Type() byte
	// Append appends the binary form to b.
	Append(b []byte) []byte
	// Decode reads the binary form; the caller checks the reader's error.
	Decode(r *codec.Reader)
}

// Message types. They are on the wire: never renumber.
const (
	typeHeader        = 1
	typeRegister      = 2
	typeWelcome       = 3
	typeStatusBatch   = 4
	typeStatusAck     = 5
	typeModuleRequest = 6
	typeModuleAnswer  = 7
	typeDesired       = 8
	typeDesiredAck    = 9
	typeLogRequest    = 10
	typeLogAnswer     = 11
	typeBeat          = 12
	typeJoinRequest   = 13
	typeJoinAnswer    = 14
	typeFacts         = 20
	typeFactsAck      = 21
	typeServers       = 25
	typeModuleFrom    = 30
	typeRenewRequest  = 35
	typeRenewAnswer   = 36
	typeProbeAnswer   = 37

	typeTrafficRequest = 50
	typeTrafficAnswer  = 51
	typeWrittenAnswer  = 45

	typeFsRequest   = 55
	typeFsAnswer    = 56
	typeFsPiece     = 57
	typeExecRequest = 58
	typeExecAnswer  = 59
	typeExecInput   = 60
	typeExecOutput  = 61
)

// ErrFrameTooLong says that a peer announced or a caller built a frame beyond
// [FrameBytesMax].
var ErrFrameTooLong = errors.New("frame is too long")

// Encode returns m as a frame.
func Encode(m Message) ([]byte, error) {
	b := m.Append(append(make([]byte, 4, 256), m.Type()))
	n := len(b) - 4
	if limit := limitOf(m); n > limit {
		return nil, fmt.Errorf("%T of %d bytes: %w (at most %d)", m, n, ErrFrameTooLong, limit)
	}
	binary.BigEndian.PutUint32(b, uint32(n))
	return b, nil
}

// Write writes m as one frame in one call.
func Write(w io.Writer, m Message) error {
	b, err := Encode(m)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// Read reads one frame into m. io.EOF means that the peer ended the stream
// between frames.
func Read(r io.Reader, m Message) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if err := checkLength(m, n); err != nil {
		return err
	}
	body, err := readBody(r, int(n))
	if err != nil {
		return err
	}
	return Decode(body, m)
}

// Decode reads the body of a frame (type byte and message) into m.
func Decode(body []byte, m Message) error {
	if len(body) == 0 || body[0] != m.Type() {
		return fmt.Errorf("want a frame of type %d (%T), got %s", m.Type(), m, typeOf(body))
	}
	r := codec.NewReader(body[1:])
	m.Decode(r)
	if err := r.Close(); err != nil {
		return fmt.Errorf("decode %T: %w", m, err)
	}
	return nil
}

func typeOf(body []byte) string {
	if len(body) == 0 {
		return "an empty frame"
	}
	return fmt.Sprintf("type %d", body[0])
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
