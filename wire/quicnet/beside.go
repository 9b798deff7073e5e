package quicnet

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
)

// Limits of the datagrams that travel beside a connection.
const (
	// AnswerWait is how long an answer may take before the datagram is sent again, over the connection.
	AnswerWait = 3 * time.Second
	// MissesMax is how many datagrams in a row may stay unanswered before all further ones go over the connection: something on
	// the path lets QUIC pass and nothing else.
	MissesMax = 8
	// BesideQueueMax bounds the datagrams of a link that nobody has taken; further ones are dropped.
	BesideQueueMax = 128
	// LookEvery is how often datagrams are looked for in the connection of a link whose last one came beside it: a server looks
	// through thousands of links, and finds there what was sent again because its answer was lost.
	LookEvery = 10 * time.Second
)

// Flags of an answer.
const flagMoved = 1 // the datagram came from another address than the connection knows

// beside is what a link carries beside its connection: the datagrams of the side that dialled, and their answers.
//
// A datagram inside QUIC is acknowledged, after a pause, by a timer and three goroutines of the connection: what 10,000 idle
// devices cost a server was that, and not their beats. Here the one who reads the socket answers at once. The answer shows the
// device that its server lives, and measures the path; the connection sleeps. What is not answered goes over the connection,
// whose repetition, resets and changes of address are QUIC's as ever.
type beside struct {
	key    sealedKey
	dialed bool // this side sends datagrams and hears answers
	none   bool // the protocol has no datagrams beside its connection

	mu       sync.Mutex
	heard    time.Time // when the last sign of the peer came
	packets  uint64    // of the connection, when it was last looked at
	sent     count
	received count

	// Of the side that dialled.
	number  uint32  // of the last datagram
	waiting waiting // for an answer
	misses  int     // in a row
	lost    uint64  // in all
	rtt     time.Duration
	late    *time.Timer // runs while a datagram waits

	// Of the side that accepted.
	seen   numbers
	queue  [][]byte
	wake   context.CancelFunc // of the one who waits for a datagram
	steady bool               // the last datagram came beside the connection
	looked time.Time          // when a datagram was last looked for in the connection
}

// waiting is the first datagram since the last answer; zero if there is none.
type waiting struct {
	number uint32
	since  time.Time
	p      []byte
}

// count is packets and their bytes.
type count struct{ packets, bytes uint64 }

func (c *count) add(b []byte) { c.packets, c.bytes = c.packets+1, c.bytes+uint64(len(b)) }

// rttOld is the weight of what was measured before, of rttParts (RFC 6298, section 2).
const rttOld, rttParts = 7, 8

func newBeside(state tls.ConnectionState, profile link.Profile, dialed bool) (*beside, error) {
	s := &beside{dialed: dialed, none: !profile.Beside, heard: time.Now()}
	if s.none {
		return s, nil
	}
	var err error
	s.key, err = newSealedKey(state.ExportKeyingMaterial)
	return s, err
}

// sendBeside sends a datagram beside the connection, if it can.
func (l *quicLink) sendBeside(p []byte) bool {
	s := l.side
	s.mu.Lock()
	if s.none || !s.dialed || s.misses >= MissesMax || s.number == numberLast || len(p) > SealedMax || l.ctx.Err() != nil {
		s.mu.Unlock()
		return false
	}
	s.number++
	b := s.key.sealer().seal(markDatagram, s.number, p)
	s.sent.add(b)
	if s.waiting.number == 0 {
		s.waiting = waiting{s.number, time.Now(), bytes.Clone(p)}
		if s.late == nil {
			s.late = time.AfterFunc(AnswerWait, l.unanswered)
		} else {
			s.late.Reset(AnswerWait)
		}
	}
	s.mu.Unlock()
	// An error of the socket is as a packet that was lost.
	_, _ = l.endpoint.socket.WriteTo(b, l.conn.RemoteAddr())
	return true
}

// unanswered is called AnswerWait after a datagram began to wait.
func (l *quicLink) unanswered() {
	s := l.side
	s.mu.Lock()
	if s.waiting.number == 0 || time.Since(s.waiting.since) < AnswerWait { // answered just now; another one may wait already
		s.mu.Unlock()
		return
	}
	p := s.waiting.p
	s.waiting = waiting{}
	s.misses++
	s.lost++
	s.mu.Unlock()
	l.knock(p)
}

