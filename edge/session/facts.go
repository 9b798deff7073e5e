package session

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// tellFacts tells what changes of the node's attributes. It compares what is with what the region was told on this link, and
// keeps no list of changes: nothing can be lost or told twice, and what changed back in the meantime is not told at all.
func (s *Session) tellFacts(ctx context.Context, l link.Link, told map[string]string) error {
	if s.opts.Facts == nil {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	told = maps.Clone(told)
	var st link.Stream
	for seq := uint64(1); ; {
		now, changed := s.opts.Facts()
		m := difference(told, now)
		if m == nil {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		m.Seq = seq
		var err error
		if st == nil {
			if st, err = s.open(ctx, l, wire.KindFacts, m); err == nil {
				defer st.Reset(link.CodeCanceled)
			}
		} else {
			err = writeSoon(st, m)
		}
		if err == nil {
			err = awaitFacts(st, seq)
		}
		if isReset(err) && l.Context().Err() == nil {
			// A server that does not know such streams, or refuses what they say. The rest of the link is worth keeping.
			s.opts.Log.Warn("the server does not take changed facts; it hears them with the next link", "cause", err)
			<-ctx.Done()
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("tell changed facts: %w", err)
		}
		seq++
		for _, a := range m.Set {
			told[a.Name] = a.Value
		}
		for _, name := range m.Unset {
			delete(told, name)
		}
	}
}

func awaitFacts(st link.Stream, seq uint64) error {
	if err := st.SetReadDeadline(time.Now().Add(StatusAckTimeout)); err != nil {
		return err
	}
	var ack wire.FactsAck
	if err := wire.Read(st, &ack); err != nil {
		return err
	}
	if ack.Seq != seq {
		return protocolErrorf("the server acknowledged facts %d, and %d were sent", ack.Seq, seq)
	}
	return nil
}

// difference is what must be told for the region to know now instead of told: at most what fits a message; nil if nothing.
func difference(told, now map[string]string) *wire.Facts {
	m := &wire.Facts{}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if old, ok := told[name]; (!ok || old != now[name]) && len(m.Set) < wire.FactsMax {
			m.Set = append(m.Set, wire.Attribute{Name: name, Value: now[name]})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(told)) {
		if _, ok := now[name]; !ok && len(m.Unset) < wire.FactsMax {
			m.Unset = append(m.Unset, name)
		}
	}
	if len(m.Set)+len(m.Unset) == 0 {
		return nil
	}
	return m
}
