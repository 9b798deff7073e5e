package session_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

func TestFactsAreToldAsADifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		l := r.serve(welcome())
		time.Sleep(time.Second)
		before := l.Stats().WireBytes()
		r.facts.set(map[string]string{"board.model": "x", "power.source": "battery", "battery.percent": "90"})
		st, kind := r.stream(l)
		var m wire.Facts
		if err := wire.Read(st, &m); err != nil || kind != wire.KindFacts {
			t.Fatalf("stream of kind %d: %v", kind, err)
		}
		if m.Seq != 1 || len(m.Unset) != 0 || fmt.Sprint(m.Set) != "[{battery.percent 90} {power.source battery}]" {
			t.Errorf("told %+v", m)
		}
		// While the server takes its time, facts go on. What changed and changed back is not told.
		r.facts.set(map[string]string{"power.source": "mains", "battery.percent": "90"})
		r.facts.set(map[string]string{"power.source": "battery", "battery.percent": "80"})
		if err := wire.Write(st, &wire.FactsAck{Seq: 1}); err != nil {
			t.Fatal(err)
		}
		m = wire.Facts{}
		if err := errors.Join(wire.Read(st, &m), wire.Write(st, &wire.FactsAck{Seq: 2})); err != nil {
			t.Fatal(err)
		}
		if m.Seq != 2 || fmt.Sprint(m.Set, m.Unset) != "[{battery.percent 80}] [board.model]" {
			t.Errorf("told %+v", m)
		}
		time.Sleep(time.Second)
		cost := l.Stats().WireBytes() - before
		t.Logf("two changes and their acknowledgements: %d bytes on the wire, both ways with headers", cost)
		if cost > 2*500 {
			t.Errorf("two changes cost %d bytes", cost)
		}

		// A change without a link goes with the next registration, and is not told again.
		if err := l.Close(link.CodeShutdown, "restart"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		r.facts.set(map[string]string{"power.source": "mains"})
		l = r.serve(welcome())
		time.Sleep(time.Minute)
		r.facts.set(map[string]string{"power.source": "battery"})
		if st, kind = r.stream(l); kind != wire.KindFacts {
			t.Fatalf("stream of kind %d", kind)
		}
		m = wire.Facts{}
		if err := wire.Read(st, &m); err != nil || m.Seq != 1 || fmt.Sprint(m.Set, m.Unset) != "[{power.source battery}] []" {
			t.Errorf("on the new link told %+v, %v", m, err)
		}
		// A server that does not take it loses nothing else.
		st.Reset(link.CodeProtocol)
		time.Sleep(time.Minute)
		if l.Context().Err() != nil {
			t.Error("the link ended because facts were refused")
		}
		r.facts.set(map[string]string{"power.source": "mains"})
		time.Sleep(time.Minute)
		if _, downs := r.device.counts(); downs != 1 {
			t.Errorf("the link was down %d times", downs)
		}
	})
}

func TestMoreFactsThanAMessageHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		l := r.serve(welcome())
		many := map[string]string{}
		for i := range 3*wire.FactsMax - 5 {
			many[fmt.Sprintf("x.%03d", i)] = "1"
		}
		r.facts.set(many)
		st, _ := r.stream(l)
		got := map[string]bool{}
		for seq := uint64(1); seq <= 3; seq++ {
			var m wire.Facts
			if err := errors.Join(wire.Read(st, &m), wire.Write(st, &wire.FactsAck{Seq: seq})); err != nil {
				t.Fatal(err)
			}
			for _, a := range m.Set {
				got[a.Name] = true
			}
		}
		if len(got) != len(many) {
			t.Errorf("told %d of %d facts", len(got), len(many))
		}
	})
}

func TestAWrongAcknowledgementOfFactsEndsTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		l := r.serve(welcome())
		r.facts.set(map[string]string{"a": "b"})
		st, _ := r.stream(l)
		var m wire.Facts
		if err := errors.Join(wire.Read(st, &m), wire.Write(st, &wire.FactsAck{Seq: 9})); err != nil {
			t.Fatal(err)
		}
		<-l.Context().Done()
		if s := r.session.State(); s.Up {
			t.Errorf("state %+v", s)
		}
	})
}
