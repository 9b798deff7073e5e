package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// statusJob is a batch on its way into the log.
type statusJob struct {
	report command.NodeStatuses
	done   chan error
}

// status takes in a device's batches; each is acknowledged once committed.
func (k *session) status(ctx context.Context, st link.Stream, node fleet.UUID) error {
	for {
		var m wire.StatusBatch
		if err := wire.Read(st, &m); err != nil {
			return err
		}
		if m.Full {
			k.noteOrphans(node, m.Allocs)
		}
		if len(m.Allocs) > 0 {
			if err := k.commitBatch(ctx, node, m.Allocs); err != nil {
				return fmt.Errorf("status batch %d: %w", m.Seq, err)
			}
		}
		if err := wire.Write(st, &wire.StatusAck{Seq: m.Seq}); err != nil {
			return err
		}
	}
}

func (k *session) commitBatch(ctx context.Context, node fleet.UUID, allocs []wire.AllocStatus) error {
	job := statusJob{report: command.NodeStatuses{Node: node, Allocs: allocs}, done: make(chan error, 1)}
	select {
	case k.statuses <- job:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-job.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// noteOrphans says which allocations the device runs that the region does not
// know: they keep running and somebody should hear of it.
func (k *session) noteOrphans(node fleet.UUID, allocs []wire.AllocStatus) {
	v := k.Store.View()
	for i := range allocs {
		if allocs[i].Status == fleet.ClientRunning && v.AllocByID(allocs[i].ID) == nil {
			k.Logger.Warn("orphan: the device runs an allocation that this region does not know; it keeps running",
				"node", node, "alloc", allocs[i].ID)
		}
	}
}

// commitStatuses writes batches of many links into few log entries: while one
// entry is being committed the next one collects.
func (s *Sessions) commitStatuses(ctx context.Context) {
	for {
		var jobs []statusJob
		select {
		case j := <-s.statuses:
			jobs = append(jobs, j)
		case <-ctx.Done():
			return
		}
	collect:
		for len(jobs) < StatusCommitMax {
			select {
			case j := <-s.statuses:
				jobs = append(jobs, j)
			default:
				break collect
			}
		}
		cmd := command.Statuses{At: s.Now().UnixNano()}
		_, _ = rand.Read(cmd.Seed[:])
		for _, j := range jobs {
			cmd.Nodes = append(cmd.Nodes, j.report)
		}
		_, err := s.Log.Propose(ctx, &cmd)
		for _, j := range jobs {
			j.done <- err
		}
	}
}

// module answers one request for a module's bytes.
func (k *session) module(st link.Stream) error {
	var req wire.ModuleRequest
	if err := wire.Read(st, &req); err != nil {
		return err
	}
	select {
	case k.modules <- struct{}{}:
		defer func() { <-k.modules }()
	default:
		return wire.Write(st, &wire.ModuleAnswer{Error: fmt.Sprintf("the server is sending %d modules; try again later", ModulesPerServer)})
	}
	f, size, err := k.Modules.Open(req.Digest)
	if err != nil {
		return wire.Write(st, &wire.ModuleAnswer{Error: err.Error()})
	}
	defer f.Close()
	if req.Offset > uint64(size) {
		return wire.Write(st, &wire.ModuleAnswer{Error: fmt.Sprintf("offset %d is beyond the module's %d bytes", req.Offset, size)})
	}
	if _, err := f.Seek(int64(req.Offset), io.SeekStart); err != nil {
		return errors.Join(err, wire.Write(st, &wire.ModuleAnswer{Error: "the module cannot be read here"}))
	}
	if err := wire.Write(st, &wire.ModuleAnswer{Size: uint64(size)}); err != nil {
		return err
	}
	if _, err := io.Copy(st, f); err != nil {
		return err
	}
	return st.CloseWrite()
}
