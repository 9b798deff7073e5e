package memnet_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/memnet"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

const everyBeat = 30 * time.Second

// device gives the linked node another socket, which the test may look into.
func (x *linked) device(t *testing.T, wrap func(*memnet.Socket) net.PacketConn) *memnet.Socket {
	t.Helper()
	s, err := x.net.Listen(netip.AddrPortFrom(hostB, 0))
	if err != nil {
		t.Fatal(err)
	}
	e, err := quicnet.Over(wrap(s), quicnet.Options{Credentials: x.region.Client(x.region.Issue(t, trust.KindNode, "n2", time.Now()))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	x.client = e
	x.dialed, x.accepted = x.connect(t)
	return s
}

func plain(s *memnet.Socket) net.PacketConn { return s }

// beat sends a datagram and says how long it took to be heard.
func (x *linked) beat(t *testing.T, say string) time.Duration {
	t.Helper()
	begun := time.Now()
	if err := x.dialed.SendDatagram([]byte(say)); err != nil {
		t.Fatal(err)
	}
	got, err := x.accepted.ReceiveDatagram(t.Context())
	if err != nil || string(got) != say {
		t.Fatalf("received %q, %v; want %q", got, err, say)
	}
	return time.Since(begun)
}

// A datagram costs a packet each way, is heard at once, and measures the path. The link lives on by that alone, far beyond what QUIC
// allows a connection that says nothing.
func TestDatagramsTravelBesideTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLinked(t)
		time.Sleep(5 * time.Second) // what belongs to the handshake
		before := x.dialed.Stats()
		const beats = 20
		for range beats {
			if took := x.beat(t, "beat"); took != 20*time.Millisecond {
				t.Fatalf("heard after %s; the path takes 20 ms", took)
			}
			time.Sleep(everyBeat)
		}
		after := x.dialed.Stats()
		const sent, answered = beats * (1 + 6 + 4 + 4 + 16), beats * (1 + 6 + 4 + 1 + 16)
		if s, r := after.SentBytes-before.SentBytes, after.ReceivedBytes-before.ReceivedBytes; s != sent || r != answered {
			t.Errorf("%d datagrams cost %d and %d bytes; want %d and %d", beats, s, r, sent, answered)
		}
		if after.SentPackets-before.SentPackets != beats || after.ReceivedPackets-before.ReceivedPackets != beats {
			t.Errorf("%d datagrams cost %+v, after %+v", beats, after, before)
		}
		if after.RoundTrip != 40*time.Millisecond || after.LostPackets != 0 {
			t.Errorf("round trip %s, %d lost; want 40 ms and none", after.RoundTrip, after.LostPackets)
		}
		for end := time.Now().Add(3 * quicnet.ConnectionIdle); time.Now().Before(end); time.Sleep(everyBeat) {
			x.beat(t, "beat")
		}
	})
}

// Both ends give up a link of which they hear nothing, when their protocol says so and not when QUIC does.
func TestBothEndsGiveUpASilentLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLinked(t)
		for range 10 {
			x.beat(t, "beat")
			time.Sleep(everyBeat)
		}
		x.net.Cut(hostA, hostB)
		begun, idle := time.Now(), link.DefaultProfile(trust.ProtocolEdge).Idle
		for name, l := range map[string]link.Link{"the device": x.dialed, "the server": x.accepted} {
			<-l.Context().Done()
			if cause := context.Cause(l.Context()); !errors.Is(cause, link.ErrSilent) {
				t.Errorf("%s: %v; want silence", name, cause)
			}
			if took := time.Since(begun); took < idle-everyBeat || took > idle+idle/quicnet.SilenceLooks {
				t.Errorf("%s gave the link up %s after the cut; want %s after the last beat", name, took, idle)
			}
			if _, err := l.OpenStream(t.Context()); !errors.Is(err, link.ErrSilent) {
				t.Errorf("%s opens a stream: %v; want silence", name, err)
			}
		}
	})
}

// picky lets only QUIC pass, as a filter might.
type picky struct{ net.PacketConn }

func (p picky) WriteTo(b []byte, to net.Addr) (int, error) {
	if b[0]&0xc0 == 0 {
		return len(b), nil
	}
	return p.PacketConn.WriteTo(b, to)
}

// What nobody answers goes over the connection; after some of that, everything does.
func TestWhatIsNotAnsweredGoesOverTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLinked(t)
		x.device(t, func(s *memnet.Socket) net.PacketConn { return picky{s} })
		for i := range quicnet.MissesMax + 3 {
			want := quicnet.AnswerWait + 20*time.Millisecond
			if i >= quicnet.MissesMax {
				want = 20 * time.Millisecond
			}
			if took := x.beat(t, "beat"); took != want {
				t.Errorf("datagram %d was heard after %s; want %s", i, took, want)
			}
			time.Sleep(everyBeat)
		}
		if lost := x.dialed.Stats().LostPackets; lost != quicnet.MissesMax {
			t.Errorf("%d packets lost; want %d", lost, quicnet.MissesMax)
		}
	})
}

