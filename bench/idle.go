package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/edge/session"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

const (
	// idleSettle is after the start: what follows the registration is no idling, nor is the end of the stream on which the device told
	// what it has, of which it may have told the last some time after it was ready.
	idleSettle  = 70*time.Second + session.StatusIdle
	idleWindow  = 4*time.Minute + 5*time.Second // about eight beats
	beatsAnHour = float64(time.Hour) / float64(30*time.Second)
)

// idleBytes measures what an idle device costs its link, by the packet counters
// of the server's end, for the beats of some minutes, and scales to an hour.
func idleBytes(ctx context.Context, r *rig) (*report, error) {
	_, c, _, err := r.server(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := r.join(ctx, c); err != nil {
		return nil, err
	}
	if err := rest(ctx, idleSettle); err != nil {
		return nil, err
	}
	before, err := onlyTraffic(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := rest(ctx, idleWindow); err != nil {
		return nil, err
	}
	after, err := onlyTraffic(ctx, c)
	if err != nil {
		return nil, err
	}
	beat := uint64(len(wire.EncodeDatagram(&wire.Beat{Node: fleet.UUID{1}, Seq: 1})))
	beats := float64(after["beat"].Sent-before["beat"].Sent) / float64(beat)
	if beats < 2 {
		return nil, fmt.Errorf("%.0f beats in %s are too few to scale from", beats, idleWindow)
	}
	sent, received := 0.0, 0.0
	for class := range after {
		sent += float64(after[class].Sent) - float64(before[class].Sent)
		received += float64(after[class].Received) - float64(before[class].Received)
	}
	rep := &report{}
	rep.add(figure{Name: "idle device, both ways", Value: (sent + received) / beats * beatsAnHour / 1000, Unit: "KB/h", Target: 20,
		Conditions: fmt.Sprintf("%.0f bytes a beat: %.0f sent, %.0f received", (sent+received)/beats, sent/beats, received/beats)})
	rep.condition("%.0f beats in %s on a real socket, by packet counters, plus 28 bytes of IPv4 and UDP per packet; scaled to %.0f beats an hour", beats, idleWindow, beatsAnHour)
	return rep, nil
}

// onlyTraffic is the traffic of the only device's link, as the server counts it: asking the device would be traffic itself.
func onlyTraffic(ctx context.Context, c *api.Client) (map[string]api.TrafficCount, error) {
	all, err := c.NodesTraffic(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("the region has traffic of %d devices; want one", len(all))
	}
	out := map[string]api.TrafficCount{}
	for _, class := range all[0].Server.Classes {
		out[class.Class] = class.Link
	}
	return out, nil
}
