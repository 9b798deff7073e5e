package reach

import (
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
)

// Times of a route.
const (
	PauseMin       = time.Second      // first pause after a failure; half of it to all of it is waited
	PauseMax       = time.Minute      // longest, and the pause after a refusal
	CrowdMin       = 2 * time.Second  // narrowest window of a device that found no room
	CrowdDoublings = 1                // of that window, at most
	StableAfter    = time.Minute      // a link that lasted so long earns a short pause
	DialTimeout    = 15 * time.Second // of an attempt without alternative
	FallbackAfter  = 6 * time.Second  // of an attempt with one: a handshake over a bad path takes three round trips
	ProbeMin       = 5 * time.Minute  // on a link over TLS, the first probe of UDP; half of it to all of it is waited
	ProbeMax       = time.Hour        // and the longest; a probe in vain costs some 6 KB
	// ShakyAfter is the age below which a QUIC link that fell silent counts against UDP: some paths let handshakes through
	// and nothing else.
	ShakyAfter = 3 * time.Minute
)

// Attempt is one thing to try.
type Attempt struct {
	Address   string // host:port
	Transport link.Transport
	Timeout   time.Duration
}

// Outcome is what an attempt or a link came to. The zero value is any failure that says nothing more.
type Outcome struct {
	NoAnswer bool        // nobody answered the attempt
	Silent   bool        // the link fell silent
	Lost     bool        // others lost their links too: the server stopped, forgot, or fell silent
	Busy     bool        // the server has no room now
	Final    bool        // the server refused: trying again soon will not help
	Spread   link.Spread // dictated by the server
	Redirect string      // host:port of the server to go to
}

// Route is the state of the decision.
type Route struct {
	configured []link.Server
	servers    []link.Server // those, and what was learnt

	at       int            // the server in turn
	tried    link.Transport // of the server in turn; empty: none yet
	redirect string
	pause    time.Duration
	dictated link.Spread // for the next pause
	onLoss   link.Spread // told beforehand, for links that many lose at once
	crowds   int         // how often there was no room, since the last link
	hurry    bool        // no pause before the next attempt
	failed   bool        // since the last link that was stable: the next failure doubles the pause

	filteredAt time.Time // of the newest evidence; zero: UDP works, or nothing is known
	probe      time.Duration
	linked     Attempt
	upAt       time.Time
}

// New makes a route over the servers of the configuration and those that were learnt in earlier life. The draw, from [0, 1),
// chooses the first: devices that boot together must not all begin with the same server.
func New(configured, learnt []link.Server, draw float64) *Route {
	r := &Route{configured: configured, pause: PauseMin, hurry: true, probe: ProbeMin}
	r.Learn(learnt)
	if n := len(r.servers); n > 0 {
		r.at = int(draw * float64(n))
	}
	return r
}

// Learn takes what a server said about where the region is. Configured servers stay: they are the operator's word.
func (r *Route) Learn(servers []link.Server) {
	r.servers = r.servers[:0:0]
	for _, from := range [][]link.Server{r.configured, servers} {
		for _, s := range from {
			if len(r.servers) < link.ServersMax {
				r.merge(s)
			}
		}
	}
	if r.at >= len(r.servers) {
		r.at = 0
	}
}

// merge adds a server, or to a known one the way that was not known.
func (r *Route) merge(s link.Server) {
	for i := range r.servers {
		have := &r.servers[i]
		if s.QUIC != "" && have.QUIC == s.QUIC || s.TLS != "" && have.TLS == s.TLS {
			if have.QUIC == "" {
				have.QUIC = s.QUIC
			}
			if have.TLS == "" {
				have.TLS = s.TLS
			}
			return
		}
	}
	r.servers = append(r.servers, s)
}

// Servers are those that are tried, in order.
func (r *Route) Servers() []link.Server { return r.servers }

// Filtered reports whether UDP is believed to be filtered.
func (r *Route) Filtered() bool { return !r.filteredAt.IsZero() }

// Blocked reports whether a link by this attempt goes over TCP because UDP does not get through, as far as is known once
// the attempt has come to a link.
func (r *Route) Blocked(a Attempt) bool {
	return a.Transport == link.TransportTLS && (r.tried == link.TransportQUIC || r.Filtered())
}

// Next says what to try next and how long to wait before. It reports false if there is no server.
func (r *Route) Next(now time.Time, draw float64) (a Attempt, wait time.Duration, ok bool) {
	if len(r.servers) == 0 && r.redirect == "" {
		return Attempt{}, 0, false
	}
	wait = r.wait(draw)
	s := r.turn()
	first, second := r.order(s, now)
	a = first
	if r.tried != "" && r.tried == first.Transport && second.Address != "" {
		a = second
	}
	if second.Address != "" && a == first {
		a.Timeout = FallbackAfter
	}
	return a, wait, true
}

// turn is the server in turn: the one that the last sent us to, or the next of the list.
func (r *Route) turn() link.Server {
	if r.redirect == "" {
		return r.servers[r.at]
	}
	for _, s := range r.servers {
		if s.QUIC == r.redirect || s.TLS == r.redirect {
			return s
		}
	}
	return link.Server{QUIC: r.redirect}
}

