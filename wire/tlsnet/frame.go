package tlsnet

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
)

// frameHead is the length of a frame's head: type (1 byte), length of the body (3), stream (4), all big-endian. Stream 0
// is the link itself.
const frameHead = 8

// version is that of the framing; it travels in the first frame.
const version = 1

// The types of frames. They are on the wire: never renumber.
const (
	frameSettings = 1 // first frame of each side; the server's says that the client is accepted
	frameData     = 2
	frameFin      = 3 // no more data on this stream
	frameReset    = 4 // code: the sender gave up sending
	frameStop     = 5 // code: the sender takes no more of the stream; the peer answers with fin or reset
	frameWindow   = 6 // so many bytes more may be sent, on a stream or on the link
	frameDatagram = 7
	framePing     = 8
	framePong     = 9
	frameClose    = 10 // code and reason; the last frame
)

const (
	wordBytes     = 4 // body of reset, stop, window
	settingsBytes = 1 + 4*wordBytes
)

// head is a frame's head.
type head struct {
	kind   byte
	length int
	stream uint32
}

func appendHead(b []byte, kind byte, stream uint32, length int) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(kind)<<24|uint32(length))
	return binary.BigEndian.AppendUint32(b, stream)
}

func appendWord(b []byte, kind byte, stream, word uint32) []byte {
	return binary.BigEndian.AppendUint32(appendHead(b, kind, stream, wordBytes), word)
}

// parseHead checks what can be known of a frame without its body: type, length, and whether it may belong to a stream.
func parseHead(b [frameHead]byte) (head, error) {
	h := head{kind: b[0], length: int(binary.BigEndian.Uint32(b[:4]) & 0xff_ffff), stream: binary.BigEndian.Uint32(b[4:])}
	low, high, onStream, onLink := 0, 0, true, false
	switch h.kind {
	case frameSettings:
		low, high, onStream, onLink = settingsBytes, settingsBytes, false, true
	case frameData:
		low, high = 1, FrameBytesMax
	case frameFin:
	case frameReset, frameStop:
		low, high = wordBytes, wordBytes
	case frameWindow:
		low, high, onLink = wordBytes, wordBytes, true
	case frameDatagram:
		high, onStream, onLink = DatagramBytesMax, false, true
	case framePing, framePong:
		onStream, onLink = false, true
	case frameClose:
		low, high, onStream, onLink = wordBytes, wordBytes+link.ReasonBytesMax, false, true
	default:
		return h, fmt.Errorf("frame of unknown type %d", h.kind)
	}
	if h.length < low || h.length > high {
		return h, fmt.Errorf("frame of type %d has %d bytes; want %d to %d", h.kind, h.length, low, high)
	}
	if h.stream == 0 && !onLink || h.stream != 0 && !onStream {
		return h, fmt.Errorf("frame of type %d on stream %d", h.kind, h.stream)
	}
	return h, nil
}

// settings are what a side allows the other.
type settings struct {
	streams, streamWindow, linkWindow uint32
	idle                              time.Duration // whole milliseconds
}

func settingsOf(p link.Profile) settings {
	return settings{streams: StreamsMax, streamWindow: uint32(p.StreamWindow), linkWindow: uint32(p.LinkWindow), idle: p.Idle}
}

func (s settings) append(b []byte) []byte {
	b = append(appendHead(b, frameSettings, 0, settingsBytes), version)
	for _, word := range []uint32{s.streams, s.streamWindow, s.linkWindow, uint32(s.idle / time.Millisecond)} {
		b = binary.BigEndian.AppendUint32(b, word)
	}
	return b
}

// parseSettings reads the body of a settings frame, whose length is checked already.
func parseSettings(b []byte) (settings, error) {
	if b[0] != version {
		return settings{}, fmt.Errorf("the peer speaks version %d of the framing, this side %d: upgrade the older side", b[0], version)
	}
	word := func(i int) uint32 { return binary.BigEndian.Uint32(b[1+wordBytes*i:]) }
	s := settings{streams: word(0), streamWindow: word(1), linkWindow: word(2), idle: time.Duration(word(3)) * time.Millisecond}
	if s.streams == 0 || s.streamWindow == 0 || s.linkWindow == 0 || s.idle == 0 || s.streamWindow > windowMax || s.linkWindow > windowMax {
		return settings{}, fmt.Errorf("settings make no sense: %+v", s)
	}
	s.streams = min(s.streams, StreamsMax) // this side never wants more
	return s, nil
}

func appendClose(b []byte, c *link.CloseError) []byte {
	reason := c.Reason
	if len(reason) > link.ReasonBytesMax {
		reason = reason[:link.ReasonBytesMax]
	}
	b = binary.BigEndian.AppendUint32(appendHead(b, frameClose, 0, wordBytes+len(reason)), uint32(c.Code))
	return append(b, reason...)
}

// parseClose reads the body of a close frame, whose length is checked already.
func parseClose(b []byte) *link.CloseError {
	return &link.CloseError{Code: link.Code(binary.BigEndian.Uint32(b)), Reason: string(b[wordBytes:]), Remote: true}
}
