package httpapi

import (
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

func TestDrainIsSetShownAndStopped(t *testing.T) {
	g := newRegion(t)
	c, ctx := g.client(api.Config{}), t.Context()
	g.node(9, "pi-9", fleet.LinkOnline)
	in := &api.NodeDrainRequest{DrainSpec: &fleet.DrainSpec{Deadline: fleet.Duration(time.Hour), IgnoreSystemJobs: true}}
	if _, err := c.Drain(ctx, "pi-9", in); err != nil {
		t.Fatal(err)
	}
	n, _, err := c.Node(ctx, "pi-9", nil)
	if err != nil || !n.Drain || !n.DrainStrategy.IgnoreSystemJobs || !n.DrainStrategy.ForceDeadline.Equal(g.now.Add(time.Hour)) {
		t.Fatalf("%v %+v", err, n)
	}
	if _, err := c.SetEligible(ctx, "pi-9", true); !api.IsStatus(err, 400) {
		t.Fatalf("a draining node was made eligible: %v", err)
	}
	if _, err := c.Drain(ctx, "pi-9", &api.NodeDrainRequest{MarkEligible: true}); err != nil {
		t.Fatal(err)
	}
	if n, _, err = c.Node(ctx, "pi-9", nil); err != nil || n.Drain || n.DrainStrategy != nil || n.SchedulingEligibility != fleet.NodeEligible {
		t.Fatalf("%v %+v", err, n)
	}
	in.DrainSpec.Deadline = fleet.Duration(20 * 365 * 24 * time.Hour)
	if _, err := c.Drain(ctx, "pi-9", in); !api.IsStatus(err, 400) {
		t.Fatalf("a deadline of twenty years: %v", err)
	}
	if _, err := c.Drain(ctx, "nobody", in); !api.IsNotFound(err) {
		t.Fatalf("a node that is not there: %v", err)
	}
}

func TestWhatHasEndedIsForgottenByRequest(t *testing.T) {
	g := newRegion(t)
	c, ctx := g.client(api.Config{}), t.Context()
	g.node(9, "pi-9", fleet.LinkOnline)
	g.node(10, "pi-10", fleet.LinkLost)
	r, err := c.SystemGC(ctx)
	if err != nil || r.Nodes != 1 || r.Jobs != 0 {
		t.Fatalf("%v %+v", err, r)
	}
	if _, _, err := c.Node(ctx, "pi-10", nil); !api.IsNotFound(err) {
		t.Fatalf("a lost device is still there: %v", err)
	}
	if _, _, err := c.Node(ctx, "pi-9", nil); err != nil {
		t.Fatal(err)
	}
}