// order is the ways to a server, the better first. The second has no address where there is none.
func (r *Route) order(s link.Server, now time.Time) (first, second Attempt) {
	quic := Attempt{s.QUIC, link.TransportQUIC, DialTimeout}
	tls := Attempt{s.TLS, link.TransportTLS, DialTimeout}
	switch {
	case s.TLS == "":
		return quic, Attempt{}
	case s.QUIC == "":
		return tls, Attempt{}
	case r.Filtered() && now.Sub(r.filteredAt) < ProbeMax:
		return tls, quic
	default:
		return quic, tls
	}
}

func (r *Route) wait(draw float64) time.Duration {
	switch {
	case r.hurry:
		return 0
	case !r.dictated.IsZero():
		return r.dictated.At(draw)
	default:
		return r.pause/2 + time.Duration(draw*float64(r.pause/2))
	}
}

// Failed tells that an attempt did not come to a link.
func (r *Route) Failed(a Attempt, o Outcome, now time.Time) {
	s := r.turn()
	if o.Busy && o.Spread.IsZero() {
		o.Spread = r.crowd()
		r.crowds++
	}
	_, second := r.order(s, now)
	if a.Transport == link.TransportQUIC && o.NoAnswer && r.Filtered() {
		r.filteredAt = now
	}
	// A first attempt over UDP that nobody answers, and any over TCP that fails without the server's word, leave the other way.
	said := o.Final || !o.Spread.IsZero() || o.Redirect != ""
	if r.tried == "" && second.Address != "" && !said && (o.NoAnswer || a.Transport == link.TransportTLS) {
		r.tried, r.hurry = a.Transport, true
		return
	}
	r.over(o)
}

// crowd is the window in which a device comes back that found no room, and was not told when there is: the fleet's own, where
// the device knows it from an earlier link. It widens each time: a fleet that comes faster than it is let in spends the
// server's time on refusals.
func (r *Route) crowd() link.Spread {
	window := link.BusySpread
	if !r.onLoss.IsZero() {
		window = link.Spread{Max: max(r.onLoss.Max, CrowdMin)}
	}
	window.Max <<= min(r.crowds, CrowdDoublings)
	return window
}

// over goes on to the next server, after a pause.
func (r *Route) over(o Outcome) {
	r.tried, r.hurry, r.dictated = "", false, o.Spread.Clamp()
	if r.redirect == "" && len(r.servers) > 0 {
		r.at = (r.at + 1) % len(r.servers)
	}
	r.redirect = o.Redirect
	if r.failed {
		r.pause = min(2*r.pause, PauseMax)
	}
	r.failed = true
	if o.Final {
		r.pause = PauseMax
	}
}

// Up tells that an attempt came to a link over which the server has welcomed the device. The server says beforehand in which
// window devices come back that lose their links together.
func (r *Route) Up(a Attempt, onLoss link.Spread, now time.Time) {
	switch {
	case a.Transport == link.TransportTLS && r.tried == link.TransportQUIC: // the server lives, and UDP was not answered
		r.filteredAt = now
	case a.Transport == link.TransportQUIC && now.Sub(r.filteredAt) > ShakyAfter:
		r.filteredAt = time.Time{}
	}
	r.tried, r.redirect, r.linked, r.upAt, r.onLoss = "", "", a, now, onLoss.Clamp()
	r.crowds = 0
}

// Down tells that the link ended.
func (r *Route) Down(o Outcome, now time.Time) {
	lasted := now.Sub(r.upAt)
	if lasted > StableAfter {
		r.pause, r.failed = PauseMin, false
	}
	if o.Lost && o.Spread.IsZero() {
		o.Spread = r.onLoss
	}
	if r.linked.Transport == link.TransportQUIC {
		switch _, second := r.order(r.serving(), now); {
		case o.Silent && lasted < ShakyAfter && second.Address != "":
			r.filteredAt, r.probe = now, min(2*r.probe, ProbeMax)
		case lasted >= ShakyAfter:
			r.filteredAt, r.probe = time.Time{}, ProbeMin
		}
	}
	r.linked = Attempt{}
	r.over(o)
}

// serving is the server of the link.
func (r *Route) serving() link.Server {
	for _, s := range r.servers {
		if r.linked.Address != "" && (s.QUIC == r.linked.Address || s.TLS == r.linked.Address) {
			return s
		}
	}
	return link.Server{}
}

// Probe says, while the link goes over TLS, which attempt over UDP is worth making and when. It reports false where there is
// nothing to go back to.
func (r *Route) Probe(draw float64) (a Attempt, after time.Duration, ok bool) {
	s := r.serving()
	if r.linked.Transport != link.TransportTLS || s.QUIC == "" {
		return Attempt{}, 0, false
	}
	return Attempt{s.QUIC, link.TransportQUIC, DialTimeout}, r.probe/2 + time.Duration(draw*float64(r.probe/2)), true
}

// Probed tells what a probe came to. If UDP works, the device should end the link over TLS and go on with the probe's.
func (r *Route) Probed(works bool, now time.Time) {
	if works {
		r.filteredAt = time.Time{}
		return
	}
	r.filteredAt = now
	r.probe = min(2*r.probe, ProbeMax)
}
