package region

import (
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/desired"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/wire"
)

type stream uint8

// Streams keep their order, and only their own. Beats are datagrams.
const (
	streamRegister stream = iota
	streamDesired
	streamStatus
	streamBeat
	streamCount
)

// link is one connection of a device, and the server's session on it.
type link struct {
	m        *machine
	srv      *server
	srvLife  int
	open     bool // what is sent may arrive
	welcomed bool // the device has taken the link up
	early    []func()
	lastOut  [streamCount]time.Time // device to server
	lastIn   [streamCount]time.Time

	// The server's session.
	entered  bool
	left     bool
	node     state.NodeKey
	held     wire.Generation
	first    bool
	messages []*wire.Desired
	awaiting bool
	changed  <-chan struct{}
	raised   <-chan struct{}
}

// roundTrip sends a message through its codec, so that the ends share nothing.
func roundTrip[M wire.Message](s *sim, m, into M) M {
	b := wire.EncodeDatagram(m)
	if err := wire.Decode(b, into); err != nil {
		s.object("a message does not decode: %v", err)
	}
	return into
}

func (l *link) delay() time.Duration {
	if l.m.s.trouble(30) {
		return l.m.s.between(100*time.Millisecond, 3*time.Second)
	}
	return l.m.s.between(time.Millisecond, 40*time.Millisecond)
}

func (l *link) arrival(last *time.Time) time.Time {
	at := l.m.s.now.Add(l.delay())
	if at.Before(*last) {
		at = *last
	}
	*last = at
	return at
}

// toServer sends; what is under way when the link is cut is lost.
func (l *link) toServer(st stream, deliver func(*link)) {
	if l == nil || !l.open {
		return
	}
	l.m.s.at(l.arrival(&l.lastOut[st]), "to server", func() {
		if l.open && l.srv.up && l.srv.life == l.srvLife {
			deliver(l)
		}
	})
}

// toDevice sends. What overtakes the welcome waits for it, as the agent opens a
// link's streams only when it has taken the link up.
func (l *link) toDevice(st stream, deliver func()) {
	if !l.open {
		return
	}
	l.m.s.at(l.arrival(&l.lastIn[st]), "to device", func() {
		switch {
		case !l.open || l.m.link != l || !l.m.agentUp:
		case !l.welcomed && st != streamRegister:
			l.early = append(l.early, deliver)
		default:
			deliver()
		}
	})
}

// end cuts the link. Each side hears of it in its own time.
func (l *link) end() {
	if !l.open {
		return
	}
	l.open = false
	s := l.m.s
	s.after(s.between(0, 4*time.Second), "device hears the end", l.deviceHears)
	s.after(s.between(0, 4*time.Second), "server hears the end", l.serverHears)
}

func (l *link) deviceHears() {
	if l.m.link != l {
		return
	}
	l.m.link = nil
	if l.welcomed {
		l.m.step(device.LinkDown{})
	}
	l.m.dialSoon()
}

func (l *link) serverHears() {
	if l.left || !l.entered || !l.srv.up || l.srv.life != l.srvLife {
		return
	}
	l.left = true
	if l.srv.sessions[l.m.n] == l {
		l.srv.sessions[l.m.n] = nil
		l.srv.linkDown(l.m.id)
	}
}

// hangUp is the device's own end of a link.
func (m *machine) hangUp(why string) {
	l := m.link
	m.later(0, "hang up", func() {
		if m.link == l && l != nil {
			m.note("hangs up: %s", why)
			l.end()
			l.deviceHears()
		}
	})
}

func (m *machine) dialSoon() {
	if m.dialing || m.link != nil || !m.agentUp {
		return
	}
	m.dialing = true
	m.later(m.s.between(m.pause/2, m.pause), "dial", m.dial)
	m.pause = min(2*m.pause, 8*time.Second)
}

func (m *machine) dial() {
	m.dialing = false
	if m.link != nil {
		return
	}
	r := m.core.Register()
	srv := m.s.server
	if m.strayed && !r.RegionID.IsZero() { // a device that belongs to nobody would stay there
		srv = m.s.other
	}
	if m.cut || !srv.up {
		m.dialSoon()
		return
	}
	l := &link{m: m, srv: srv, srvLife: srv.life, open: true}
	m.link = l
	srv.links = append(srv.links, l)
	r.Spec = m.spec
	msg := roundTrip(m.s, &r, &wire.Register{})
	l.toServer(streamRegister, func(l *link) { l.register(msg) })
	m.later(10*time.Second, "no welcome", func() {
		if m.link == l && !l.welcomed {
			m.hangUp("no welcome")
		}
	})
}

// register is the server's side of a device's first words.
func (l *link) register(msg *wire.Register) {
	v := l.srv.store.View()
	if region := v.Region(); !msg.RegionID.IsZero() && msg.RegionID != region.ID {
		if l.srv == l.m.s.server {
			l.m.s.object("device %d obeys region %s", l.m.n, msg.RegionID)
		}
		l.toDevice(streamRegister, func() { l.m.hangUp("another region's server refuses it") })
		return
	}
	if _, beyond := desired.Base(v, msg); beyond && l.m.s.opts.Bug != BugForgetEpoch {
		raise := command.EpochRaise{Epoch: v.Region().Epoch, Node: l.m.id, Held: msg.Held, Mark: msg.Mark, At: l.m.s.now.UnixNano()}
		l.srv.propose(raise, func(_ uint64, result any, err error) {
			if err != nil || !l.open || l.srvLife != l.srv.life {
				l.end()
				return
			}
			l.m.note("its region was taken back: %+v", result)
			l.store(msg)
		})
		return
	}
	l.store(msg)
}

