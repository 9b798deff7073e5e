package link

import "github.com/dunlin-edge/dunlin/wire/traffic"

// Counted is a stream whose bytes are counted to a class. What passes before Assign is kept and counted then: an accepting side
// knows what a stream is for only once it has read its header.
//
// Assign must be called before the stream is used by more than one goroutine.
type Counted struct {
	Stream
	live  *traffic.Live
	class traffic.Class
	early int // read before Assign
}

// Count wraps a stream that has not been used yet.
func Count(st Stream) *Counted { return &Counted{Stream: st} }

// Assign says where the stream's bytes go.
func (s *Counted) Assign(live *traffic.Live, class traffic.Class) {
	s.live, s.class = live, class
	live.Received(class, s.early)
}

// Read implements Stream.
func (s *Counted) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if s.live == nil {
		s.early += n
	} else {
		s.live.Received(s.class, n)
	}
	return n, err
}

// Write implements Stream.
func (s *Counted) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	if s.live != nil {
		s.live.Sent(s.class, n)
	}
	return n, err
}

// Sides are a link's packet counters as the two directions that are billed, IPv4 and UDP headers included.
func (s Stats) Sides() traffic.Count {
	return traffic.Count{Sent: s.SentBytes + HeaderBytes*s.SentPackets, Received: s.ReceivedBytes + HeaderBytes*s.ReceivedPackets}
}
