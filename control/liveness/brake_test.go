package liveness

import (
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/fleet"
)

// site is a region of n devices that beat until each has its end.
type site struct {
	tr     *Tracker
	ends   map[int]int64 // second of the last beat; 0: never
	n      int
	lost   map[int]int64
	on     bool
	since  int64
	forget int64
	said   []string
}

func newSite(n int, dc func(i int) string) *site {
	s := &site{tr: New(Config{}), ends: map[int]int64{}, n: n, lost: map[int]int64{}}
	for i := range n {
		s.tr.Put(Row{ID: uid(i), Link: fleet.LinkOnline, Site: dc(i)}, 0)
		s.tr.LinkUp(uid(i), 0)
	}
	return s
}

// run plays seconds; node i beats at i%30 of each 30 s.
func (s *site) run(from, to int64) {
	for sec := from; sec < to; sec++ {
		now := sec * second
		for i := range s.n {
			if end, ended := s.ends[i]; sec%30 == int64(i%30) && (!ended || sec <= end) {
				s.tr.Beat(uid(i), now)
			}
		}
		if c := s.tr.BrakeDue(now); c != nil {
			s.apply(c, now)
		}
		changes := s.tr.Due(now, 1000)
		for _, c := range changes {
			for i := range s.n {
				if uid(i) == c.Node && c.Link == fleet.LinkLost {
					s.lost[i] = sec
				}
			}
		}
		s.tr.Done(changes, true, now)
	}
}

func (s *site) apply(c *command.BrakeSet, now int64) {
	s.said = append(s.said, c.Reason)
	s.on, s.since = c.On, now
	if c.Forget {
		s.forget = now
	}
	s.tr.SetBrake(s.on, s.since, s.forget, now)
}

func one(int) string { return "dc1" }

func TestSingleLossesAreNotHeld(t *testing.T) {
	s := newSite(20, one)
	s.ends[3], s.ends[4] = 30, 60
	s.run(0, 300)
	if len(s.lost) != 2 || s.on || len(s.said) != 0 {
		t.Fatalf("lost %v, brake %t %q", s.lost, s.on, s.said)
	}
}

func TestASmallRegionMayLoseTwo(t *testing.T) {
	s := newSite(3, one)
	s.ends[0], s.ends[1] = 30, 30
	s.run(0, 300)
	if len(s.lost) != 2 || s.on {
		t.Fatalf("lost %v, brake %t", s.lost, s.on)
	}
}

func TestManyAreHeldAndReleasedWhenTheyAreBack(t *testing.T) {
	s := newSite(30, one)
	for i := range 20 {
		s.ends[i] = 60
	}
	s.run(0, 900)
	if len(s.lost) != 0 || !s.on || !strings.Contains(s.said[0], "of 30 devices of the region") {
		t.Fatalf("lost %v, brake %t %q", s.lost, s.on, s.said)
	}
	clear(s.ends)
	s.run(900, 1000)
	if s.on || len(s.lost) != 0 || len(s.said) != 2 {
		t.Fatalf("lost %v, brake %t %q", s.lost, s.on, s.said)
	}
	s.ends[5] = 1000 // and a single loss is one again
	s.run(1000, 1200)
	if len(s.lost) != 1 || s.on {
		t.Fatalf("lost %v, brake %t", s.lost, s.on)
	}
}

func TestOneSiteDrawsTheBrakeOfAll(t *testing.T) {
	s := newSite(60, func(i int) string { return []string{"shop", "depot"}[min(1, i/6)] })
	for i := range 6 {
		s.ends[i] = 60 // 10 % of the region, all of the shop
	}
	s.run(0, 400)
	if !s.on || len(s.lost) > 1 || !strings.Contains(s.said[0], "datacenter shop") {
		t.Fatalf("lost %v, brake %t %q", s.lost, s.on, s.said)
	}
}

func TestOperatorsReleaseIsNotUndone(t *testing.T) {
	s := newSite(30, one)
	for i := range 20 {
		s.ends[i] = 60
	}
	s.run(0, 300)
	s.apply(&command.BrakeSet{Forget: true}, 300*second)
	s.run(300, 400)
	if len(s.lost) != 20 || s.on {
		t.Fatalf("lost %d, brake %t %q", len(s.lost), s.on, s.said)
	}
}

// TestBrakeOutlivesTheLeader: a new leader has heard nobody, and knows of the
// brake from the region alone.
func TestBrakeOutlivesTheLeader(t *testing.T) {
	s := newSite(30, one)
	s.tr = New(Config{})
	s.tr.SetBrake(true, 0, 0, 0)
	s.on = true
	for i := range 30 {
		s.tr.Put(Row{ID: uid(i), Link: fleet.LinkUnreachable, Site: "dc1", AwaySince: 1}, 0)
		s.ends[i] = -1
	}
	s.run(0, 600)
	if len(s.lost) != 0 || !s.on {
		t.Fatalf("lost %v, brake %t", s.lost, s.on)
	}
}

func TestGraceGrowsWithTheRegion(t *testing.T) {
	for _, tc := range []struct {
		rate float64
		want int64 // s, beyond LostMin
	}{{0, 10}, {HandshakesPerSecond, 10}, {10 * HandshakesPerSecond, 10}, {HandshakesPerSecond / 2, 20}, {HandshakesPerSecond / 4.9, 49}} {
		tr := New(Config{})
		for i := range 10 * HandshakesPerSecond {
			tr.Put(Row{ID: uid(i), Link: fleet.LinkOnline}, 0)
		}
		tr.SetRate(tc.rate)
		tr.LinkUp(uid(1), 0)
		tr.LinkDown(uid(1), "cut", 0)
		lost := 0
		for sec := range 62 + tc.want + 15 {
			due := tr.Due(sec*second, 1<<20)
			tr.Done(due, true, sec*second)
			for _, c := range due {
				if c.Link != fleet.LinkLost || c.Node == uid(1) {
					continue
				}
				if lost++; sec < 60+tc.want {
					t.Fatalf("rate %g: at %d s a node is given up that had no time to link", tc.rate, sec)
				}
			}
		}
		if lost != 10*HandshakesPerSecond-1 {
			t.Errorf("rate %g: %d nodes are given up in the end", tc.rate, lost)
		}
	}
}
