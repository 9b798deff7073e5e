package quicnet

import (
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// A link whose datagrams travel beside its connection is quiet in QUIC's eyes for hours, so it is given up by a clock of our own, and
// with it all links whose peers told QUIC that they may be silent for longer than their protocol allows.
const (
	// ConnectionIdle is QUIC's idle time of such a link, and ConnectionKeepAlive how often the dialling side breaks the silence.
	ConnectionIdle      = 2 * time.Hour
	ConnectionKeepAlive = 50 * time.Minute
	// SilenceLooks is how often within a profile's Idle the links are looked through: silence is noticed up to an eighth late.
	SilenceLooks = 8
)

// silence is the shortest Idle of the protocols whose links are watched here; 0 if there are none.
func (o *Options) silence() (shortest time.Duration) {
	for _, protocol := range trust.Protocols() {
		if p := o.Profile(protocol); p.Beside && (shortest == 0 || p.Idle < shortest) {
			shortest = p.Idle
		}
	}
	return shortest
}

// watch gives up links of which nothing is heard, until the endpoint closes.
func (e *Endpoint) watch(idle time.Duration) {
	tick := time.NewTicker(idle / SilenceLooks)
	defer tick.Stop()
	var all []*quicLink
	for {
		select {
		case <-tick.C:
		case <-e.closing:
			return
		}
		e.mu.Lock()
		for l := range e.links {
			all = append(all, l)
		}
		e.mu.Unlock()
		for _, l := range all {
			if l.silentFor(time.Now()) >= e.options.Profile(l.protocol).Idle {
				l.closeWith(link.CodeSilent, "nothing was heard for too long")
			}
		}
		clear(all)
		all = all[:0]
	}
}

// silentFor is how long nothing has come from the peer, beside the connection or in it.
func (l *quicLink) silentFor(now time.Time) time.Duration {
	packets := l.conn.ConnectionStats().PacketsReceived
	s := l.side
	s.mu.Lock()
	defer s.mu.Unlock()
	if packets != s.packets {
		s.packets, s.heard = packets, now
	}
	return now.Sub(s.heard)
}
