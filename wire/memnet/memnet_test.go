package memnet_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/linktest"
	"github.com/dunlin-edge/dunlin/wire/memnet"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

var (
	hostA = netip.MustParseAddr("10.0.0.1")
	hostB = netip.MustParseAddr("10.0.0.2")
)

// opener opens QUIC endpoints on one network, each on a host of its own.
func opener(n *memnet.Network) linktest.Open {
	host := hostA
	return func(t *testing.T, serverTLS *tls.Config, c linktest.Credentials, loss float64) linktest.Endpoint {
		t.Helper()
		n.Set(memnet.Conditions{Loss: loss, Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond})
		s, err := n.Listen(netip.AddrPortFrom(host, 4647))
		if err != nil {
			t.Fatal(err)
		}
		host = host.Next()
		o := quicnet.Options{ServerTLS: serverTLS}
		if c != nil {
			o.Credentials = c
		}
		e, err := quicnet.Over(s, o)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

func TestConformanceInABubble(t *testing.T) {
	for i, c := range append(linktest.Cases(), linktest.LossyCases()...) {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.Run(t, opener(memnet.New(uint64(i), memnet.Conditions{}))) })
		})
	}
}

// A path that loses, reorders and repeats at once.
func TestAnAwfulPath(t *testing.T) {
	awful := memnet.Conditions{Loss: 0.3, Twice: 0.3, Delay: 50 * time.Millisecond, Jitter: 100 * time.Millisecond}
	for _, c := range linktest.LossyCases() {
		synctest.Test(t, func(t *testing.T) {
			n := memnet.New(3, awful)
			open := opener(n)
			c.Run(t, func(t *testing.T, serverTLS *tls.Config, creds linktest.Credentials, loss float64) linktest.Endpoint {
				e := open(t, serverTLS, creds, loss)
				n.Set(awful)
				return e
			})
		})
	}
}

// linked is a node linked to a server in a bubble.
type linked struct {
	net              *memnet.Network
	region           *linktest.Region
	server, client   linktest.Endpoint
	options          quicnet.Options // the server's
	accepted, dialed link.Link
}

func newLinked(t *testing.T) *linked {
	t.Helper()
	x := &linked{net: memnet.New(1, memnet.Conditions{Delay: 20 * time.Millisecond}), region: linktest.NewRegion(t, linktest.RegionName)}
	x.options = quicnet.Options{ServerTLS: x.region.ServerTLS(t, x.region.Server, trust.ProtocolEdge), ResetKey: [32]byte{7}, TokenKey: [32]byte{8}}
	x.server = x.open(t, hostA, 4647, x.options)
	x.client = x.open(t, hostB, 0, quicnet.Options{Credentials: x.region.Client(x.region.Issue(t, trust.KindNode, "n1", time.Now()))})
	x.dialed, x.accepted = x.connect(t)
	return x
}

func (x *linked) open(t *testing.T, host netip.Addr, port uint16, o quicnet.Options) *quicnet.Endpoint {
	t.Helper()
	s, err := x.net.Listen(netip.AddrPortFrom(host, port))
	if err != nil {
		t.Fatal(err)
	}
	e, err := quicnet.Over(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func (x *linked) connect(t *testing.T) (dialed, accepted link.Link) {
	t.Helper()
	dialed, err := x.client.Dial(t.Context(), x.server.Addr().String(), trust.ProtocolEdge)
	if err != nil {
		t.Fatal(err)
	}
	l, err := x.server.Listener(trust.ProtocolEdge)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err = l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dialed, accepted
}

func TestAShortCutIsSurvivedALongOneIsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLinked(t)
		x.net.Cut(hostA, hostB)
		if err := x.dialed.SendDatagram([]byte("lost")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		x.net.Heal(hostA, hostB)
		if err := x.accepted.SendDatagram([]byte("still there")); err != nil {
			t.Fatal(err)
		}
		if got, err := x.dialed.ReceiveDatagram(t.Context()); err != nil || string(got) != "still there" {
			t.Fatalf("after a cut of 30 s: %q, %v", got, err)
		}
		x.net.Isolate(hostA)
		start := time.Now()
		<-x.dialed.Context().Done()
		if cause := context.Cause(x.dialed.Context()); !errors.Is(cause, link.ErrSilent) {
			t.Errorf("after a long cut: %v; want silence", cause)
		}
		// The first packet that is sent into the silence starts the time anew: one that QUIC repeats may come 26 s late.
		if gone := time.Since(start); gone < 70*time.Second || gone > 80*time.Second+30*time.Second {
			t.Errorf("the link was given up after %s; want 75 s after the last packet", gone)
		}
		_, err := x.client.Dial(t.Context(), x.server.Addr().String(), trust.ProtocolEdge)
		if !errors.Is(err, link.ErrNoAnswer) {
			t.Errorf("dial into a cut: %v; want no answer", err)
		}
		x.net.HealAll()
		x.connect(t)
	})
}

// A link over QUIC outlives its addresses: a NAT that forgets the port, and a device that changes its network.
func TestALinkOutlivesItsAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLinked(t)
		s, err := x.net.Listen(netip.AddrPortFrom(hostB, 0))
		if err != nil {
			t.Fatal(err)
		}
		x.client, err = quicnet.Over(s, quicnet.Options{Credentials: x.region.Client(x.region.Issue(t, trust.KindNode, "n2", time.Now()))})
		if err != nil {
			t.Fatal(err)
		}
		defer x.client.Close()
		dialed, accepted := x.connect(t)
		for _, to := range []string{"10.0.0.2:50001", "10.0.7.7:50001", "192.168.1.9:1234"} {
			if err := x.net.Move(s, netip.MustParseAddrPort(to)); err != nil {
				t.Fatal(err)
			}
			st, err := dialed.OpenStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := st.Write([]byte("from " + to)); err != nil {
				t.Fatal(err)
			}
			if err := st.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			in, err := accepted.AcceptStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(in); err != nil || string(got) != "from "+to {
				t.Fatalf("from %s: %q, %v", to, got, err)
			}
			if _, err := in.Write([]byte("answer")); err != nil {
				t.Fatal(err)
			}
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(st); err != nil || string(got) != "answer" {
				t.Fatalf("the answer to %s: %q, %v", to, got, err)
			}
			time.Sleep(20 * time.Second)
		}
		if got := accepted.RemoteAddr().String(); got != "192.168.1.9:1234" {
			t.Errorf("the server still thinks the device is at %s", got)
		}
	})
}

func TestARestartedServerSaysSoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLinked(t)
		// A crash: the server's last words do not get through.
		x.net.Cut(hostA, hostB)
		x.server.Close()
		time.Sleep(time.Second)
		x.net.Heal(hostA, hostB)
		x.server = x.open(t, hostA, 4647, x.options)
		start := time.Now()
		if err := x.dialed.SendDatagram([]byte("beat, long enough for the server to tell it from a reset of its own")); err != nil {
			t.Fatal(err)
		}
		<-x.dialed.Context().Done()
		if cause := context.Cause(x.dialed.Context()); !errors.Is(cause, link.ErrForgotten) {
			t.Errorf("the link ended with %v; want forgotten", cause)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("the device learned of the restart after %s", took)
		}
		x.connect(t)
	})
}

func TestAFullAcceptQueueIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLinked(t)
		for i := range link.AcceptQueueMax + 1 {
			_, err := x.client.Dial(t.Context(), x.server.Addr().String(), trust.ProtocolEdge)
			if i < link.AcceptQueueMax {
				if err != nil {
					t.Fatalf("dial %d: %v", i, err)
				}
				continue
			}
			closed, ok := link.Closed(err)
			if !ok || closed.Code != link.CodeBusy || !closed.Remote {
				t.Errorf("one more than the queue holds: %v; want busy", err)
			}
		}
		l, err := x.server.Listener(trust.ProtocolEdge)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		_, err = x.client.Dial(t.Context(), x.server.Addr().String(), trust.ProtocolEdge)
		if closed, ok := link.Closed(err); !ok || closed.Code != link.CodeShutdown {
			t.Errorf("dial to a closed protocol: %v; want shutdown", err)
		}
	})
}

// fates sends packets with the numbers 0 to 99 and returns those that arrive, in order.
func fates(t *testing.T, seed uint64) (arrived []byte) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(seed, memnet.Conditions{Loss: 0.4, Delay: time.Second, Jitter: 10 * time.Millisecond})
		a, errA := n.Listen(netip.AddrPortFrom(hostA, 1))
		b, errB := n.Listen(netip.AddrPortFrom(hostB, 1))
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for i := range byte(100) {
			if _, err := a.WriteTo([]byte{i}, b.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		b.SetReadDeadline(start.Add(2 * time.Second))
		buf := make([]byte, 10)
		for {
			_, from, err := b.ReadFrom(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil || from.String() != a.LocalAddr().String() {
				t.Fatalf("read from %v: %v", from, err)
			}
			if late := time.Since(start); late < time.Second || late > 1010*time.Millisecond {
				t.Errorf("a packet took %s", late)
			}
			arrived = append(arrived, buf[0])
		}
	})
	return arrived
}

func TestTheSeedDecidesAlone(t *testing.T) {
	first := fates(t, 5)
	if !reflect.DeepEqual(first, fates(t, 5)) {
		t.Error("one seed, two outcomes")
	}
	if reflect.DeepEqual(first, fates(t, 6)) {
		t.Error("two seeds, one outcome")
	}
	if len(first) < 40 || len(first) > 80 {
		t.Errorf("%d of 100 packets arrived at 40 %% loss", len(first))
	}
	inOrder := true
	for i := 1; i < len(first); i++ {
		inOrder = inOrder && first[i-1] < first[i]
	}
	if inOrder {
		t.Error("jitter reordered nothing")
	}
}

func TestSocketBehavesLikeUDP(t *testing.T) {
	n := memnet.New(1, memnet.Conditions{})
	at := netip.AddrPortFrom(hostA, 9)
	a, err := n.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Listen(at); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a taken address: %v", err)
	}
	free1, err1 := n.Listen(netip.AddrPortFrom(hostB, 0))
	free2, err2 := n.Listen(netip.AddrPortFrom(hostB, 0))
	if err := errors.Join(err1, err2); err != nil || free1.LocalAddr().String() == free2.LocalAddr().String() {
		t.Errorf("free ports %v and %v, %v", free1, free2, err)
	}
	for i := range 3 { // packets without delay keep their order
		free1.WriteTo(fmt.Append(nil, i), a.LocalAddr())
	}
	buf := make([]byte, 10)
	for i := range 3 {
		if got, _, err := a.ReadFrom(buf); err != nil || string(buf[:got]) != fmt.Sprint(i) {
			t.Errorf("packet %d: %q, %v", i, buf[:got], err)
		}
	}
	if _, err := a.WriteTo(buf, &net.UDPAddr{IP: net.IPv4(9, 9, 9, 9), Port: 1}); err != nil {
		t.Errorf("a packet to nobody: %v", err)
	}
	reading := make(chan error, 1)
	go func() {
		_, _, err := a.ReadFrom(buf)
		reading <- err
	}()
	a.Close()
	if err := <-reading; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read on a closed socket: %v", err)
	}
	if _, err := a.WriteTo(buf, free1.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write on a closed socket: %v", err)
	}
}
