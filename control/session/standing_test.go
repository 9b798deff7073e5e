package session

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

func (r *region) stand(t *testing.T, node fleet.UUID, standing, reason string) {
	t.Helper()
	r.propose(t, &command.IdentityStanding{Peer: fleet.PeerOfNode(node), Standing: standing, Reason: reason, At: time.Now().UnixNano()})
}

func closedWith(t *testing.T, l link.Link) *link.CloseError {
	t.Helper()
	select {
	case <-l.Context().Done():
	case <-time.After(patient):
		t.Fatal("the link stays")
	}
	c, ok := link.Closed(context.Cause(l.Context()))
	if !ok {
		t.Fatalf("the link ended with %v", context.Cause(l.Context()))
	}
	return c
}

func TestRevokingCutsTheLinkAndKeepsIt(t *testing.T) {
	r := newRegion(t)
	id := fleet.UUID{7}
	d := r.node(t, id)
	d.register(wire.Register{})
	r.stand(t, id, fleet.StandingRevoked, "stolen")
	if c := closedWith(t, d.link); c.Code != link.CodeRevoked || !strings.Contains(c.Reason, "stolen") || !strings.Contains(c.Reason, "dunlin node invite") {
		t.Errorf("cut with %v", c)
	}
	again := r.node(t, id) // a new key does not help: the identity is revoked
	again.open(wire.KindRegister)
	st := again.open(wire.KindRegister)
	_ = wire.Write(st, &wire.Register{Spec: []byte(`{}`)})
	if c := closedWith(t, again.link); c.Code != link.CodeRevoked {
		t.Errorf("refused with %v", c)
	}
	if !eventually(func() bool { return r.Refusals()[RefusedStanding.String()] > 0 && !r.Connected(id) }) { // a session ends after its link
		t.Error("the revoked device is linked, or nothing was counted")
	}
	// Nor does a gateway that speaks for it.
	g := r.dial(t, trust.KindGateway, "sim", id)
	st = g.open(wire.KindRegister)
	_ = wire.Write(st, &wire.Register{Spec: []byte(`{}`)})
	if c := closedWith(t, g.link); c.Code != link.CodeRevoked {
		t.Errorf("the gateway was refused with %v", c)
	}
}

// TestARevokedGatewayIsCutOff: its link ends, a new one is refused, and the device that it spoke for may come by itself.
func TestARevokedGatewayIsCutOff(t *testing.T) {
	r := newRegion(t)
	id := fleet.UUID{7}
	g := r.dial(t, trust.KindGateway, "sim", id)
	g.register(wire.Register{})
	r.propose(t, &command.IdentityStanding{Peer: fleet.PeerOfGateway("sim"), Standing: fleet.StandingRevoked, Reason: "its key was copied", At: 1})
	if c := closedWith(t, g.link); c.Code != link.CodeRevoked || !strings.Contains(c.Reason, "its key was copied") {
		t.Errorf("cut with %v", c)
	}
	again := r.dial(t, trust.KindGateway, "sim", id)
	st := again.open(wire.KindRegister)
	_ = wire.Write(st, &wire.Register{Spec: []byte(`{}`)})
	if c := closedWith(t, again.link); c.Code != link.CodeRevoked {
		t.Errorf("refused with %v", c)
	}
	if w, _ := r.node(t, id).register(wire.Register{}); w.Refusal != "" {
		t.Errorf("the device itself: %s", w.Refusal)
	}
}

// stuck is a link whose peer takes its time to hear of the end.
type stuck struct {
	link.Link
	closing, heard chan struct{}
}

func (l *stuck) Peer() trust.Identity { return trust.Identity{Kind: trust.KindGateway, ID: "sim"} }

func (l *stuck) Close(link.Code, string) error {
	close(l.closing)
	<-l.heard
	return nil
}

// TestACutHoldsNobodyUp: while a revoked peer is told so, the other links are there for everybody.
func TestACutHoldsNobodyUp(t *testing.T) {
	log := &direct{store: state.New()}
	for _, cmd := range []command.Command{
		&command.RegionFound{ID: fleet.UUID{1}, Name: "global", Epoch: 1},
		&command.IdentitySeen{Peer: fleet.PeerOfGateway("sim"), ExpiresAt: 1, At: 1},
		&command.IdentityStanding{Peer: fleet.PeerOfGateway("sim"), Standing: fleet.StandingRevoked, At: 1},
	} {
		if _, err := log.Propose(t.Context(), cmd); err != nil {
			t.Fatal(err)
		}
	}
	s := New(Config{Store: log.store})
	l := &stuck{closing: make(chan struct{}), heard: make(chan struct{})}
	s.links[fleet.UUID{7}] = &session{link: l}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.cutRevoked(ctx) })
	within(t, "cut", l.closing)
	if !s.mu.TryLock() {
		t.Error("all links wait for the one that is cut")
	} else {
		s.mu.Unlock()
	}
	close(l.heard)
	cancel()
	wg.Wait()
}

