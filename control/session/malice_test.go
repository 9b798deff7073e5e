package session

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// scene is a region with an honest device, whose things a malicious one is after.
type scene struct {
	*region
	t                       *testing.T
	honest, malicious       *device
	honestAlloc, ownAlloc   fleet.UUID
	honestModule, ownModule string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{
		region: newRegion(t), t: t, honestAlloc: fleet.UUID{41}, ownAlloc: fleet.UUID{42},
		honestModule: moduleB, ownModule: moduleA,
	}
	s.honest, s.malicious = s.node(t, fleet.UUID{7}), s.node(t, fleet.UUID{8})
	s.honest.register(wire.Register{})
	s.malicious.register(wire.Register{})
	s.placeModule(t, s.honest.id, s.honestAlloc, "honest", s.honestModule)
	s.placeModule(t, s.malicious.id, s.ownAlloc, "own", s.ownModule)
	return s
}

// gone waits for the end of a stream or link that the server gave up.
func gone(t *testing.T, st link.Stream) {
	t.Helper()
	_ = st.SetReadDeadline(time.Now().Add(patient))
	var reset *link.ResetError
	if _, err := io.ReadAll(st); !errors.As(err, &reset) {
		if _, closed := link.Closed(err); !closed {
			t.Errorf("the stream ended with %v; want it refused", err)
		}
	}
}

// status sends one batch and returns the acknowledged sequence number.
func (d *device) status(st link.Stream, seq uint64, allocs ...wire.AllocStatus) uint64 {
	d.t.Helper()
	d.send(st, &wire.StatusBatch{Seq: seq, Allocs: allocs})
	var ack wire.StatusAck
	d.read(st, &ack)
	return ack.Seq
}

