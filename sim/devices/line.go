package devices

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/edge/reach"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Limits of a line.
const (
	AnswerTimeout = time.Minute // for a welcome, or the word that statuses are committed
	RegistersMax  = 8           // registrations under way
	TellersMax    = 24          // status batches under way, each on a stream of its own
)

// line is one link and its devices.
type line struct {
	fleet   *Fleet
	dialer  link.Dialer
	devices []*device
	byID    map[fleet.UUID]*device
	untold  chan *device  // those that are busy and wait for a teller; room for all
	wake    chan struct{} // something is due that was not

	mu  sync.Mutex
	due []due // what will be complete, in the order of their times
}

// due is an allocation that will have run long enough.
type due struct {
	at     int64
	device *device
	id     fleet.UUID
}

// run keeps the line linked until ctx ends.
func (l *line) run(ctx context.Context, route *reach.Route) {
	for ctx.Err() == nil {
		at, wait, _ := route.Next(time.Now(), rand.Float64())
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		err := l.once(ctx, route, at)
		if ctx.Err() == nil {
			l.fleet.faulty(err)
		}
	}
}

// once is one link, from the dial to its end.
func (l *line) once(ctx context.Context, route *reach.Route, at reach.Attempt) error {
	dialCtx, cancel := context.WithTimeout(ctx, at.Timeout)
	conn, err := l.dialer.Dial(dialCtx, at.Address, trust.ProtocolEdge)
	cancel()
	if err != nil {
		route.Failed(at, reach.OutcomeOf(err), time.Now())
		return fmt.Errorf("link to %s: %w", at.Address, err)
	}
	up := false
	err = l.converse(ctx, conn, func(w *wire.Welcome) {
		up = true
		route.Up(at, link.Spread{Max: time.Duration(w.Return)}, time.Now())
	})
	if up {
		route.Down(reach.OutcomeOf(err), time.Now())
	} else {
		route.Failed(at, reach.OutcomeOf(err), time.Now())
	}
	return err
}

// converse registers all devices and serves the link until something on it ends.
func (l *line) converse(outer context.Context, conn link.Link, up func(*wire.Welcome)) error {
	ctx, cancel := context.WithCancelCause(outer)
	defer context.AfterFunc(conn.Context(), func() { cancel(context.Cause(conn.Context())) })()
	var wg sync.WaitGroup
	part := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				cancel(err)
			}
		})
	}
	part(func() error { return l.accept(ctx, conn, part) })
	ready := 0
	welcome, err := l.registerAll(ctx, conn, &ready)
	if err != nil {
		cancel(err)
	} else {
		up(welcome)
		l.fleet.count.links.Add(1)
		part(func() error { return l.beat(ctx, conn, time.Duration(welcome.BeatEvery)) })
		for range min(TellersMax, len(l.devices)) {
			part(func() error { return l.tell(ctx, conn) })
		}
		part(func() error { return l.finish(ctx) })
	}
	<-ctx.Done()
	cause := context.Cause(ctx)
	code := link.CodeProtocol
	if outer.Err() != nil {
		code = link.CodeDone
	}
	_ = conn.Close(code, cause.Error()) // only the first close counts
	wg.Wait()
	l.fleet.count.ready.Add(-int64(ready))
	if err == nil {
		l.fleet.count.broken.Add(1)
	}
	l.unlinked()
	return cause
}

// registerAll registers the devices, a few at a time.
func (l *line) registerAll(ctx context.Context, conn link.Link, ready *int) (*wire.Welcome, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first *wire.Welcome
		fault error
	)
	slots := make(chan struct{}, RegistersMax)
	for _, d := range l.devices {
		slots <- struct{}{}
		mu.Lock()
		failed := fault != nil
		mu.Unlock()
		if failed {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			w, err := l.register(ctx, conn, d)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				fault = errors.Join(fault, err)
				return
			}
			first = w
			*ready++
			l.fleet.count.ready.Add(1)
		})
	}
	wg.Wait()
	return first, fault
}

