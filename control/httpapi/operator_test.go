package httpapi

import (
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

func TestOrphansAreShownStoppedAndRefused(t *testing.T) {
	g := newRegion(t)
	c, ctx := g.client(api.Config{}), t.Context()
	g.node(9, "pi-9", fleet.LinkOnline)
	orphan := wire.Orphan{ID: id(50), Job: wire.JobKey{Namespace: "default", ID: "web", Version: 3}, Group: "g", Status: fleet.ClientRunning}
	if _, _, err := g.Propose(ctx, command.NodeOrphans{Node: id(9), Orphans: []wire.Orphan{orphan}}); err != nil {
		t.Fatal(err)
	}
	n, _, err := c.Node(ctx, "pi-9", nil)
	if err != nil || len(n.Orphans) != 1 || n.Orphans[0].Name != "web.g[0]" {
		t.Fatalf("%v: %+v", err, n)
	}
	a, _, err := c.Allocation(ctx, fleet.AllocID(id(50).String()[:8]), nil)
	if err != nil || !a.Orphan || a.NodeName != "pi-9" || !strings.Contains(a.DesiredDescription, "keeps running") {
		t.Fatalf("%v: %+v", err, a)
	}
	if _, err := c.AdoptAllocation(ctx, a.ID); !api.IsStatus(err, 409) || !strings.Contains(err.Error(), "register it first") {
		t.Fatalf("adopting without a job: %v", err)
	}
	r, err := c.StopAllocation(ctx, a.ID, &api.AllocStopRequest{})
	if err != nil || !r.Orphan || r.EvalID != "" {
		t.Fatalf("%v: %+v", err, r)
	}
	if a, _, err = c.Allocation(ctx, a.ID, nil); err != nil || a.DesiredStatus != fleet.DesiredStop {
		t.Fatalf("%v: %+v", err, a)
	}
	if _, err := c.StopAllocation(ctx, "ffff", &api.AllocStopRequest{}); !api.IsNotFound(err) {
		t.Fatalf("stopping nothing: %v", err)
	}
}

func TestEpochAndLossBrake(t *testing.T) {
	g := newRegion(t)
	c, ctx := g.client(api.Config{}), t.Context()
	e, err := c.RaiseEpoch(ctx)
	if err != nil || e.Epoch != 2 || e.RaisedAt != g.now.UnixNano() {
		t.Fatalf("%v: %+v", err, e)
	}
	if e, _, err = c.Epoch(ctx, nil); err != nil || e.Epoch != 2 || e.Reason == "" {
		t.Fatalf("%v: %+v", err, e)
	}
	if _, _, err := g.Propose(ctx, command.BrakeSet{On: true, Reason: "4 of 9 devices", At: 5}); err != nil {
		t.Fatal(err)
	}
	g.node(9, "pi-9", fleet.LinkUnreachable)
	b, _, err := c.LossBrake(ctx, nil)
	if err != nil || !b.On || b.Gone != 1 || b.Reason != "4 of 9 devices" {
		t.Fatalf("%v: %+v", err, b)
	}
	if b, err = c.ReleaseLossBrake(ctx); err != nil || b.On || b.ReleasedAt != g.now.UnixNano() {
		t.Fatalf("%v: %+v", err, b)
	}
}
