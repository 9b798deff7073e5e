package liveness

import (
	"fmt"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

const second = int64(time.Second)

func uid(n int) fleet.UUID {
	return fleet.MintUUID([16]byte{15: byte(n), 14: byte(n >> 8)})
}

func TestStory(t *testing.T) {
	id := uid(1)
	lost := (Config{}.withDefaults().lostAfter(id) + second - 1) / second
	if lost < 60 || lost > 75 {
		t.Fatalf("lost after %d s", lost)
	}
	type do func(tr *Tracker, now int64)
	up := func(tr *Tracker, now int64) { tr.LinkUp(id, now) }
	beat := func(tr *Tracker, now int64) { tr.Beat(id, now) }
	down := func(tr *Tracker, now int64) { tr.LinkDown(id, "no answer", now) }
	registers := func(tr *Tracker, now int64) { tr.Put(Row{ID: id, Link: fleet.LinkOnline}, now) }
	for name, c := range map[string]struct {
		stored fleet.LinkState
		at     map[int64]do
		want   string
	}{
		"beats in time":        {"online", map[int64]do{0: up, 30: beat, 60: beat, 90: beat, 120: beat, 150: beat, 180: beat}, "[]"},
		"falls silent":         {"online", map[int64]do{0: up, 30: beat}, fmt.Sprintf("[75 late %d lost]", 30+lost)},
		"late and back":        {"online", map[int64]do{0: up, 50: beat, 80: beat, 110: beat, 140: beat, 170: beat, 199: beat}, "[45 late 50 online]"},
		"link ends":            {"online", map[int64]do{0: up, 20: down}, fmt.Sprintf("[20 unreachable %d lost]", lost)},
		"relinks":              {"online", map[int64]do{0: up, 20: down, 40: up, 70: beat, 100: beat, 130: beat, 160: beat, 190: beat}, "[20 unreachable 40 online]"},
		"never seen by leader": {"online", nil, fmt.Sprintf("[45 unreachable %d lost]", lost)},
		"was unreachable":      {"unreachable", nil, fmt.Sprintf("[%d lost]", lost)},
		"was lost":             {"lost", nil, "[]"},
		"lost and back":        {"lost", map[int64]do{100: registers, 101: up, 130: beat, 160: beat, 190: beat}, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := New(Config{})
			tr.Put(Row{ID: id, Link: c.stored}, 0)
			got := []string{}
			for s := range int64(200) {
				if f := c.at[s]; f != nil {
					f(tr, s*second)
				}
				changes := tr.Due(s*second, 10)
				for _, ch := range changes {
					got = append(got, fmt.Sprintf("%d %s", s, ch.Link))
				}
				tr.Done(changes, true, s*second)
			}
			if fmt.Sprint(got) != c.want {
				t.Fatalf("got %v, want %s", got, c.want)
			}
		})
	}
}

func TestRefusedChangeComesAgainAndProposedDoesNot(t *testing.T) {
	tr := New(Config{})
	tr.Put(Row{ID: uid(1), Link: fleet.LinkLost}, 0)
	tr.LinkUp(uid(1), 0)
	first := tr.Due(0, 10)
	if len(first) != 1 || len(tr.Due(0, 10)) != 0 {
		t.Fatalf("%+v, or proposed twice", first)
	}
	tr.Done(first, false, 0)
	if again := tr.Due(0, 10); len(again) != 1 {
		t.Fatal("the refused change is forgotten")
	}
}

// The tracker agrees at any time with a model that looks at every node anew.
func TestAgainstModel(t *testing.T) {
	type model struct {
		linked, down bool
		seen         int64
		stored       fleet.LinkState
	}
	rapid.Check(t, func(rt *rapid.T) {
		cfg := Config{MaxLost: 100}.withDefaults() // of the brake its own test speaks
		tr, now := New(cfg), int64(0)
		nodes := map[int]*model{}
		for i := range 5 {
			link := rapid.SampledFrom([]fleet.LinkState{fleet.LinkOnline, fleet.LinkUnreachable, fleet.LinkLost}).Draw(rt, "link")
			nodes[i] = &model{stored: link}
			tr.Put(Row{ID: uid(i), Link: link}, 0)
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			i := rapid.IntRange(0, 4).Draw(rt, "node")
			m := nodes[i]
			switch rapid.IntRange(0, 3).Draw(rt, "op") {
			case 0:
				tr.LinkUp(uid(i), now)
				m.linked, m.down, m.seen = true, false, now
			case 1:
				tr.Beat(uid(i), now)
				m.linked, m.down, m.seen = true, false, now
			case 2:
				tr.LinkDown(uid(i), "", now)
				m.linked, m.down = false, true
			case 3:
				now += int64(rapid.IntRange(1, 50).Draw(rt, "seconds")) * second
			}
			changes := tr.Due(now, 100)
			tr.Done(changes, true, now)
			for _, c := range changes {
				for i := range nodes {
					if uid(i) == c.Node {
						nodes[i].stored = c.Link
					}
				}
			}
			if at, ok := tr.Next(); ok && at <= now {
				rt.Fatal("something is due that Due did not give")
			}
			for i, m := range nodes {
				silent := now - m.seen
				var want fleet.LinkState
				switch {
				case silent >= cfg.lostAfter(uid(i)):
					want = fleet.LinkLost
				case m.linked && silent >= 45*second:
					want = fleet.LinkLate
				case m.linked:
					want = fleet.LinkOnline
				case m.stored == fleet.LinkLost:
					want = fleet.LinkLost
				case m.down || silent >= 45*second:
					want = fleet.LinkUnreachable
				default:
					want = m.stored
				}
				if m.stored != want {
					rt.Fatalf("node %d is %s, should be %s", i, m.stored, want)
				}
			}
		}
	})
}

func BenchmarkBeat10k(b *testing.B) {
	tr := New(Config{})
	for i := range 10_000 {
		tr.Put(Row{ID: uid(i), Link: fleet.LinkOnline}, 0)
		tr.LinkUp(uid(i), 0)
	}
	now := int64(0)
	for i := 0; b.Loop(); i++ {
		now += 3 * int64(time.Millisecond) // 10,000 beats in 30 s
		tr.Beat(uid(i%10_000), now)
		if c := tr.Due(now, 1000); len(c) > 0 {
			b.Fatalf("%d changes though all beat in time", len(c))
		}
	}
}