func TestQuarantineHoldsThePush(t *testing.T) {
	r := newRegion(t)
	id, alloc := fleet.UUID{7}, fleet.UUID{42}
	d := r.node(t, id)
	_, pushed := d.register(wire.Register{})
	d.desired(pushed)
	r.stand(t, id, fleet.StandingQuarantined, "odd")
	r.place(t, id, alloc, "app") // as if it had been planned before
	if err := pushed.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var m wire.Desired
	if err := wire.Read(pushed, &m); err == nil {
		t.Fatalf("pushed in quarantine: %+v", m)
	}
	if !r.Connected(id) || d.link.Context().Err() != nil {
		t.Fatal("the quarantine cut the link")
	}
	r.stand(t, id, fleet.StandingApproved, "")
	if m := d.desired(pushed); len(m.Allocs) != 1 || m.Allocs[0].ID != alloc {
		t.Errorf("after the approval: %+v", m)
	}
}

// answerProbes plays the device's end of probes until the link ends.
func (d *device) answerProbes(place fleet.UUID) {
	go func() {
		for {
			st, err := d.link.AcceptStream(context.Background())
			if err != nil {
				return
			}
			var h wire.Header
			if wire.Read(st, &h) == nil && h.Kind == wire.KindProbe {
				_ = wire.Write(st, &wire.ProbeAnswer{Place: place})
			}
			_ = st.Close()
		}
	}()
}

func TestACloneIsRefusedWhileTheOtherAnswers(t *testing.T) { synctest.Test(t, testClone) }

func testClone(t *testing.T) {
	r := inBubble(t)
	id := fleet.UUID{7}
	m := r.trust.Issue(t, trust.KindNode, id.String(), time.Now())
	first := r.dialWith(t, m, id)
	first.register(wire.Register{Place: fleet.UUID{1}})
	first.answerProbes(fleet.UUID{1})

	clone := r.dialWith(t, m, id)
	w, _ := clone.register(wire.Register{Place: fleet.UUID{2}})
	if !strings.Contains(w.Refusal, "dunlin agent generalize") || !strings.Contains(w.Refusal, first.link.LocalAddr().String()[strings.LastIndex(first.link.LocalAddr().String(), ":"):]) {
		t.Errorf("refusal %q", w.Refusal)
	}
	i := r.Store.View().NodeByID(id).Identity
	if i.Rival == nil || i.Rival.Addr == i.Rival.Linked || !i.Trusted() {
		t.Errorf("noted: %+v", i)
	}
	if first.link.Context().Err() != nil || !r.Connected(id) {
		t.Fatal("the clone took the link")
	}
	// Another key for the same node is no better.
	other := r.node(t, id)
	if w, _ := other.register(wire.Register{Place: fleet.UUID{1}}); w.Refusal == "" {
		t.Error("another key took the link")
	}
	// The device itself, after its address changed: same key, same place.
	back := r.dialWith(t, m, id)
	if w, _ := back.register(wire.Register{Place: fleet.UUID{1}}); w.Refusal != "" {
		t.Errorf("the device was taken for a clone: %s", w.Refusal)
	}
	if c := closedWith(t, first.link); c.Code != link.CodeReplaced {
		t.Errorf("its old link ended with %v", c)
	}
}

func TestARebootedDeviceReplacesALinkThatDoesNotAnswer(t *testing.T) { synctest.Test(t, testReboot) }

func testReboot(t *testing.T) {
	r := inBubble(t)
	id := fleet.UUID{7}
	m := r.trust.Issue(t, trust.KindNode, id.String(), time.Now())
	silent := r.dialWith(t, m, id)
	silent.register(wire.Register{Place: fleet.UUID{1}}) // and answers nothing from here on
	began := time.Now()
	back := r.dialWith(t, m, id)
	if w, _ := back.register(wire.Register{Place: fleet.UUID{2}}); w.Refusal != "" {
		t.Fatalf("refused: %s", w.Refusal)
	}
	if took := time.Since(began); took < ProbeTimeout {
		t.Errorf("the earlier link had %s to answer; want %s", took, ProbeTimeout)
	}
	if c := closedWith(t, silent.link); c.Code != link.CodeReplaced {
		t.Errorf("the old link ended with %v", c)
	}
}

func TestTheCertificateIsInTheLogFromTheFirstContact(t *testing.T) {
	r := newRegion(t)
	id := fleet.UUID{7}
	m := r.trust.Issue(t, trust.KindNode, id.String(), time.Now())
	r.dialWith(t, m, id).register(wire.Register{})
	i := r.Store.View().NodeByID(id).Identity
	if i == nil || i.KeyHash != trust.KeyHash(m.Cert) || i.CertExpiresAt != m.Cert.NotAfter.UnixNano() {
		t.Errorf("known: %+v", i)
	}
	index := r.Store.View().Index()
	r.dialWith(t, m, id).register(wire.Register{})
	if now := r.Store.View().Index(); now != index+1 {
		t.Errorf("coming again took %d entries; want the registration alone", now-index)
	}
}
