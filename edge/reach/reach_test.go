package reach

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin-edge/dunlin/wire/link"
)

var (
	a    = link.Server{QUIC: "a:1", TLS: "a:443"}
	b    = link.Server{QUIC: "b:1"}
	now  = time.Unix(1_000_000, 0)
	none = Outcome{NoAnswer: true}
)

// next takes the next attempt with the longest pause.
func next(t *testing.T, r *Route, want Attempt, wait time.Duration) Attempt {
	t.Helper()
	got, after, ok := r.Next(now, 1)
	if !ok || got != want || after != wait {
		t.Fatalf("next is %+v after %s; want %+v after %s", got, after, want, wait)
	}
	return got
}

func quic(s link.Server, timeout time.Duration) Attempt {
	return Attempt{s.QUIC, link.TransportQUIC, timeout}
}

func tls(s link.Server, timeout time.Duration) Attempt {
	return Attempt{s.TLS, link.TransportTLS, timeout}
}

func TestUDPIsFiltered(t *testing.T) {
	r := New([]link.Server{a}, nil, 0)
	r.Failed(next(t, r, quic(a, FallbackAfter), 0), none, now)
	got := next(t, r, tls(a, DialTimeout), 0)
	if r.Filtered() {
		t.Error("filtered before TCP has answered: the server may be down")
	}
	r.Up(got, link.Spread{}, now)
	if !r.Filtered() {
		t.Error("TCP works and UDP does not, and it does not count as filtered")
	}
	for _, want := range []time.Duration{5, 10, 20, 40, 60, 60} {
		probe, after, ok := r.Probe(1)
		if !ok || probe != quic(a, DialTimeout) || after != want*time.Minute {
			t.Fatalf("probe %+v after %s; want after %d minutes", probe, after, want)
		}
		r.Probed(false, now)
	}
	// The link ends: UDP is known to be filtered, so TLS comes first, and UDP if that fails.
	r.Down(Outcome{}, now)
	r.Failed(next(t, r, tls(a, FallbackAfter), PauseMin), Outcome{}, now)
	r.Failed(next(t, r, quic(a, DialTimeout), 0), none, now)
	r.Up(next(t, r, tls(a, FallbackAfter), 2*PauseMin), link.Spread{}, now)
	r.Probed(true, now)
	if r.Filtered() {
		t.Error("a probe got through, and UDP counts as filtered")
	}
	r.Down(Outcome{}, now)
	next(t, r, quic(a, FallbackAfter), 4*PauseMin)
}

func TestBothWaysFail(t *testing.T) {
	r := New([]link.Server{a, b}, nil, 0)
	pause := time.Duration(0)
	for round := range 12 {
		r.Failed(next(t, r, quic(a, FallbackAfter), pause), none, now)
		r.Failed(next(t, r, tls(a, DialTimeout), 0), none, now)
		if pause = min(max(2*pause, PauseMin), PauseMax); round == 0 {
			pause = PauseMin
		}
		r.Failed(next(t, r, quic(b, DialTimeout), pause), none, now)
		pause = min(2*pause, PauseMax)
	}
	if pause != PauseMax || r.Filtered() {
		t.Errorf("pause %s, filtered %v; nobody answers, by whatever transport", pause, r.Filtered())
	}
}

func TestServersDictate(t *testing.T) {
	window := link.Spread{Min: 10 * time.Second, Max: 70 * time.Second}
	loss := link.Spread{Max: 30 * time.Second}
	r := New([]link.Server{a}, nil, 0)
	r.Up(next(t, r, quic(a, FallbackAfter), 0), link.Spread{}, now)
	r.Down(Outcome{Spread: window}, now)
	if got, wait, _ := r.Next(now, 0.5); wait != 40*time.Second {
		t.Errorf("%+v after %s; want the middle of %v", got, wait, window)
	}
	// Busy is an answer: TCP leads to the same server, so it is no way around it.
	r.Failed(quic(a, FallbackAfter), Outcome{Spread: window}, now)
	r.Up(next(t, r, quic(a, FallbackAfter), window.Max), loss, now)
	r.Down(Outcome{Lost: true}, now)
	r.Failed(next(t, r, quic(a, FallbackAfter), loss.Max), Outcome{Final: true}, now)
	next(t, r, quic(a, FallbackAfter), PauseMax)
	// Found no room, without a word of the server: the window of the fleet, or one for any.
	r.Failed(quic(a, FallbackAfter), Outcome{Busy: true}, now)
	next(t, r, quic(a, FallbackAfter), loss.Max)
	stranger := New([]link.Server{a}, nil, 0)
	stranger.Failed(quic(a, FallbackAfter), Outcome{Busy: true}, now)
	next(t, stranger, quic(a, FallbackAfter), link.BusySpread.Max)
	for _, want := range []time.Duration{2, 2, 2} { // the fleet is larger than was thought
		stranger.Failed(quic(a, FallbackAfter), Outcome{Busy: true}, now)
		next(t, stranger, quic(a, FallbackAfter), want*link.BusySpread.Max)
	}
	r.Down(Outcome{Spread: link.Spread{Max: 1000 * time.Hour}}, now)
	next(t, r, quic(a, FallbackAfter), link.SpreadMax)
}