func (l *line) register(ctx context.Context, conn link.Link, d *device) (*wire.Welcome, error) {
	node := l.fleet.opts.Spec(d.n, d.id)
	spec, err := json.Marshal(node)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	m := wire.Register{RegionID: d.region, Held: d.held, Mark: d.mark, Spec: spec}
	l.mu.Unlock()
	st, err := open(ctx, conn, wire.KindRegister, d.id)
	if err != nil {
		return nil, err
	}
	defer st.Close() //nolint:errcheck // the answer has been read, or its error says more
	var w wire.Welcome
	if err := errors.Join(wire.Write(st, &m), wire.Read(st, &w)); err != nil {
		return nil, fmt.Errorf("register %s: %w", node.Name, err)
	}
	if w.Refusal != "" {
		return nil, &link.CloseError{Code: link.CodeRefused, Reason: w.Refusal, Remote: true}
	}
	l.registered(d, w.RegionID)
	return &w, nil
}

// registered begins what a device tells on this link. What the region wants of it may have come first.
func (l *line) registered(d *device, region fleet.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.linked(region)
	l.hurry(d)
}

// unlinked lets no device wait for the tellers of a link that has ended.
func (l *line) unlinked() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.devices {
		d.busy = false
	}
	for len(l.untold) > 0 {
		<-l.untold
	}
}

// open opens a stream that must be done within AnswerTimeout.
func open(ctx context.Context, conn link.Link, kind wire.Kind, node fleet.UUID) (link.Stream, error) {
	st, err := conn.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(st.SetDeadline(time.Now().Add(AnswerTimeout)), wire.Write(st, &wire.Header{Kind: kind, Node: node})); err != nil {
		st.Reset(link.CodeCanceled)
		return nil, err
	}
	return st, nil
}

// beat spreads the beats of the devices over the interval.
func (l *line) beat(ctx context.Context, conn link.Link, every time.Duration) error {
	step := max(every/time.Duration(len(l.devices)), time.Microsecond)
	for seq := uint64(1); ; seq++ {
		for _, d := range l.devices {
			if err := conn.SendDatagram(wire.EncodeDatagram(&wire.Beat{Node: d.id, Seq: seq})); err != nil {
				return fmt.Errorf("beat: %w", err)
			}
			select {
			case <-time.After(step - step/10 + rand.N(step/5+1)): // a tenth early to a tenth late
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// hurry gives a device that has something to tell to a teller. l.mu is held.
func (l *line) hurry(d *device) {
	if !d.busy && (len(d.queue) > 0 || d.full) {
		d.busy = true
		l.untold <- d // each device is in it once at most
	}
}

// tell sends batches, one device at a time. A device keeps its stream for one batch only, because a link has fewer streams than
// devices; that its other end is closed means that the next batch may come on another.
func (l *line) tell(ctx context.Context, conn link.Link) error {
	for {
		var d *device
		select {
		case d = <-l.untold:
		case <-ctx.Done():
			return nil
		}
		l.mu.Lock()
		b := d.batch()
		l.mu.Unlock()
		if b != nil {
			if err := l.exchange(ctx, conn, d, b); err != nil {
				return fmt.Errorf("tell statuses: %w", err)
			}
		}
		l.mu.Lock()
		if b != nil {
			d.acked(b, &l.fleet.count)
		}
		d.busy = false
		l.hurry(d)
		l.mu.Unlock()
	}
}

func (l *line) exchange(ctx context.Context, conn link.Link, d *device, b *wire.StatusBatch) error {
	st, err := open(ctx, conn, wire.KindStatus, d.id)
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // all is said
	var ack wire.StatusAck
	if err := errors.Join(wire.Write(st, b), wire.Read(st, &ack), st.CloseWrite()); err != nil {
		return err
	}
	if ack.Seq != b.Seq {
		return fmt.Errorf("batch %d was acknowledged as %d", b.Seq, ack.Seq)
	}
	if _, err := st.Read(make([]byte, 1)); err == nil {
		return errors.New("the region says more than its acknowledgement")
	}
	return nil
}

// finish completes what ran long enough.
func (l *line) finish(ctx context.Context) error {
	for {
		wait := time.Hour
		l.mu.Lock()
		now := time.Now().UnixNano()
		n := 0
		for n < len(l.due) && l.due[n].at <= now {
			l.due[n].device.finish(l.due[n].id, now)
			l.hurry(l.due[n].device)
			n++
		}
		if l.due = l.due[n:]; len(l.due) > 0 {
			wait = time.Duration(l.due[0].at - now)
		}
		l.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-l.wake:
		case <-ctx.Done():
			return nil
		}
	}
}