// store commits what the device reports of itself and begins the session.
func (l *link) store(msg *wire.Register) {
	// As the device is now: what changed since it wrote would follow on its stream of facts.
	cmd := command.NodeRegister{ID: l.m.id, Spec: l.m.spec, Addr: "10.0.0.1:4647", At: l.m.s.now.UnixNano(), Seed: l.m.s.seed32()}
	l.srv.propose(cmd, func(_ uint64, _ any, err error) {
		if err != nil || !l.open || l.srvLife != l.srv.life {
			l.end()
			return
		}
		l.enter(msg)
	})
}

func (l *link) enter(msg *wire.Register) {
	view := l.srv.store.View()
	held, _ := desired.Base(view, msg)
	if l.m.s.opts.Bug == BugForgetEpoch {
		held = msg.Held
	}
	if old := l.srv.sessions[l.m.n]; old != nil {
		old.left = true
		old.end()
	}
	l.srv.sessions[l.m.n] = l
	l.entered, l.first, l.held = true, true, held
	l.node = view.NodeByID(l.m.id).Key
	region := view.Region()
	if l.m.s.opts.Bug == BugWrongBase {
		l.held = wire.Generation{Epoch: region.Epoch, N: view.Index()}
	}
	w := &wire.Welcome{RegionID: region.ID, Epoch: region.Epoch, ServerTime: l.m.s.now.UnixNano(), BeatEvery: int64(beatEvery), ServerName: "sim"}
	w = roundTrip(l.m.s, w, &wire.Welcome{})
	l.toDevice(streamRegister, func() { l.welcome(w) })
	l.srv.linkUp(l.m.id)
	l.push()
}

func (l *link) welcome(w *wire.Welcome) {
	l.welcomed = true
	l.m.pause = 500 * time.Millisecond
	l.m.note("linked")
	l.m.step(device.LinkUp{Welcome: w})
	l.beat()
	for _, deliver := range l.early {
		if l.m.link == l && l.m.agentUp {
			deliver()
		}
	}
	l.early = nil
}

func (l *link) beat() {
	if !l.open || l.m.link != l {
		return
	}
	id := l.m.id
	if !l.m.s.trouble(100) {
		l.toServer(streamBeat, func(l *link) {
			if l.entered {
				l.srv.beat(id)
			}
		})
	}
	l.m.later(beatEvery+l.m.s.between(-beatEvery/10, beatEvery/10), "beat", l.beat)
}

// push sends the next part of the difference, or computes a new one.
func (l *link) push() {
	if l.awaiting || l.left || !l.open || !l.srv.up || l.srvLife != l.srv.life {
		return
	}
	if len(l.messages) == 0 {
		l.changed = l.srv.store.Watch(state.Topic{Table: state.TableNodeAllocs, Key: uint64(l.node)})
		l.raised = l.srv.store.Watch(state.Topic{Table: state.TableRegion})
		diff := desired.Difference(l.srv.store.View(), l.node, l.held)
		if !l.first && len(diff) == 1 && len(diff[0].Allocs) == 0 && !diff[0].Full {
			return
		}
		l.first, l.messages = false, diff
	}
	msg := roundTrip(l.m.s, l.messages[0], &wire.Desired{})
	l.awaiting = true
	l.toDevice(streamDesired, func() { l.m.step(device.DesiredReceived{Message: msg}) })
}

func (l *link) desiredAcked(gen wire.Generation) {
	if !l.awaiting || gen != l.messages[0].Gen {
		l.m.s.object("device %d acknowledged %s, which was not sent", l.m.n, gen)
	}
	l.held, l.awaiting, l.messages = gen, false, l.messages[1:]
	if len(l.messages) > 0 {
		l.push()
		return
	}
	l.pushIfChanged()
}

// pushIfChanged reacts to the watch, as the session's loop does.
func (l *link) pushIfChanged() {
	if l.awaiting || l.changed == nil {
		return
	}
	select {
	case <-l.changed:
	case <-l.raised:
	default:
		return
	}
	l.changed = nil
	l.m.s.after(l.m.s.between(0, 2*time.Millisecond), "push", l.push)
}

// status takes a batch in; it is acknowledged once committed.
func (l *link) status(b *wire.StatusBatch) {
	ack := func() { l.toDevice(streamStatus, func() { l.statusAcked(b) }) }
	if row := l.srv.store.View().Node(l.node); b.TellsOrphans && row.TellsNew(b.Orphans) {
		l.srv.propose(command.NodeOrphans{Node: l.m.id, Orphans: b.Orphans, At: l.m.s.now.UnixNano()}, func(_ uint64, _ any, err error) {
			if err != nil {
				l.end()
				return
			}
			b.TellsOrphans = false
			l.status(b)
		})
		return
	}
	if len(b.Allocs) == 0 {
		ack()
		return
	}
	if l.m.s.opts.Bug == BugStatusDropped && l.m.s.chance(30) {
		ack()
		return
	}
	cmd := command.Statuses{
		Nodes: []command.NodeStatuses{{Node: l.m.id, Allocs: b.Allocs}}, At: l.m.s.now.UnixNano(), Seed: l.m.s.seed32(),
	}
	l.srv.propose(cmd, func(_ uint64, _ any, err error) {
		if err != nil {
			l.m.note("its batch is not committed: %v", err)
			l.end()
			return
		}
		ack()
	})
}

func (l *link) statusAcked(b *wire.StatusBatch) {
	l.m.s.checks.statusAcked(l.m, b)
	l.m.step(device.StatusAcked{Seq: b.Seq})
}