func TestAPathThatLetsHandshakesThroughOnly(t *testing.T) {
	r := New([]link.Server{a}, nil, 0)
	start := now
	defer func() { now = start }()
	r.Up(next(t, r, quic(a, FallbackAfter), 0), link.Spread{}, now)
	now = now.Add(80 * time.Second)
	r.Down(Outcome{Silent: true}, now)
	r.Up(next(t, r, tls(a, FallbackAfter), PauseMin), link.Spread{}, now)
	r.Probed(true, now)
	r.Down(Outcome{}, now)
	r.Up(quic(a, DialTimeout), link.Spread{}, now)
	now = now.Add(80 * time.Second)
	r.Down(Outcome{Silent: true}, now)
	r.Up(tls(a, FallbackAfter), link.Spread{}, now)
	if _, after, _ := r.Probe(1); after != 4*ProbeMin {
		t.Errorf("the next probe comes after %s; want it rarer each time", after)
	}
	r.Down(Outcome{}, now)
	r.Up(quic(a, DialTimeout), link.Spread{}, now)
	now = now.Add(time.Hour)
	r.Down(Outcome{Silent: true}, now)
	next(t, r, quic(a, FallbackAfter), PauseMin) // it worked for an hour
}

func TestRedirect(t *testing.T) {
	r := New([]link.Server{b, a}, nil, 0)
	r.Failed(next(t, r, quic(b, DialTimeout), 0), Outcome{Redirect: a.QUIC}, now)
	r.Failed(next(t, r, quic(a, FallbackAfter), PauseMin), none, now)
	r.Failed(next(t, r, tls(a, DialTimeout), 0), Outcome{Redirect: "c:1"}, now)
	r.Failed(next(t, r, Attempt{"c:1", link.TransportQUIC, DialTimeout}, 2*PauseMin), none, now)
	next(t, r, quic(a, FallbackAfter), 4*PauseMin)
}

func TestLearn(t *testing.T) {
	r := New([]link.Server{{QUIC: "a:1"}}, []link.Server{b, a}, 0)
	if got := r.Servers(); len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("servers are %+v", got)
	}
	r.Learn(nil)
	if got := r.Servers(); len(got) != 1 || got[0].QUIC != "a:1" || got[0].TLS != "" {
		t.Errorf("after a server that knows of none: %+v", got)
	}
	if _, _, ok := New(nil, nil, 0).Next(now, 0); ok {
		t.Error("an attempt without a server")
	}
}

// Whatever happens: attempts name known places, pauses keep their bounds, and no failure by both ways is followed at once.
func TestAnyCourse(t *testing.T) {
	outcome := rapid.Custom(func(t *rapid.T) Outcome {
		o := Outcome{NoAnswer: rapid.Bool().Draw(t, "no answer"), Silent: rapid.Bool().Draw(t, "silent"),
			Lost: rapid.Bool().Draw(t, "lost"), Busy: rapid.Bool().Draw(t, "busy"), Final: rapid.Bool().Draw(t, "final")}
		if rapid.Bool().Draw(t, "dictates") {
			o.Spread = link.Spread{Min: time.Duration(rapid.Int64().Draw(t, "min")), Max: time.Duration(rapid.Int64().Draw(t, "max"))}.Clamp()
		}
		if rapid.IntRange(0, 5).Draw(t, "redirects") == 0 {
			o.Redirect = rapid.SampledFrom([]string{"a:1", "c:1", "x:9"}).Draw(t, "to")
		}
		return o
	})
	rapid.Check(t, func(t *rapid.T) {
		all := []link.Server{a, b, {TLS: "c:443"}, {QUIC: "d:1", TLS: "d:2"}}
		r := New(rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, 4, func(s link.Server) link.Server { return s }).Draw(t, "configured"), nil,
			rapid.Float64Range(0, 0.999).Draw(t, "first"))
		at, atOnce, first := now, 0, true
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			draw := rapid.Float64Range(0, 0.999).Draw(t, "draw")
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "later")))
			got, wait, ok := r.Next(at, draw)
			if !ok || got.Address == "" || got.Timeout <= 0 || got.Transport == "" {
				t.Fatalf("an attempt without a place: %+v", got)
			}
			if wait < 0 || wait > link.SpreadMax {
				t.Fatalf("a pause of %s", wait)
			}
			if wait > 0 || first {
				atOnce, first = 0, false
			} else if atOnce++; atOnce > 1 && r.dictated.IsZero() {
				t.Fatalf("%d attempts at once after another", atOnce)
			}
			if rapid.Bool().Draw(t, "works") {
				r.Up(got, link.Spread{}, at)
				if probe, after, ok := r.Probe(draw); ok != (got.Transport == link.TransportTLS && r.serving().QUIC != "") || ok && (probe.Transport != link.TransportQUIC || after < ProbeMin/2 || after > ProbeMax) {
					t.Fatalf("probe %+v after %s, %v", probe, after, ok)
				}
				if rapid.Bool().Draw(t, "probed") {
					r.Probed(rapid.Bool().Draw(t, "through"), at)
				}
				at = at.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "lasted")))
				r.Down(outcome.Draw(t, "end"), at)
			} else {
				r.Failed(got, outcome.Draw(t, "failure"), at)
			}
		}
	})
}
