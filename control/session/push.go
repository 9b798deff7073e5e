package session

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/control/desired"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// pusher keeps one device's desired state equal to the region's: on each change
// of its allocations it sends the difference to what the device holds. It has a
// goroutine only while it has something to tell; 10,000 that wait for nothing
// took 100 MB.
type pusher struct {
	session *session
	ctx     context.Context // of the link
	node    fleet.UUID
	key     state.NodeKey

	mu      sync.Mutex
	running bool
	again   bool // something changed while it ran
	barred  bool // the device is in quarantine: a change of its row may end that
	over    bool

	// Owned by the goroutine that runs.
	st   link.Stream  // nil until the first pass
	head wire.Message // of the stream, until it is said together with the first difference; nil then
	held wire.Generation
	told bool // over this link
}

// startPush makes the node's pusher and lets it run for the first time.
func (k *session) startPush(ctx context.Context, node fleet.UUID, held wire.Generation) error {
	row := k.Store.View().NodeByID(node)
	if row == nil {
		return fmt.Errorf("node %s is not in the region", node)
	}
	p := &pusher{session: k, ctx: ctx, node: node, key: row.Key, held: held}
	k.mu.Lock()
	if k.ended {
		k.mu.Unlock()
		return nil
	}
	k.pushers = append(k.pushers, p)
	k.mu.Unlock()
	k.Sessions.mu.Lock()
	k.Sessions.pushers[p.key] = p
	k.Sessions.mu.Unlock()
	p.poke()
	return nil
}

// stopPushing lets no pusher of the link run any more; one that runs ends with
// the link.
func (k *session) stopPushing() {
	k.mu.Lock()
	k.ended = true
	all := k.pushers
	k.mu.Unlock()
	for _, p := range all {
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
		k.Sessions.mu.Lock()
		if k.Sessions.pushers[p.key] == p {
			delete(k.Sessions.pushers, p.key)
		}
		k.Sessions.mu.Unlock()
	}
}

// poke makes it look, now or when it has ended what it does.
func (p *pusher) poke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over:
	case p.running:
		p.again = true
	default:
		p.running = true
		p.session.wg.Go(p.run) // its link waits for this only once it is over
	}
}

func (p *pusher) run() {
	for {
		err := p.pass()
		if err != nil && p.ctx.Err() == nil {
			p.session.Logger.Warn("push to device ended", "node", p.node, "error", err)
			_ = p.session.link.Close(link.CodeInternal, "what this region wants could not be told: "+err.Error())
		}
		p.mu.Lock()
		p.over = p.over || err != nil
		if !p.again || p.over {
			p.running = false
			p.mu.Unlock()
			return
		}
		p.again = false
		p.mu.Unlock()
	}
}

// pass sends what the device lacks of the newest view.
func (p *pusher) pass() error {
	if p.st == nil {
		st, err := p.session.open(p.ctx, p.node, wire.KindDesired)
		if err != nil {
			return err
		}
		p.st, p.head = st, &wire.Header{Kind: wire.KindDesired, Node: p.node} // it ends with the link
	}
	if p.quarantined() {
		return nil
	}
	// The first message is sent even when it is empty: it tells the device
	// that nothing changed, and confirms the generation it holds.
	d := desired.Difference(p.session.Store.View(), p.key, p.held)
	for i, m := range d {
		if p.told && i == 0 && len(d) == 1 && len(m.Allocs) == 0 && !m.Full {
			break
		}
		if err := tell(p.st, p.head, m); err != nil {
			return err
		}
		p.held, p.told, p.head = m.Gen, true, nil
	}
	return nil
}

// quarantined says whether the node may not be told what to run. It then keeps
// what it has, and a change of its row makes the pusher look again.
func (p *pusher) quarantined() bool {
	p.mu.Lock()
	p.barred = true // before the look: what changes after it must not be missed
	p.mu.Unlock()
	if n := p.session.Store.View().Node(p.key); n != nil && !n.Identity.Trusted() {
		return true
	}
	p.mu.Lock()
	p.barred = false
	p.mu.Unlock()
	return false
}

// concerns says whether a change of the node's row does anything to it.
func (p *pusher) concerns() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.barred
}

// pokePushers wakes the pushers that have something to look at, until ctx ends.
func (s *Sessions) pokePushers(ctx context.Context, feed *state.Feed) {
	for {
		select {
		case <-feed.Wake():
		case <-ctx.Done():
			return
		}
		rows, all := feed.Take()
		for _, p := range s.touched(rows, all) {
			p.poke()
		}
	}
}

// touched are the pushers that changes concern.
func (s *Sessions) touched(rows []state.Topic, all bool) (out []*pusher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// When the epoch is raised everything is told anew.
	if all || slices.Contains(rows, state.Topic{Table: state.TableRegion}) {
		return slices.Collect(maps.Values(s.pushers))
	}
	for _, topic := range rows {
		p := s.pushers[state.NodeKey(topic.Key)]
		if p != nil && (topic.Table == state.TableNodeAllocs || p.concerns()) {
			out = append(out, p)
		}
	}
	return out
}

// tell sends one message, after the head that is not said yet, and waits until the device has it on disk.
func tell(st link.Stream, head wire.Message, m *wire.Desired) error {
	messages := []wire.Message{head, m}
	if head == nil {
		messages = messages[1:]
	}
	b, err := frames(messages...)
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
