package session

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// facts takes in what changes of a device's attributes; each difference is
// acknowledged once committed. A device that has much to say is slowed down on
// its own stream: the log is everybody's.
func (k *session) facts(ctx context.Context, st link.Stream, node fleet.UUID) error {
	if !k.claim(node) {
		return k.deny(st, RefusedTooOften, fmt.Errorf("node %s opened a second stream of facts on one link", node))
	}
	defer k.release(node)
	pause := time.NewTimer(FactsEvery)
	defer pause.Stop()
	for {
		var m wire.Facts
		if err := said(st, &m); err != nil {
			return err
		}
		cmd := command.NodeFacts{Node: node, Set: m.Set, Unset: m.Unset, At: k.Now().UnixNano()}
		_, _ = rand.Read(cmd.Seed[:]) // never fails
		if _, err := k.Log.Propose(ctx, &cmd); err != nil {
			return fmt.Errorf("facts %d: %w", m.Seq, err)
		}
		if err := say(st, &wire.FactsAck{Seq: m.Seq}); err != nil {
			return err
		}
		pause.Reset(FactsEvery)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (k *session) claim(node fleet.UUID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.telling[node] {
		return false
	}
	k.telling[node] = true
	return true
}

func (k *session) release(node fleet.UUID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.telling, node)
}
