package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
)

const (
	stormTarget  = 10_000           // devices that the targets are set for
	stormContact = 3 * time.Minute  // for all devices to be linked
	stormSettle  = 20 * time.Second // after the storm, before anything idle is measured
	stormWindow  = time.Minute      // two beats of each device
)

// storm measures a whole fleet against one server: first contact, idling, and
// the return after the server was restarted. Each device has its own identity,
// socket, link and session.
func storm(ctx context.Context, r *rig) (rep *report, err error) {
	server, c, quic, err := r.server(ctx)
	if err != nil {
		return nil, err
	}
	f, err := newFleet(ctx, r.path("server", "server", "tls"), quic, *stormDevices)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	n := len(f.devices)
	rep = &report{}
	target := func(v float64) float64 { // for as many as it was set for
		if n != stormTarget {
			return 0
		}
		return v
	}

	took, cost, err := f.costing(ctx, server)
	if err != nil {
		return nil, err
	}
	rep.add(figure{Name: "first contact of all", Value: took.Seconds(), Unit: "s", Target: target(30),
		Conditions: fmt.Sprintf("%s devices a second, all dialling at once; %s ms of the server's CPU each", number(float64(n)/took.Seconds()), number(millis(cost)/float64(n)))})
	if err := nodesReady(ctx, c, n); err != nil {
		return nil, err
	}
	if err := rest(ctx, stormSettle); err != nil {
		return nil, err
	}
	if err := addIdle(ctx, rep, server, f, target); err != nil {
		return nil, err
	}
	back, err := f.restart(ctx, r, server, c, quic)
	if err != nil {
		return nil, err
	}
	rep.add(figure{Name: "back after a server restart, resumed", Value: back.took.Seconds(), Unit: "s", Target: target(15),
		Conditions: fmt.Sprintf("from the start of the new process; the old one took %s s to stop", number(back.stopped.Seconds()))})
	if err := addLost(ctx, rep, c); err != nil {
		return nil, err
	}
	rep.condition("%d devices (-devices), each with a certificate, a socket and a link of its own; the targets are for %d; load of the machine at the end %s", n, stormTarget, loadAverage())
	return rep, errors.Join(f.err())
}

// linked runs something and waits until all devices have a new link.
func (f *realFleet) linked(ctx context.Context, what func()) (time.Duration, error) {
	want := f.links.Load() + int64(len(f.devices))
	begin := time.Now()
	what()
	err := until(ctx, stormContact, func() (bool, error) {
		return f.links.Load() >= want && f.up.Load() == int64(len(f.devices)), f.err()
	})
	if err != nil {
		return 0, fmt.Errorf("%d of %d devices are linked: %w", f.up.Load(), len(f.devices), err)
	}
	return time.Since(begin), nil
}

// costing is linked for the first contact, with the server's CPU time.
func (f *realFleet) costing(ctx context.Context, server *process) (took, cost time.Duration, err error) {
	before, err := cpuTime(server.cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	if took, err = f.linked(ctx, f.run); err != nil {
		return 0, 0, err
	}
	after, err := cpuTime(server.cmd.Process.Pid)
	return took, after - before, err
}

// addIdle measures the server with all devices linked and nothing to do.
func addIdle(ctx context.Context, rep *report, server *process, f *realFleet, target func(float64) float64) error {
	before, err := cpuTime(server.cmd.Process.Pid)
	if err != nil {
		return err
	}
	if err := rest(ctx, stormWindow); err != nil {
		return err
	}
	after, err := cpuTime(server.cmd.Process.Pid)
	if err != nil {
		return err
	}
	resident, err := server.memory("VmRSS")
	if err != nil {
		return err
	}
	peak, err := server.memory("VmHWM")
	if err != nil {
		return err
	}
	if up := int(f.up.Load()); up != len(f.devices) {
		return fmt.Errorf("only %d of %d idle devices are linked", up, len(f.devices))
	}
	rep.add(figure{Name: "server with all idle, resident", Value: resident, Unit: "MB", Target: target(700), Conditions: "peak " + number(peak) + " MB"})
	rep.add(figure{Name: "server with all idle, CPU of one core", Value: 100 * (after - before).Seconds() / stormWindow.Seconds(), Unit: "%", Target: target(3),
		Conditions: fmt.Sprintf("%s watched, default beat", stormWindow)})
	return nil
}

type comeback struct{ took, stopped time.Duration }

// restart stops the server, starts it again on the same folder and ports, and
// waits for all devices.
func (f *realFleet) restart(ctx context.Context, r *rig, server *process, c *api.Client, quic string) (b comeback, err error) {
	begin := time.Now()
	if err := server.stop(); err != nil {
		return b, err
	}
	b.stopped = time.Since(begin)
	b.took, err = f.linked(ctx, func() {
		_, err = r.start("server-again", "agent", "-config", r.path("server.hcl"), "-http", strings.TrimPrefix(c.Address(), "http://"), "-quic", quic)
	})
	return b, err
}

// addLost counts the nodes that the storm made the region give up.
func addLost(ctx context.Context, rep *report, c *api.Client) error {
	nodes, _, err := c.Nodes(ctx, nil)
	if err != nil {
		return err
	}
	lost := 0
	for _, n := range nodes {
		if n.LinkState != "online" {
			lost++
		}
	}
	rep.add(figure{Name: "nodes not online after the storm", Value: float64(lost), Unit: "", Conditions: fmt.Sprintf("of %d", len(nodes))})
	return nil
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
