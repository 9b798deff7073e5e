package quicnet

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/dunlin-edge/dunlin/wire/trust"
)

// What is not QUIC's is taken out wherever it stands in a batch; what is left keeps its order and its buffers.
func TestABatchLosesWhatIsNotQUICs(t *testing.T) {
	from, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var heard []string
	s := &socket{UDPConn: conn, batch: ipv4.NewPacketConn(conn), ear: func(b []byte, addr net.Addr) []byte {
		if addr.String() != from.LocalAddr().String() {
			t.Errorf("heard from %s", addr)
		}
		heard = append(heard, string(b[1:]))
		return []byte("answer to " + string(b[1:]))
	}}
	var wantHeard, want, got []string
	for i, aside := range []bool{true, false, true, true, false, false, true, false, true} {
		first, to := byte(0x40), &want
		if aside {
			first, to = markDatagram, &wantHeard
		}
		*to = append(*to, fmt.Sprint(i))
		if _, err := from.WriteTo(append([]byte{first}, fmt.Sprint(i)...), conn.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	ms := make([]ipv4.Message, 8)
	for len(got) < len(want) {
		for i := range ms {
			ms[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 100)}, OOB: make([]byte, 128)}
		}
		buffers := make([]*byte, len(ms))
		for i := range ms {
			buffers[i] = &ms[i].Buffers[0][0]
		}
		n, err := s.ReadBatch(ms, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range ms[:n] {
			if buffers[i] != &m.Buffers[0][0] {
				t.Errorf("message %d has another buffer now", i)
			}
			got = append(got, string(m.Buffers[0][1:m.N]))
		}
	}
	if !slices.Equal(got, want) || !slices.Equal(heard, wantHeard[:len(heard)]) || len(heard) < len(wantHeard)-1 {
		t.Errorf("left %q, heard %q; want %q and %q", got, heard, want, wantHeard)
	}
	b := make([]byte, 100)
	for _, which := range heard {
		n, _, err := from.ReadFrom(b)
		if err != nil || string(b[:n]) != "answer to "+which {
			t.Errorf("%q, %v; want the answer to %s", b[:n], err, which)
		}
	}
}

// On a host with several addresses, an answer comes from the one that was asked: anything else does not pass a NAT.
func TestAnswersComeFromTheAddressThatWasAsked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs all of 127.0.0.0/8: Linux only")
	}
	for _, on := range []string{"0.0.0.0:0", "[::]:0"} {
		f := newFixture(t)
		f.server.Close()
		f.server = f.serve(on)
		_, port, err := net.SplitHostPort(f.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		answers := make(chan string, 1)
		s := f.client.socket.(*socket)
		hear := s.ear
		s.ear = func(b []byte, from net.Addr) []byte {
			answers <- from.String()
			return hear(b, from)
		}
		l, err := f.client.Dial(t.Context(), "127.0.0.2:"+port, trust.ProtocolEdge)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.SendDatagram([]byte("beat")); err != nil {
			t.Fatal(err)
		}
		select {
		case from := <-answers:
			if from != "127.0.0.2:"+port {
				t.Errorf("a server on %s was asked at 127.0.0.2:%s and answers from %s", on, port, from)
			}
		case <-time.After(45 * time.Second):
			t.Errorf("a server on %s does not answer", on)
		}
	}
}