// A datagram that is lost now and then costs nothing but itself and its repetition.
func TestALossyPathKeepsTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLinked(t)
		x.net.Set(memnet.Conditions{Loss: 0.2, Delay: 20 * time.Millisecond, Jitter: 30 * time.Millisecond, Twice: 0.1})
		heard := 0
		for range 500 {
			if err := x.dialed.SendDatagram([]byte("beat")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(everyBeat)
			ended, end := context.WithCancel(t.Context())
			end()
			if _, err := x.accepted.ReceiveDatagram(ended); err == nil {
				heard++
			}
			for more := true; more; {
				_, err := x.accepted.ReceiveDatagram(ended)
				more = err == nil
			}
		}
		// Lost is what was lost beside the connection and in it: 4 of 100.
		if heard < 450 {
			t.Errorf("%d of 500 beats were heard over a path that loses a fifth", heard)
		}
		if err := errors.Join(x.dialed.Context().Err(), x.accepted.Context().Err()); err != nil {
			t.Error(err)
		}
	})
}

// A device that came to another address without knowing it is told, and the server's own streams find it there.
func TestADatagramFromAnotherAddressMovesTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLinked(t)
		s := x.device(t, plain)
		x.beat(t, "from the first address")
		time.Sleep(everyBeat)
		if err := x.net.Move(s, netip.MustParseAddrPort("192.168.1.9:1234")); err != nil {
			t.Fatal(err)
		}
		x.beat(t, "from the second")
		time.Sleep(time.Second)
		if got := x.accepted.RemoteAddr().String(); got != "192.168.1.9:1234" {
			t.Errorf("the server thinks that the device is at %s", got)
		}
		if err := x.accepted.SendDatagram([]byte("to the second")); err != nil {
			t.Fatal(err)
		}
		if got, err := x.dialed.ReceiveDatagram(t.Context()); err != nil || string(got) != "to the second" {
			t.Errorf("received %q, %v", got, err)
		}
	})
}

// recorder keeps what is sent and received that is not QUIC's.
type recorder struct {
	net.PacketConn
	mu             sync.Mutex
	sent, received [][]byte
}

func (r *recorder) keep(to *[][]byte, b []byte) {
	if len(b) > 0 && b[0]&0xc0 == 0 {
		r.mu.Lock()
		*to = append(*to, append([]byte(nil), b...))
		r.mu.Unlock()
	}
}

func (r *recorder) WriteTo(b []byte, to net.Addr) (int, error) {
	r.keep(&r.sent, b)
	return r.PacketConn.WriteTo(b, to)
}

func (r *recorder) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := r.PacketConn.ReadFrom(b)
	r.keep(&r.received, b[:n])
	return n, from, err
}

// Somebody on the way who sends packets again, or changes them, is not heard, gets no answer, and can neither end the link nor make
// it seem to live.
func TestRepeatedAndForgedPacketsAreNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLinked(t)
		var r *recorder
		x.device(t, func(s *memnet.Socket) net.PacketConn { r = &recorder{PacketConn: s}; return r })
		for range 3 {
			x.beat(t, "beat")
			time.Sleep(everyBeat)
		}
		evil, err := x.net.Listen(netip.MustParseAddrPort("10.0.6.6:6"))
		if err != nil {
			t.Fatal(err)
		}
		defer evil.Close()
		for _, b := range r.sent {
			forged := append([]byte(nil), b...)
			forged[10]++ // its number
			unknown := append([]byte{3}, b[1:11]...)
			for to, packet := range map[net.Addr][]byte{x.server.Addr(): b, r.LocalAddr(): unknown} {
				if _, err := evil.WriteTo(packet, to); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := evil.WriteTo(forged, x.server.Addr()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		ended, end := context.WithCancel(t.Context())
		end()
		if got, err := x.accepted.ReceiveDatagram(ended); err == nil {
			t.Errorf("the server heard %q again", got)
		}
		if err := evil.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, from, err := evil.ReadFrom(make([]byte, 100)); err == nil {
			t.Errorf("%d bytes of answer from %s", n, from)
		}
		x.beat(t, "the link lives")

		x.net.Cut(hostA, hostB)
		r.mu.Lock()
		answers := r.received
		r.mu.Unlock()
		begun := time.Now()
		for x.dialed.Context().Err() == nil && time.Since(begun) < 5*time.Minute {
			if err := x.dialed.SendDatagram([]byte("is anybody there?")); err != nil && x.dialed.Context().Err() == nil {
				t.Fatal(err)
			}
			for _, b := range answers {
				if _, err := evil.WriteTo(b, r.LocalAddr()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(begun); took > 100*time.Second || len(answers) < 4 {
			t.Errorf("with %d old answers, the device took its server for alive for %s", len(answers), took)
		}
	})
}
