package devices

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// accept serves the streams that the region opens.
func (l *line) accept(ctx context.Context, conn link.Link, part func(func() error)) error {
	for {
		st, err := conn.AcceptStream(ctx)
		if err != nil {
			return err
		}
		part(func() error {
			defer st.Close() //nolint:errcheck // whatever is wrong with the stream, its last use said so
			var h wire.Header
			if err := wire.Read(st, &h); err != nil {
				return fmt.Errorf("header of a stream: %w", err)
			}
			return l.serve(st, &h)
		})
	}
}

func (l *line) serve(st link.Stream, h *wire.Header) error {
	d := l.byID[h.Node]
	switch {
	case d == nil:
		st.Reset(link.CodeRefused)
		return fmt.Errorf("the region means node %s, which is not on this link", h.Node)
	case h.Kind == wire.KindDesired:
		return l.desired(st, d)
	case h.Kind == wire.KindProbe:
		return wire.Write(st, &wire.ProbeAnswer{})
	case h.Kind == wire.KindServers:
		return wire.Read(st, &wire.Servers{}) // a simulated fleet stays with the servers it was given
	}
	st.Reset(link.CodeRefused) // a simulated device has no logs, files or accounts
	return nil
}

// desired acknowledges what a device would first put on its disk.
func (l *line) desired(st link.Stream, d *device) error {
	for {
		var m wire.Desired
		if err := wire.Read(st, &m); err != nil {
			if _, reset := errors.AsType[*link.ResetError](err); reset || errors.Is(err, io.EOF) {
				return nil // the region is done with the stream, or the link's end says more
			}
			return err
		}
		if err := l.fleet.tasks.learn(m.Jobs); err != nil {
			return fmt.Errorf("a job of the region: %w", err)
		}
		if err := wire.Write(st, &wire.DesiredAck{Gen: m.Gen}); err != nil {
			return err
		}
		l.obey(d, &m, time.Now())
	}
}

func (l *line) obey(d *device, m *wire.Desired, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := d.desire(m, &l.fleet.tasks, now.UnixNano())
	l.fleet.count.placed.Add(int64(len(fresh)))
	if after := l.fleet.opts.FinishAfter; after > 0 && len(fresh) > 0 {
		idle := len(l.due) == 0
		for _, id := range fresh {
			l.due = append(l.due, due{now.Add(after).UnixNano(), d, id})
		}
		if idle {
			select {
			case l.wake <- struct{}{}:
			default:
			}
		}
	}
	l.hurry(d)
}