// knock sends a datagram over the connection. It does not wait: the caller may be the one who hears for all links.
func (l *quicLink) knock(p []byte) {
	if p == nil {
		return
	}
	l.endpoint.run(func() {
		_ = l.conn.SendDatagram(p) // a connection that has ended says so by its context
	})
}

// answered takes in what the peer says about a datagram.
func (l *quicLink) answered(b []byte, p sealedPacket) {
	s := l.side
	s.mu.Lock()
	if p.number > s.number || s.waiting.number == 0 || p.number < s.waiting.number {
		s.mu.Unlock()
		return // of a datagram that waits no more, or sent again by somebody
	}
	if p.mark == markUnknown { // perhaps: ask over the connection, where nobody can lie
		knock := s.waiting.p
		s.received.add(b)
		s.waiting = waiting{}
		s.mu.Unlock()
		l.knock(knock)
		return
	}
	flags, err := s.key.sealer().open(p)
	if err != nil {
		s.mu.Unlock()
		return
	}
	now := time.Now()
	if p.number == s.waiting.number {
		s.measured(now.Sub(s.waiting.since))
	}
	var moved []byte
	if flags[0]&flagMoved != 0 {
		moved = s.waiting.p
	}
	s.received.add(b)
	s.waiting, s.misses, s.heard = waiting{}, 0, now
	s.late.Stop()
	s.mu.Unlock()
	l.knock(moved) // the connection learns the new address from it
}

func (s *beside) measured(rtt time.Duration) {
	if s.rtt == 0 {
		s.rtt = rtt
		return
	}
	s.rtt = (rttOld*s.rtt + rtt) / rttParts
}

// came takes in a datagram of the peer and gives the answer to it; nil if it is none of the peer's, or came before.
func (s *beside) came(b []byte, p sealedPacket, moved bool) []byte {
	sealer := s.key.sealer()
	payload, err := sealer.open(p)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.seen.take(p.number) {
		return nil
	}
	s.heard, s.steady = time.Now(), true
	s.received.add(b)
	if len(s.queue) < BesideQueueMax {
		s.queue = append(s.queue, payload)
	}
	if s.wake != nil {
		s.wake()
		s.wake = nil
	}
	var flags [1]byte
	if moved {
		flags[0] |= flagMoved
	}
	answer := sealer.seal(markAnswer, p.number, flags[:])
	s.sent.add(answer)
	return answer
}

// take gives the next datagram that came beside the connection. If there is none, wake is called when one comes.
func (s *beside) take(wake context.CancelFunc) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		s.wake = wake
		return nil
	}
	return s.first()
}

// takeAtOnce gives the next datagram that came beside the connection; or whether it is time to look into the connection.
func (s *beside) takeAtOnce() (p []byte, look bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > 0 {
		return s.first(), false
	}
	now := time.Now()
	if s.steady && now.Sub(s.looked) < LookEvery {
		return nil, false
	}
	s.looked = now
	return nil, true
}

// first takes the first of the queue. s.mu is held.
func (s *beside) first() []byte {
	p := s.queue[0]
	if s.queue = s.queue[1:]; len(s.queue) == 0 {
		s.queue = nil // an idle link keeps nothing
	}
	return p
}

// end forgets what waits for an answer.
func (s *beside) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = waiting{}
	if s.late != nil {
		s.late.Stop()
	}
}

// hear takes a packet that is not QUIC's and gives the answer to it. It is called by the one who reads the socket for all links.
func (e *Endpoint) hear(b []byte, from net.Addr) (answer []byte) {
	p, ok := parseSealed(b)
	if !ok {
		return nil
	}
	e.mu.Lock()
	l := e.sealed[p.id]
	e.mu.Unlock()
	switch {
	case l == nil && p.mark == markDatagram:
		return appendHead(nil, markUnknown, p.id, p.number)
	case l == nil:
	case l.side.dialed && p.mark != markDatagram:
		l.answered(b, p)
	case !l.side.dialed && p.mark == markDatagram:
		// The answer goes where the datagram came from: behind a NAT that forgot, the connection's address is nobody's any more.
		return l.side.came(b, p, !sameAddr(from, l.conn.RemoteAddr()))
	}
	return nil
}

func sameAddr(a, b net.Addr) bool {
	x, okX := a.(*net.UDPAddr)
	y, okY := b.(*net.UDPAddr)
	if okX && okY {
		return x.Port == y.Port && x.IP.Equal(y.IP)
	}
	return a.String() == b.String()
}
