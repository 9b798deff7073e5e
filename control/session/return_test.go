package session

import (
	"slices"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// A server that stops tells each of its devices in which window to come back, the same to all.
func TestAServerThatStopsSaysWhenToComeBack(t *testing.T) {
	r := newRegion(t)
	r.Rate = func() float64 { return 2000 }
	var devices []*device
	for i := range byte(8) {
		d := r.node(t, fleet.UUID{10 + i})
		d.register(wire.Register{})
		devices = append(devices, d)
	}
	r.stop()
	for _, d := range devices {
		closed := closedWith(t, d.link)
		if closed.Code != link.CodeShutdown || !closed.Remote || closed.Spread() != (link.Spread{Max: link.SpreadMin}) {
			t.Errorf("a device is told %v; want shutdown and the window of eight links", closed)
		}
	}
}

func TestDevicesAreToldWhereTheRegionIs(t *testing.T) {
	r := newRegion(t)
	want := []string{"a:4647", "a:443/tcp"}
	r.Servers = func() []string { return want }
	d := r.node(t, fleet.UUID{7})
	st := d.open(wire.KindRegister)
	d.send(st, &wire.Register{Spec: []byte(`{"Name":"n"}`)})
	d.read(st, &wire.Welcome{})
	for { // the desired state comes beside it
		st, err := d.link.AcceptStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var h wire.Header
		d.read(st, &h)
		if h.Kind != wire.KindServers {
			continue
		}
		var m wire.Servers
		d.read(st, &m)
		if !slices.Equal(m.Addresses, want) || h.Node != d.id {
			t.Errorf("told %v for %s; want %v", m.Addresses, h.Node, want)
		}
		return
	}
}

func TestSpreadFollowsLinksAndRate(t *testing.T) {
	s := New(Config{Rate: func() float64 { return 1000 }})
	for i := range 30_000 {
		s.links[fleet.UUID{byte(i), byte(i >> 8)}] = &session{}
	}
	if got := s.Spread(); got.Max != 18*time.Second {
		t.Errorf("30,000 links at 1,000 full handshakes a second, which resume at 0.6 of their cost: %v; want 18 s", got)
	}
}

// What a device says that comes back as it was is not written to the log again.
func TestARegistrationThatChangesNothingIsNoEntry(t *testing.T) {
	r := newRegion(t)
	d := r.node(t, fleet.UUID{7})
	index := func(spec string) uint64 {
		st := d.open(wire.KindRegister)
		d.send(st, &wire.Register{Spec: []byte(spec)})
		var w wire.Welcome
		if d.read(st, &w); w.Refusal != "" {
			t.Fatalf("refused: %s", w.Refusal)
		}
		return r.Store.View().Index()
	}
	first := index(`{"Name":"n"}`)
	if again := index(`{"Name":"n"}`); again != first {
		t.Errorf("the same again raised the index from %d to %d", first, again)
	}
	if other := index(`{"Name":"m"}`); other == first || r.Store.View().NodeByID(d.id).Spec.Name != "m" {
		t.Errorf("another name left the index at %d", other)
	}
}
