package session

import (
	"context"
	"crypto/rand"
	"fmt"

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
	if !k.claimStatus(node) {
		return k.deny(st, RefusedTooOften, fmt.Errorf("node %s tells statuses on another stream of this link already", node))
	}
	defer k.releaseStatus(node)
	for {
		var m wire.StatusBatch
		if err := said(st, &m); err != nil {
			return err
		}
		m.Allocs = k.own(node, m.Allocs)
		if m.TellsOrphans {
			if err := k.orphans(ctx, node, m.Orphans); err != nil {
				return fmt.Errorf("status batch %d: orphans: %w", m.Seq, err)
			}
		}
		if len(m.Allocs) > 0 {
			if err := k.commitBatch(ctx, node, m.Allocs); err != nil {
				return fmt.Errorf("status batch %d: %w", m.Seq, err)
			}
		}
		if err := say(st, &wire.StatusAck{Seq: m.Seq}); err != nil {
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

// orphans stores which allocations the device has that the region does not know:
// they keep running, and somebody must see them.
func (k *session) orphans(ctx context.Context, node fleet.UUID, list []wire.Orphan) error {
	row := k.Store.View().NodeByID(node)
	if row == nil || !row.TellsNew(list) {
		return nil
	}
	result, err := k.Log.Propose(ctx, &command.NodeOrphans{Node: node, Orphans: list, At: k.Now().UnixNano()})
	if err != nil {
		return err
	}
	if set, ok := result.(command.OrphansSet); ok && set.Changed && set.Count > 0 {
		k.Logger.Warn("orphans: the device runs allocations that this region does not know; they keep running; see dunlin node orphans",
			"node", node, "count", set.Count)
	}
	return nil
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
		s.commit(ctx, jobs)
	}
}

// commit writes the batches in as few entries as the limit allows, and answers
// each batch once its last piece is in.
func (s *Sessions) commit(ctx context.Context, jobs []statusJob) {
	var (
		cmd     command.Statuses
		weight  int
		pending []statusJob // whose last piece is in cmd
	)
	flush := func() error {
		if len(cmd.Nodes) == 0 {
			return nil
		}
		cmd.At = s.Now().UnixNano()
		_, _ = rand.Read(cmd.Seed[:]) // never fails
		_, err := s.Log.Propose(ctx, &cmd)
		for _, j := range pending {
			j.done <- err
		}
		cmd, weight, pending = command.Statuses{}, 0, nil
		return err
	}
	for _, j := range jobs {
		var err error
		rest := j.report.Allocs
		for len(rest) > 0 && err == nil {
			n := 0
			for n < len(rest) && weight < StatusEntryBytes {
				weight += statusWeight(&rest[n])
				n++
			}
			cmd.Nodes = append(cmd.Nodes, command.NodeStatuses{Node: j.report.Node, Allocs: rest[:n]})
			if rest = rest[n:]; len(rest) > 0 {
				err = flush()
			}
		}
		if err != nil {
			j.done <- err
			continue
		}
		pending = append(pending, j)
		if weight >= StatusEntryBytes {
			_ = flush() // its error is in the answers
		}
	}
	_ = flush() // its error is in the answers
}

// statusWeight is about what a status takes in an entry, in bytes.
func statusWeight(a *wire.AllocStatus) int {
	n := 32 + len(a.Description)
	for i := range a.Tasks {
		n += 48 + len(a.Tasks[i].Name)
		for _, e := range a.Tasks[i].Events {
			n += 12
			for _, arg := range e.Args {
				n += 3 + len(arg)
			}
		}
	}
	return n
}