// TestAMaliciousDeviceGetsNothing plays a device with a good certificate that
// tries everything that is not its business, over real QUIC.
func TestAMaliciousDeviceGetsNothing(t *testing.T) {
	for _, tc := range []struct {
		name  string
		kind  Refused
		count uint64
		try   func(*scene)
	}{
		{"a module of another device", RefusedModule, 1, func(s *scene) {
			st := s.malicious.open(wire.KindModule)
			s.malicious.send(st, &wire.ModuleRequest{Digest: s.honestModule})
			var a wire.ModuleAnswer
			s.malicious.read(st, &a)
			if rest, _ := io.ReadAll(st); !strings.Contains(a.Error, "named by no allocation") || len(rest) != 0 {
				s.t.Errorf("answer %+v and %d bytes", a, len(rest))
			}
		}},
		{"a module by the name of a file", RefusedModule, 1, func(s *scene) {
			st := s.malicious.open(wire.KindModule)
			s.malicious.send(st, &wire.ModuleRequest{Digest: "../../management.token"})
			var a wire.ModuleAnswer
			if s.malicious.read(st, &a); a.Error == "" {
				s.t.Error("a path was taken for a digest")
			}
		}},
		{"a status of another device's allocation", RefusedStatus, 2, func(s *scene) {
			st := s.malicious.open(wire.KindStatus)
			if got := s.malicious.status(st, 1, wire.AllocStatus{ID: s.honestAlloc, Status: fleet.ClientFailed},
				wire.AllocStatus{ID: s.honestAlloc, Status: fleet.ClientComplete}); got != 1 {
				s.t.Errorf("acknowledged %d", got)
			}
		}},
		{"a status that only a region concludes", RefusedStatus, 2, func(s *scene) {
			st := s.malicious.open(wire.KindStatus)
			s.malicious.status(st, 1, wire.AllocStatus{ID: s.ownAlloc, Status: fleet.ClientLost}, wire.AllocStatus{ID: s.ownAlloc, Status: fleet.ClientUnknown})
			if a := s.Store.View().AllocByID(s.ownAlloc); a.Observed != state.ObservedPending {
				s.t.Errorf("its own allocation is %s", a.Observed)
			}
		}},
		{"a second stream of statuses", RefusedTooOften, 1, func(s *scene) {
			s.malicious.status(s.malicious.open(wire.KindStatus), 1, wire.AllocStatus{ID: s.ownAlloc, Status: fleet.ClientRunning})
			gone(s.t, s.malicious.open(wire.KindStatus))
		}},
		{"another device's logs", RefusedKind, 1, func(s *scene) {
			st := s.malicious.open(wire.KindLogs)
			// The refusal may be here before the request is written.
			_ = wire.Write(st, &wire.LogRequest{Alloc: s.honestAlloc, Task: "t", Stream: "stdout"})
			gone(s.t, st)
		}},
		{"desired state", RefusedKind, 1, func(s *scene) { gone(s.t, s.malicious.open(wire.KindDesired)) }},
		{"a join on a session", RefusedKind, 1, func(s *scene) { gone(s.t, s.malicious.open(wire.KindJoin)) }},
		{"a probe", RefusedKind, 1, func(s *scene) { gone(s.t, s.malicious.open(wire.KindProbe)) }},
		{"an unknown kind", RefusedNonsense, 1, func(s *scene) { gone(s.t, s.malicious.open(250)) }},
		{"a header of another node", RefusedForeignNode, 1, func(s *scene) {
			d := &device{s.t, s.honest.id, s.malicious.link}
			st := d.open(wire.KindModule)
			gone(s.t, st)
			if c := closedWith(s.t, d.link); c.Code != link.CodeRefused {
				s.t.Errorf("the link ended with %v", c)
			}
		}},
		{"a beat of another node", RefusedForeignNode, 1, func(s *scene) {
			if err := s.malicious.link.SendDatagram(wire.EncodeDatagram(&wire.Beat{Node: s.honest.id, Seq: 1})); err != nil {
				s.t.Fatal(err)
			}
			s.await(RefusedForeignNode, 1)
			select {
			case n := <-s.signs.beat:
				s.t.Errorf("a beat of %s was believed", n)
			default:
			}
		}},
		{"a datagram of nonsense", RefusedNonsense, 1, func(s *scene) {
			if err := s.malicious.link.SendDatagram([]byte("\xff\x00nonsense")); err != nil {
				s.t.Fatal(err)
			}
		}},
		{"a huge frame", RefusedNonsense, 1, func(s *scene) {
			st := s.malicious.open(wire.KindStatus)
			raw(s.t, st, binary.BigEndian.AppendUint32(nil, 1<<31))
			gone(s.t, st)
		}},
		{"a large frame where a small one belongs", RefusedNonsense, 1, func(s *scene) {
			st := s.malicious.open(wire.KindModule)
			raw(s.t, st, binary.BigEndian.AppendUint32(nil, wire.FrameBytesMax-1))
			gone(s.t, st)
		}},
		{"a header of eight megabytes", RefusedNonsense, 1, func(s *scene) {
			st, err := s.malicious.link.OpenStream(s.t.Context())
			if err != nil {
				s.t.Fatal(err)
			}
			raw(s.t, st, binary.BigEndian.AppendUint32(nil, wire.FrameBytesMax))
			gone(s.t, st)
		}},
		{"a description that is another node's", RefusedNonsense, 1, func(s *scene) {
			st := s.malicious.open(wire.KindRegister)
			s.malicious.send(st, &wire.Register{Spec: []byte(`{"ID":"` + s.honest.id.String() + `","Name":"taken"}`)})
			var w wire.Welcome
			if s.malicious.read(st, &w); !strings.Contains(w.Refusal, "reports itself as") {
				s.t.Errorf("the answer is %q; want why it is refused", w.Refusal)
			}
		}},
		{"registrations without end", RefusedTooOften, 1, func(s *scene) {
			for range RegistersBurst - 1 { // one was spent on the scene
				st := s.malicious.open(wire.KindRegister)
				s.malicious.send(st, &wire.Register{Spec: []byte(`{"Name":"n"}`)})
				var w wire.Welcome
				s.malicious.read(st, &w)
			}
			st := s.malicious.open(wire.KindRegister)
			s.malicious.send(st, &wire.Register{Spec: []byte(`{"Name":"n"}`)})
			gone(s.t, st)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(t)
			before := *s.Store.View().AllocByID(s.honestAlloc)
			tc.try(s)
			s.await(tc.kind, tc.count)
			if after := *s.Store.View().AllocByID(s.honestAlloc); after != before {
				t.Errorf("the honest device's allocation changed: %+v", after)
			}
			if n := s.Store.View().NodeByID(s.honest.id); n.Spec.Name != "n" || !s.Connected(s.honest.id) || s.honest.link.Context().Err() != nil {
				t.Errorf("the honest device suffered: %+v", n.Spec)
			}
		})
	}
}

