package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

const (
	footprintSettle = 10 * time.Second // after the start, before memory is read
	footprintWindow = 45 * time.Second // of CPU time: more than one beat
	footprintHello  = 5 * time.Second  // of the guest's life before memory is read
)

// footprint measures a server and a joined device, each in processes of its own.
func footprint(ctx context.Context, r *rig) (*report, error) {
	server, c, _, err := r.server(ctx)
	if err != nil {
		return nil, err
	}
	if err := rest(ctx, footprintSettle); err != nil {
		return nil, err
	}
	rep := &report{}
	if err := addMemory(rep, server, figure{Name: "server idle, resident", Target: 40, Conditions: "no device yet"}); err != nil {
		return nil, err
	}
	agent, err := r.join(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := rest(ctx, footprintSettle); err != nil {
		return nil, err
	}
	if err := addMemory(rep, agent, figure{Name: "agent idle, client only, resident", Target: 25}); err != nil {
		return nil, err
	}
	if err := addCPU(ctx, rep, server, agent); err != nil {
		return nil, err
	}
	serverPeak, err := server.memory("VmHWM")
	if err != nil {
		return nil, err
	}
	agentPeak, err := agent.memory("VmHWM")
	if err != nil {
		return nil, err
	}
	if err := r.addHello(ctx, rep, c, server); err != nil {
		return nil, err
	}
	rep.condition("peak memory before the guest: server %s MB, agent %s MB; memory %s after the start, measured once", number(serverPeak), number(agentPeak), footprintSettle)
	return rep, nil
}

func addMemory(rep *report, p *process, f figure) error {
	value, err := p.memory("VmRSS")
	f.Value, f.Unit = value, "MB"
	rep.add(f)
	return err
}

// addCPU measures both processes over the same time, with one idle device.
func addCPU(ctx context.Context, rep *report, server, agent *process) error {
	var before [2]time.Duration
	var err error
	for i, p := range []*process{server, agent} {
		if before[i], err = cpuTime(p.cmd.Process.Pid); err != nil {
			return err
		}
	}
	if err := rest(ctx, footprintWindow); err != nil {
		return err
	}
	for i, p := range []*process{server, agent} {
		now, err := cpuTime(p.cmd.Process.Pid)
		if err != nil {
			return err
		}
		f := figure{Name: p.name + " idle, CPU per minute", Unit: "s", Value: (now - before[i]).Seconds() * float64(time.Minute) / float64(footprintWindow)}
		f.Conditions = fmt.Sprintf("%s watched, one device", footprintWindow)
		if p == agent {
			f.Target = 0.03
		}
		rep.add(f)
	}
	return nil
}

// join makes a device of this machine, as its owner would, and starts its agent.
func (r *rig) join(ctx context.Context, c *api.Client) (*process, error) {
	invite, err := c.Invite(ctx, &api.InviteRequest{Name: "bench-device"})
	if err != nil {
		return nil, fmt.Errorf("invite: %w", err)
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	r.local = ports[0]
	if _, err := r.command(ctx, "join", invite.Invite, "-data-dir", r.path("device"), "-http", ports[0], "-no-start"); err != nil {
		return nil, err
	}
	p, err := r.start("agent", "agent", "-config", r.path("device", "agent.hcl"))
	if err != nil {
		return nil, err
	}
	if _, err := p.says(ctx, "ready as"); err != nil {
		return nil, err
	}
	return p, nodesReady(ctx, c, 1)
}

// addHello runs one Go guest and sums the memory of all processes of the device.
func (r *rig) addHello(ctx context.Context, rep *report, c *api.Client, server *process) error {
	wasm, err := r.hello(ctx)
	if err != nil {
		return err
	}
	digest, err := push(ctx, c, "hello", wasm)
	if err != nil {
		return err
	}
	if _, err := submitOne(ctx, c, wasmJob("hello", fleet.JobTypeService, digest, 1)); err != nil {
		return err
	}
	if err := rest(ctx, footprintHello); err != nil {
		return err
	}
	// The server goes first: what it and the device share would count in part only.
	if err := server.stop(); err != nil {
		return err
	}
	all, err := r.processes()
	if err != nil {
		return err
	}
	sort.Slice(all, func(i, j int) bool { return all[i].pid < all[j].pid })
	sum, parts := 0.0, []string(nil)
	for _, p := range all {
		mb, err := memory(p.pid, "Pss")
		if err != nil {
			return err
		}
		sum += mb
		parts = append(parts, fmt.Sprintf("%s %s", p.role, number(mb)))
	}
	rep.add(figure{Name: "all processes of a device with one hello (PSS)", Value: sum, Unit: "MB", Target: 45,
		Conditions: strings.Join(parts, ", ") + "; the server is stopped before"})
	return nil
}
