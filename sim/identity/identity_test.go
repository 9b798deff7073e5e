package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

const day = 24 * time.Hour

func TestADeviceOffFor400DaysReturnsByItself(t *testing.T) {
	r := newRegion(t)
	d := r.enter("pi", time.Now)
	d.start()
	d.await("the first link", d.linked)
	before := d.keeper.Material().Cert
	d.stop()
	r.clock.forward(400 * day)
	r.restart()
	d.start()
	d.await("the link after 400 days", d.linked)
	after := d.keeper.Material().Cert
	if !after.NotAfter.After(r.clock.now()) || trust.KeyHash(before) != trust.KeyHash(after) {
		t.Errorf("the certificate ends %s; it is %s", after.NotAfter, r.clock.now())
	}
	// What is on disk is the new one.
	d.stop()
	d.start()
	d.await("the link with the new certificate", d.linked)
	if n, err := d.node(); err != nil || n.Identity.CertExpiresAt != after.NotAfter.UnixNano() {
		t.Errorf("the region knows %+v, %v", n, err)
	}
}

func TestARevokedDeviceDoesNotReturnAfter400Days(t *testing.T) {
	r := newRegion(t)
	d := r.enter("pi", time.Now)
	d.start()
	d.await("the first link", d.linked)
	id := fleet.NodeID(d.keeper.Material().Identity.ID)
	if _, err := r.client.SetStanding(t.Context(), id, &api.NodeStandingRequest{Standing: fleet.StandingRevoked, Reason: "stolen"}); err != nil {
		t.Fatal(err)
	}
	d.await("the cut", func() error {
		if s := d.said.String(); !strings.Contains(s, "stolen") {
			return errors.New("the link is not cut")
		}
		return nil
	})
	d.stop()
	r.clock.forward(400 * day)
	r.restart() // the log is replayed: the revocation is in it
	d.start()
	d.await("the refusal", func() error {
		if s := d.said.String(); !strings.Contains(s, "revoked for good") {
			return errors.New("not refused as revoked")
		}
		return nil
	})
	if n, err := d.node(); err != nil || n.Identity.Standing != fleet.StandingRevoked || n.Status != fleet.NodeStatusDown {
		t.Errorf("the region has %+v, %v", n, err)
	}
	if _, err := r.client.SetStanding(t.Context(), id, &api.NodeStandingRequest{Standing: fleet.StandingApproved}); !api.IsStatus(err, 409) {
		t.Errorf("approving a revoked device: %v", err)
	}
}

func TestACertificateIsRenewedOnTheLiveLink(t *testing.T) {
	r := newRegion(t)
	d := r.enter("pi", time.Now)
	d.start()
	d.await("the first link", d.linked)
	before := d.keeper.Material().Cert
	d.stop()
	// Three quarters of its life are over: due, and not expired.
	r.clock.forward(270 * day)
	r.restart()
	d.start()
	d.await("the renewal", func() error {
		if c := d.keeper.Material().Cert; !c.NotAfter.After(before.NotAfter) {
			return fmt.Errorf("the certificate ends %s", c.NotAfter)
		}
		return d.linked()
	})
	if strings.Count(d.said.String(), "linked to the region") != 2 {
		t.Errorf("the renewal cost the link:\n%s", d.said)
	}
}

func TestWrongClocks(t *testing.T) {
	for _, year := range []int{1970, 2090} {
		t.Run(fmt.Sprint(year), func(t *testing.T) {
			r := newRegion(t)
			began := time.Now()
			wrong := func() time.Time {
				return time.Date(year, time.January, 1, 0, 0, 0, 0, time.UTC).Add(time.Since(began))
			}
			d := r.enter("pi", wrong)
			d.start()
			d.await("the link", d.linked)
			d.await("the region's row", func() error {
				n, err := d.node()
				if err == nil && n.Status != fleet.NodeStatusReady {
					err = fmt.Errorf("it is %s", n.Status)
				}
				return err
			})
			d.stop()
			// Again after a year and a half away, server renewed meanwhile, clock as wrong as before.
			r.clock.forward(700 * day)
			r.restart()
			d.start()
			d.await("the link after 700 days", d.linked)
			if c := d.keeper.Material().Cert; !c.NotAfter.After(r.clock.now()) {
				t.Errorf("the certificate ends %s", c.NotAfter)
			}
		})
	}
}

func TestAnInviteForManyLetsInSoMany(t *testing.T) {
	const count, tries = 5, 12
	r := newRegion(t)
	in := r.invite(api.InviteRequest{Count: count, Pool: "shops", TTL: fleet.Duration(time.Hour)})
	var wg sync.WaitGroup
	var mu sync.Mutex
	nodes := map[string]bool{}
	refused := 0
	for n := range tries {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			answer, m, err := join(ctx, in, fmt.Sprintf("pi-%d", n), time.Now)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refused++
				return
			}
			if answer.Pool != "shops" {
				t.Errorf("pool %q", answer.Pool)
			}
			nodes[m.Identity.ID] = true
		})
	}
	wg.Wait()
	if len(nodes) != count || refused != tries-count {
		t.Errorf("%d devices got in and %d did not; want %d and %d", len(nodes), refused, count, tries-count)
	}
	list, _, err := r.client.Invites(t.Context(), nil)
	if err != nil || len(list) != 1 || list[0].Left != 0 || list[0].Count != count || list[0].Pool != "shops" {
		t.Errorf("listed: %+v, %v", list, err)
	}
	open := r.invite(api.InviteRequest{Count: 2})
	list, _, err = r.client.Invites(t.Context(), nil)
	if err != nil || len(list) != 2 {
		t.Fatalf("listed: %+v, %v", list, err)
	}
	for _, i := range list {
		if i.Left > 0 {
			if err := r.client.RevokeInvite(t.Context(), i.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, _, err := join(t.Context(), open, "late", time.Now); err == nil {
		t.Error("a revoked invite let a device in")
	}
}

func TestAGatewayIsInvited(t *testing.T) {
	r := newRegion(t)
	_, m, err := join(t.Context(), r.invite(api.InviteRequest{Role: fleet.InviteRoleGateway}), "sim", time.Now)
	if err != nil || m.Identity.Kind != trust.KindGateway {
		t.Fatalf("joined as %v, %v", m, err)
	}
}
