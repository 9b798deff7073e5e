package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// millionTold is how long the last plans may take to reach their devices.
const millionTold = time.Minute

// millionPlaced places a million allocations on one server, with devices that take them and do not report: what the region's brain
// and its log do, without what statuses cost both ends on the same two cores. The line million has them.
func millionPlaced(ctx context.Context, r *rig) (rep *report, err error) {
	g, _, err := r.region(ctx, *millionNodes, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.devices.close()) }() // before the server goes, which would be a fault
	logBefore, err := logBytes(r)
	if err != nil {
		return nil, err
	}
	want := *millionJobs * millionCount
	begin := time.Now()
	registered := make(chan error, 1)
	go func() { registered <- registerMany(ctx, g.api, g.digest) }()
	marks, err := placedMarks(ctx, g.api, nil, begin, want)
	if err = errors.Join(err, <-registered, g.devices.err()); err != nil {
		return nil, err
	}
	logAfter, err := logBytes(r)
	if err != nil {
		return nil, err
	}
	peak, err := g.server.memory("VmHWM")
	if err != nil {
		return nil, err
	}
	// Each is told once: more would mean that something was placed twice.
	err = until(ctx, millionTold, func() (bool, error) { return g.devices.told.Load() >= int64(want), g.devices.err() })
	if told := g.devices.told.Load(); err == nil && told != int64(want) {
		err = fmt.Errorf("devices were told of %d allocations, and %d were placed", told, want)
	}
	if err != nil {
		return nil, err
	}
	rep = &report{}
	addPlaced(rep, marks, want, millionTarget, "no device reports")
	rep.add(figure{Name: "server's peak memory", Value: peak, Unit: "MB", Target: millionTarget(1000), Conditions: fmt.Sprintf("%s bytes per allocation", number(peak*1e6/float64(want)))})
	rep.add(figure{Name: "log per placement", Value: float64(logAfter-logBefore) / float64(want), Unit: "bytes", Conditions: "growth of the log's files"})
	least := max((want*millionCPU+millionNodeCPU-1)/millionNodeCPU, (want*millionMemory+millionNodeMB-1)/millionNodeMB)
	used := g.devices.used.Load()
	rep.add(figure{Name: "nodes used, of the fewest possible", Value: 100 * float64(used) / float64(least), Unit: "%", Conditions: fmt.Sprintf("%d of %d; %d would hold all", used, *millionNodes, least)})
	rep.condition("one server process, raft with fsync; %d batch jobs × %d on %d simulated nodes over %d links, in the process that measures; load at the end %s",
		*millionJobs, millionCount, *millionNodes, (*millionNodes+devicesPerLink-1)/devicesPerLink, loadAverage())
	return rep, nil
}
