package session

import (
	"context"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/control/desired"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// push keeps a device's desired state equal to the region's: on each change of
// its allocations it sends the difference to what the device holds.
func (k *session) push(ctx context.Context, node fleet.UUID, held wire.Generation) {
	err := k.pushAll(ctx, node, held)
	if err != nil && ctx.Err() == nil {
		k.Logger.Warn("push to device ended", "node", node, "error", err)
		_ = k.link.Close(link.CodeInternal, "what this region wants could not be told: "+err.Error())
	}
}

func (k *session) pushAll(ctx context.Context, node fleet.UUID, held wire.Generation) error {
	st, err := k.open(ctx, node, wire.KindDesired)
	if err != nil {
		return err
	}
	defer st.Close()
	if err := say(st, &wire.Header{Kind: wire.KindDesired, Node: node}); err != nil {
		return err
	}
	row := k.Store.View().NodeByID(node)
	if row == nil {
		return fmt.Errorf("node %s is not in the region", node)
	}
	topic := state.Topic{Table: state.TableNodeAllocs, Key: uint64(row.Key)}
	for first := true; ; first = false {
		if !k.trusted(ctx, row.Key) {
			return nil
		}
		wake, raised := k.Store.Watch(topic), k.Store.Watch(state.Topic{Table: state.TableRegion})
		d := desired.Difference(k.Store.View(), row.Key, held)
		// The first message is sent even when it is empty: it tells the device
		// that nothing changed, and confirms the generation it holds.
		for i, m := range d {
			if !first && i == 0 && len(d) == 1 && len(m.Allocs) == 0 && !m.Full {
				break
			}
			if err := tell(st, m); err != nil {
				return err
			}
			held = m.Gen
		}
		select {
		case <-wake:
		case <-raised: // everything is told anew in the new epoch
		case <-ctx.Done():
			return nil
		}
	}
}

// tell sends one message and waits until the device has it on disk.
func tell(st link.Stream, m *wire.Desired) error {
	b, err := wire.Encode(m)
	if err == nil {
		err = send(st, b)
	}
	if err != nil {
		return err
	}
	_ = st.SetReadDeadline(time.Now().Add(patience(len(b))))
	var ack wire.DesiredAck
	if err := wire.Read(st, &ack); err != nil {
		return fmt.Errorf("no acknowledgement of %s: %w", m.Gen, err)
	}
	if ack.Gen != m.Gen {
		return fmt.Errorf("the device acknowledged %s instead of %s", ack.Gen, m.Gen)
	}
	return nil
}
