package session

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// TestTrafficOfBothEnds: the server's classes add up to its packets, a closed link's account stays, and the device is asked over
// its own link.
func TestTrafficOfBothEnds(t *testing.T) { synctest.Test(t, testTraffic) }

func testTraffic(t *testing.T) {
	r := inBubble(t)
	id := fleet.UUID{7}
	if _, known := r.Traffic(id); known {
		t.Error("a node that never came has an account")
	}
	if _, err := r.AskTraffic(t.Context(), id); !errors.Is(err, ErrNotConnected) {
		t.Errorf("asking nobody: %v", err)
	}
	d := r.node(t, id)
	_, pushed := d.register(wire.Register{})
	within(t, "sign of the link", r.signs.up)
	d.desired(pushed)
	beat := wire.EncodeDatagram(&wire.Beat{Node: id, Seq: 1})
	if err := d.link.SendDatagram(beat); err != nil {
		t.Fatal(err)
	}
	within(t, "beat", r.signs.beat)

	done := make(chan error, 1)
	go func() {
		st, err := d.link.AcceptStream(t.Context())
		if err == nil {
			err = errors.Join(wire.Read(st, &wire.Header{}), wire.Read(st, &wire.TrafficRequest{}),
				wire.Write(st, &wire.TrafficAnswer{Links: 4, Budget: 5e6}), st.Close())
		}
		done <- err
	}()
	a, err := r.AskTraffic(t.Context(), id)
	if err = errors.Join(err, <-done); err != nil || a.Links != 4 || a.Budget != 5e6 {
		t.Fatalf("the device's account: %+v, %v", a, err)
	}

	b, known := r.Traffic(id)
	if !known || b.Link[traffic.Beat] != (traffic.Count{Received: uint64(len(beat))}) {
		t.Errorf("a beat of %d bytes: %+v", len(beat), b.Link[traffic.Beat])
	}
	for _, c := range []traffic.Class{traffic.Handshake, traffic.Desired, traffic.Other} {
		if b.Link[c].Sent == 0 || b.Link[c].Received == 0 {
			t.Errorf("%s: %+v", c, b.Link[c])
		}
	}
	if err := d.link.Close(link.CodeDone, ""); err != nil {
		t.Fatal(err)
	}
	within(t, "sign of the link's end", r.signs.down)
	// The device's packets are the server's, but for acknowledgements that crossed the end.
	after, _ := r.Traffic(id)
	mine, its := d.link.Stats().Sides(), after.Link.Sum()
	if near := func(a, b uint64) bool { return max(a, b)-min(a, b) <= 500 }; !near(its.Received, mine.Sent) || !near(its.Sent, mine.Received) {
		t.Errorf("the server counts %+v, the device's packets are %+v", its, mine)
	}
	if again, _ := r.Traffic(id); again.Link != after.Link {
		t.Errorf("the account of a link that ended moved from %+v to %+v", after, again)
	}
}

// TestTrafficBehindAGateway: nodes that share a link have their own classes, and none is billed for the others' packets.
func TestTrafficBehindAGateway(t *testing.T) {
	r := newRegion(t)
	a := r.dial(t, trust.KindGateway, "bench", fleet.UUID{1})
	b := &device{t, fleet.UUID{2}, a.link}
	for _, d := range []*device{a, b} {
		_, pushed := d.register(wire.Register{})
		within(t, "sign of the link", r.signs.up)
		d.desired(pushed)
	}
	one, _ := r.Traffic(a.id)
	two, _ := r.Traffic(b.id)
	if one.Link[traffic.Handshake].Received == 0 || one.Link[traffic.Other] != (traffic.Count{}) {
		t.Errorf("the first node: %+v", one.Link)
	}
	if one.Link[traffic.Handshake] != two.Link[traffic.Handshake] {
		t.Errorf("the same words cost %+v and %+v", one.Link, two.Link)
	}
}
