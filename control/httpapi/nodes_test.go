package httpapi

import (
	"testing"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

func TestNodeThatRefusesPlans(t *testing.T) {
	g := newRegion(t)
	c, ctx := g.client(api.Config{}), t.Context()
	g.node(9, "pi-9", fleet.LinkOnline)
	show := func() *fleet.RefusedPlans {
		n, _, err := c.Node(ctx, "pi-9", nil)
		if err != nil {
			t.Fatal(err)
		}
		return n.RefusedPlans
	}
	if got := show(); got != nil {
		t.Fatalf("%+v", got)
	}
	want := fleet.RefusedPlans{InARow: 12, Since: 5, Last: 6, Reason: "it is full"}
	g.refusing = map[state.NodeKey]*fleet.RefusedPlans{g.store.View().NodeByID(id(9)).Key: &want}
	if got := show(); got == nil || *got != want {
		t.Fatalf("%+v", got)
	}
}
