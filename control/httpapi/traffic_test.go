package httpapi

import (
	"testing"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

func TestTraffic(t *testing.T) {
	g := newRegion(t)
	g.node(1, "up", fleet.LinkOnline)
	g.node(2, "down", fleet.LinkUnreachable)
	g.node(3, "never", fleet.LinkUnreachable)
	delete(g.linked, id(3))
	c := g.client(api.Config{})

	all, err := c.NodesTraffic(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "down" || all[1].Name != "up" {
		t.Fatalf("all: %+v, %v", all, err)
	}
	// What the server received, the device sent.
	if got := all[1].Server.Sum().Today; got != (api.TrafficCount{Sent: 20, Received: 1}) || all[1].Device != nil {
		t.Errorf("the list says %+v", all[1])
	}
	up, err := c.NodeTraffic(t.Context(), "up")
	if err != nil || up.Device == nil || up.Budget != 50e6 || up.Links != 3 || len(up.Slowed) != 2 || up.Slowed[0] != "modules" {
		t.Fatalf("one: %+v, %v", up, err)
	}
	if got := up.Device.Sum().Month; got != (api.TrafficCount{Sent: 7, Received: 32e6}) {
		t.Errorf("the device's account is %+v", got)
	}
	down, err := c.NodeTraffic(t.Context(), "down")
	if err != nil || down.Device != nil || down.DeviceError == "" || down.Server.Sum().Link.Sent != 20 {
		t.Errorf("a device without link: %+v, %v", down, err)
	}
	if _, err := c.NodeTraffic(t.Context(), "nobody"); !api.IsNotFound(err) {
		t.Errorf("an unknown node gave %v", err)
	}
}
