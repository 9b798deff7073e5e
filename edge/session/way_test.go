package session_test

import (
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/edge/reach"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

func TestUDPIsFilteredAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		r.net.Filter(serverAddr.Addr(), true)
		overTCP, err := r.tls.Listener(trust.ProtocolEdge)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		old := r.serveFrom(overTCP, welcome())
		if took := time.Since(begun); took > reach.FallbackAfter+time.Second {
			t.Errorf("the way over TCP was found after %s", took)
		}
		time.Sleep(time.Second)
		s := r.session.State()
		if !s.Up || s.Transport != link.TransportTLS || !s.UDPFiltered || s.Address != tlsAddr.String() {
			t.Fatalf("the link's state is %+v", s)
		}
		// It is a whole link: the region's wishes and the device's beats travel on it.
		st := r.open(old, wire.KindDesired, &wire.Desired{Gen: wire.Generation{Epoch: 1, N: 6}})
		var ack wire.DesiredAck
		if err := wire.Read(st, &ack); err != nil || ack.Gen.N != 6 {
			t.Fatalf("acknowledged %+v: %v", ack, err)
		}
		if _, err := old.ReceiveDatagram(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(reach.ProbeMin + time.Minute) // a probe in vain
		if s := r.session.State(); !s.Up || !s.UDPFiltered {
			t.Fatalf("while UDP is filtered: %+v", s)
		}

		r.net.Filter(serverAddr.Addr(), false)
		begun = time.Now()
		r.serve(welcome())
		if took := time.Since(begun); took > 2*reach.ProbeMin+time.Minute {
			t.Errorf("UDP was found again after %s", took)
		}
		time.Sleep(time.Second)
		if s := r.session.State(); !s.Up || s.Transport != link.TransportQUIC || s.UDPFiltered {
			t.Errorf("after UDP is back: %+v", s)
		}
		if old.Context().Err() == nil {
			t.Error("the link over TCP lives beside the new one")
		}
		if ups, downs := r.device.counts(); ups != 2 || downs != 1 {
			t.Errorf("up %d times, down %d times", ups, downs)
		}
		r.device.mu.Lock()
		defer r.device.mu.Unlock()
		if want := []string{"tls/tcp true", "quic/udp false"}; !reflect.DeepEqual(r.told, want) {
			t.Errorf("the region was told %q; want %q", r.told, want)
		}
	})
}

func TestAServerThatIsDownIsNotCalledFiltered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		r.net.Isolate(serverAddr.Addr())
		time.Sleep(10 * time.Minute)
		r.net.HealAll()
		r.serve(welcome())
		time.Sleep(time.Second)
		if s := r.session.State(); !s.Up || s.Transport != link.TransportQUIC || s.UDPFiltered {
			t.Errorf("after a cut of both transports: %+v", s)
		}
	})
}

func TestTheServerDictatesWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		l := r.serve(welcome())
		time.Sleep(time.Second)
		window := link.Spread{Min: 100 * time.Second, Max: 200 * time.Second}
		begun := time.Now()
		if err := l.Close(link.CodeShutdown, window.Reason("the server stops")); err != nil {
			t.Fatal(err)
		}
		w := welcome()
		w.Return = int64(window.Max) // what holds for a server that dies is told beforehand
		l = r.serve(w)
		if took := time.Since(begun); took < window.Min || took > window.Max+time.Second {
			t.Errorf("it came back after %s; dictated were %v", took, window)
		}
		time.Sleep(time.Second)
		r.net.Isolate(serverAddr.Addr())
		<-l.Context().Done()
		r.net.HealAll()
		begun = time.Now()
		r.serve(welcome())
		if took := time.Since(begun); took > window.Max+time.Minute {
			t.Errorf("after silence it came back after %s; told beforehand was %s", took, window.Max)
		}
	})
}

func TestServersAreLearntAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		l := r.serve(welcome())
		time.Sleep(time.Second)
		m := wire.Servers{Addresses: []string{"10.0.0.9:4647", "10.0.0.9:443/tcp"}}
		bad := wire.Servers{Addresses: []string{"nowhere"}}
		st := r.open(l, wire.KindServers, &m)
		if err := errors.Join(wire.Write(st, &m), wire.Write(st, &bad), st.CloseWrite()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		r.device.mu.Lock()
		defer r.device.mu.Unlock()
		if len(r.learnt) != 1 || !reflect.DeepEqual(r.learnt[0], m.Addresses) {
			t.Errorf("kept: %+v; want once what is new, and nothing that makes no sense", r.learnt)
		}
		if l.Context().Err() != nil {
			t.Error("a server's mistake in its list cost the link")
		}
	})
}