func raw(t *testing.T, st link.Stream, b []byte) {
	t.Helper()
	if _, err := st.Write(b); err != nil {
		t.Fatal(err)
	}
}

// await waits until a counter stands at want.
func (s *scene) await(kind Refused, want uint64) {
	s.t.Helper()
	if !eventually(func() bool { return s.Refusals()[kind.String()] == want }) {
		s.t.Fatalf("refused %v; want %d of %s", s.Refusals(), want, kind)
	}
}

// eventually asks by a ticker: counters and tables of sessions have no watch, and the honest wait is microseconds.
func eventually(holds func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patient); time.Now().Before(end); <-tick.C {
		if holds() {
			return true
		}
	}
	return false
}

func TestReplaysHaveNoEffect(t *testing.T) {
	s := newScene(t)
	st := s.malicious.open(wire.KindStatus)
	s.malicious.status(st, 1, wire.AllocStatus{ID: s.ownAlloc, Status: fleet.ClientRunning})
	s.malicious.status(st, 2, wire.AllocStatus{ID: s.ownAlloc, Status: fleet.ClientComplete})
	before := *s.Store.View().AllocByID(s.ownAlloc)
	// The first batch again: the allocation does not come back to life.
	if got := s.malicious.status(st, 1, wire.AllocStatus{ID: s.ownAlloc, Status: fleet.ClientRunning}); got != 1 {
		t.Errorf("acknowledged %d", got)
	}
	if after := *s.Store.View().AllocByID(s.ownAlloc); after != before || after.Observed != state.ObservedComplete {
		t.Errorf("a replayed status changed the row: %+v", after)
	}
	// What ended is not fetched again.
	mod := s.malicious.open(wire.KindModule)
	s.malicious.send(mod, &wire.ModuleRequest{Digest: s.ownModule})
	var a wire.ModuleAnswer
	if s.malicious.read(mod, &a); a.Error == "" {
		t.Error("the module of an ended allocation was served")
	}
}

func TestALinkThatGoesOnTryingIsEnded(t *testing.T) {
	s := newScene(t)
	for range RefusalsPerLink {
		st, err := s.malicious.link.OpenStream(t.Context())
		if err != nil {
			break // ended already
		}
		if wire.Write(st, &wire.Header{Kind: wire.KindDesired, Node: s.malicious.id}) != nil {
			break
		}
		gone(t, st)
	}
	if c := closedWith(t, s.malicious.link); c.Code != link.CodeProtocol {
		t.Errorf("the link ended with %v", c)
	}
	if !s.Connected(s.honest.id) {
		t.Error("the honest device was cut off")
	}
}

func TestOtherKindsOfCertificatesHaveNoSession(t *testing.T) {
	r := newRegion(t)
	for _, kind := range []trust.Kind{trust.KindOperator, trust.KindServer} {
		if err := r.tryDial(t, kind); err == nil {
			t.Errorf("a %s opened a device's session", kind)
		}
	}
}
