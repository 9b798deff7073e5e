package tlsnet_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/linktest"
	"github.com/dunlin-edge/dunlin/wire/memnet"
	"github.com/dunlin-edge/dunlin/wire/tlsnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

var (
	hostA = netip.MustParseAddr("10.0.0.1")
	hostB = netip.MustParseAddr("10.0.0.2")
)

// over makes an endpoint on a host of a network.
func over(t *testing.T, n *memnet.Network, host netip.Addr, o tlsnet.Options) *tlsnet.Endpoint {
	t.Helper()
	o.DialTCP = func(ctx context.Context, addr string) (net.Conn, error) { return n.DialStream(ctx, host, addr) }
	if o.ServerTLS == nil {
		return tlsnet.Over(nil, o)
	}
	l, err := n.ListenStream(netip.AddrPortFrom(host, 443))
	if err != nil {
		t.Fatal(err)
	}
	return tlsnet.Over(l, o)
}

// opener opens endpoints on one network, each on a host of its own.
func opener(n *memnet.Network) linktest.Open {
	host := hostA
	return func(t *testing.T, serverTLS *tls.Config, c linktest.Credentials, loss float64) linktest.Endpoint {
		t.Helper()
		n.Set(memnet.Conditions{Loss: loss, Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond})
		o := tlsnet.Options{ServerTLS: serverTLS}
		if c != nil {
			o.Credentials = c
		}
		e := over(t, n, host, o)
		host = host.Next()
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

// linked is a node linked to a server in a bubble.
type linked struct {
	net              *memnet.Network
	server, client   *tlsnet.Endpoint
	accepted, dialed link.Link
}

func newLinked(t *testing.T) *linked {
	t.Helper()
	x := &linked{net: memnet.New(1, memnet.Conditions{Delay: 20 * time.Millisecond})}
	region := linktest.NewRegion(t, linktest.RegionName)
	x.server = over(t, x.net, hostA, tlsnet.Options{ServerTLS: region.ServerTLS(t, region.Server, trust.ProtocolEdge)})
	x.client = over(t, x.net, hostB, tlsnet.Options{Credentials: region.Client(region.Issue(t, trust.KindNode, "n1", time.Now()))})
	t.Cleanup(func() {
		if err := errors.Join(x.client.Close(), x.server.Close()); err != nil {
			t.Error(err)
		}
	})
	x.connect(t)
	return x
}

func (x *linked) connect(t *testing.T) {
	t.Helper()
	var err error
	if x.dialed, err = x.client.Dial(t.Context(), x.server.Addr().String(), trust.ProtocolEdge); err != nil {
		t.Fatal(err)
	}
	l, err := x.server.Listener(trust.ProtocolEdge)
	if err != nil {
		t.Fatal(err)
	}
	if x.accepted, err = l.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAShortCutIsSurvivedALongOneIsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLinked(t)
		x.net.Cut(hostA, hostB)
		if err := x.dialed.SendDatagram([]byte("late")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		x.net.Heal(hostA, hostB)
		if got, err := x.accepted.ReceiveDatagram(t.Context()); err != nil || string(got) != "late" {
			t.Fatalf("after a cut of 30 s: %q, %v", got, err)
		}
		// Nobody says anything for hours: the link asks by itself and stays.
		time.Sleep(3 * time.Hour)
		if err := errors.Join(x.dialed.Context().Err(), x.accepted.Context().Err()); err != nil {
			t.Fatalf("an idle link ended: %v", context.Cause(x.dialed.Context()))
		}
		if rtt := x.dialed.Stats().RoundTrip; rtt != 40*time.Millisecond {
			t.Errorf("round trip %s; the path has 40 ms", rtt)
		}
		x.net.Cut(hostA, hostB)
		start := time.Now()
		<-x.dialed.Context().Done()
		<-x.accepted.Context().Done()
		for _, l := range []link.Link{x.dialed, x.accepted} {
			if cause := context.Cause(l.Context()); !errors.Is(cause, link.ErrSilent) {
				t.Errorf("after a long cut: %v; want silence", cause)
			}
		}
		if gone := time.Since(start); gone < 20*time.Second || gone > 76*time.Second {
			t.Errorf("the link was given up after %s; want 75 s of silence at most", gone)
		}
		if _, err := x.client.Dial(t.Context(), x.server.Addr().String(), trust.ProtocolEdge); !errors.Is(err, link.ErrNoAnswer) {
			t.Errorf("dial into a cut: %v; want no answer", err)
		}
		x.net.HealAll()
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
		if h := x.server.Handshakes(); h.Full+h.Resumed != link.AcceptQueueMax+1 || h.Resumed != link.AcceptQueueMax || h.Failed != 1 {
			t.Errorf("the server counts %+v; all but the first are resumed", h)
		}
	})
}

// A reader that does not read holds back its own stream, not the beats, and no more than the windows in memory.
func TestASlowReaderHoldsBackItsOwnStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLinked(t)
		st, err := x.dialed.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		go func() {
			_, err := st.Write(data)
			sent <- errors.Join(err, st.CloseWrite())
		}()
		in, err := x.accepted.AcceptStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		select {
		case err := <-sent:
			t.Fatalf("1 MiB was written and nobody read: %v", err)
		default:
		}
		start := time.Now()
		if err := x.dialed.SendDatagram([]byte("beat")); err != nil {
			t.Fatal(err)
		}
		if _, err := x.accepted.ReceiveDatagram(t.Context()); err != nil || time.Since(start) > 50*time.Millisecond {
			t.Errorf("a beat took %s, %v", time.Since(start), err)
		}
		if got, err := io.ReadAll(in); err != nil || !bytes.Equal(got, data) {
			t.Errorf("read %d of %d bytes, %v", len(got), len(data), err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}
