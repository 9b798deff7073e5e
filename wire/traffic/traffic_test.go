package traffic

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin-edge/dunlin/wire/codec"
)

func TestParseBudget(t *testing.T) {
	for s, want := range map[string]Budget{"50MB/month": 50e6, "1.5 GB/month": 1.5e9, "1TB / month": 1e12, "1MB/month": 1e6} {
		if got, err := ParseBudget(s); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
	for s, want := range map[string]string{"": "the period is a month", "50MB": "the period is a month", "50MB/day": "the period is a month",
		"50/month": "no unit", "xMB/month": "not a number", "NaNMB/month": "not a number", "0.1MB/month": "use 1000000 to",
		"-5MB/month": "use 1000000 to", "2TB/month": "use 1000000 to"} {
		if _, err := ParseBudget(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", s, err, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		b := budget(t)
		if back, err := ParseBudget(b.String()); err != nil || back != b {
			t.Fatalf("%d reads %q, which is %d: %v", b, b.String(), back, err)
		}
	})
}

func budget(t *rapid.T) Budget {
	return Budget(rapid.Uint64Range(BudgetMin, BudgetMax).Draw(t, "budget"))
}

func tally(t *rapid.T) (out Tally) {
	for i := range out {
		out[i] = Count{rapid.Uint64Range(0, 1<<40).Draw(t, "sent"), rapid.Uint64Range(0, 1<<40).Draw(t, "received")}
	}
	return out
}

// TestWholeAddsUp: the classes of a link are together what it carried, once all that was written is sent.
func TestWholeAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counted := tally(t)
		setup := Count{rapid.Uint64Range(0, 1<<20).Draw(t, "out"), rapid.Uint64Range(0, 1<<20).Draw(t, "in")}
		sum := counted.Sum()
		total := Count{sum.Sent + setup.Sent + rapid.Uint64Range(0, 1<<20).Draw(t, "more out"), sum.Received + setup.Received}
		whole := counted.Whole(setup, total)
		if whole.Sum() != total {
			t.Fatalf("%v of %v", whole.Sum(), total)
		}
		if early := counted.Whole(setup, Count{}); early != counted {
			t.Fatalf("what is not sent yet made the rest %v", early)
		}
	})
}

// TestBookKeepsAll: whatever the order of links and settlements, within one period nothing is counted twice or lost, also where
// Other shrinks.
func TestBookKeepsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wall := time.Date(2031, 5, 3, 1, 0, 0, 0, time.UTC)
		if rapid.Bool().Draw(t, "no clock") {
			wall = time.Time{}
		}
		var b Book
		var want Tally
		for range rapid.IntRange(1, 4).Draw(t, "links") {
			b.Begin()
			var last Tally
			for range rapid.IntRange(1, 4).Draw(t, "settlements") {
				last = tally(t)
				b.Settle(last, time.Minute, wall)
			}
			for i := range want {
				want[i].change(Count{}, last[i])
			}
		}
		if b.Day.Tally != want || b.Month.Tally != want {
			t.Fatalf("day %v, month %v, want %v", b.Day.Tally, b.Month.Tally, want)
		}
	})
}

func TestPeriods(t *testing.T) {
	at := func(month time.Month, day, hour int) time.Time {
		return time.Date(2030, month, day, hour, 0, 0, 0, time.UTC)
	}
	one := func(n uint64) Tally { return Tally{Beat: {Sent: n}} }
	var b Book
	for i, step := range []struct {
		passed     time.Duration
		wall       time.Time
		day, month uint64
	}{
		{time.Hour, time.Time{}, 1, 1},
		{22 * time.Hour, time.Time{}, 2, 2},
		{2 * time.Hour, time.Time{}, 1, 3},     // 25 hours without a clock: the second day
		{time.Hour, at(1, 20, 5), 2, 4},        // the date becomes known: no new day
		{time.Hour, at(1, 21, 0), 1, 5},        // midnight
		{time.Hour, at(1, 19, 0), 2, 6},        // the clock was put back
		{time.Hour, at(2, 1, 0), 1, 1},         // a new month
		{time.Hour, time.Time{}, 2, 2},         // rebooted without a clock
		{40 * DayLength, time.Time{}, 1, 1},    // off for long
		{time.Hour, time.Time{}, 2, 2},         //
		{100 * DayLength, at(12, 24, 0), 3, 3}, // the date becomes known again
	} {
		b.Settle(one(uint64(i+1)), step.passed, step.wall)
		if b.Day.Tally[Beat].Sent != step.day || b.Month.Tally[Beat].Sent != step.month {
			t.Errorf("step %d: day %d, month %d, want %d, %d", i, b.Day.Tally[Beat].Sent, b.Month.Tally[Beat].Sent, step.day, step.month)
		}
	}
	if want := 23 * DayLength; b.Month.Elapsed != want {
		t.Errorf("on 24 December %s of the month are over, want %s", b.Month.Elapsed, want)
	}
}

func period(t *rapid.T, b Budget) *Period {
	p := &Period{Elapsed: time.Duration(rapid.Int64Range(0, int64(MonthLength+DayLength)).Draw(t, "elapsed"))}
	p.Tally[Modules].Received = rapid.Uint64Range(0, 2*uint64(b)).Draw(t, "used")
	return p
}

// TestOrderOfClasses: what must pass is never slowed, lower classes are slowed no later than higher ones, and more used or less
// time passed never slows less.
func TestOrderOfClasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := budget(t)
		p := period(t, b)
		for _, c := range []Class{Beat, Desired, Exec, Handshake, Other} {
			if n, pause := b.Piece(c, p, 1000); n != 1000 || pause != 0 || b.Slows(c, p) {
				t.Fatalf("%s is slowed to %d bytes in %s", c, n, pause)
			}
		}
		if b.Slows(Status, p) && !b.Slows(Logs, p) || b.Slows(Logs, p) && !b.Slows(Modules, p) {
			t.Fatalf("slowed: %v", b.Slowed(p))
		}
		worse := *p
		worse.Tally[Beat].Sent += rapid.Uint64Range(0, uint64(b)).Draw(t, "more")
		worse.Elapsed -= time.Duration(rapid.Int64Range(0, int64(p.Elapsed)).Draw(t, "earlier"))
		for _, c := range []Class{Modules, Logs, Status} {
			if b.Slows(c, p) && !b.Slows(c, &worse) {
				t.Fatalf("%s is slowed less after more use", c)
			}
			if n, pause := b.Piece(c, p, 1000); n < 1 || n > 1000 || pause > PaceEvery || (pause > 0) != b.Slows(c, p) {
				t.Fatalf("%s: %d bytes after %s", c, n, pause)
			}
		}
		if b.StatusWait(p) > b.StatusWait(&worse) || b.StatusWait(&worse) > StatusPauseMax {
			t.Fatalf("statuses wait %s, then %s", b.StatusWait(p), b.StatusWait(&worse))
		}
		if none := Budget(0); none.Slowed(p) != nil || none.StatusWait(p) != 0 {
			t.Fatal("without a budget something is slowed")
		}
	})
}

// TestFloodStaysInBudget: a device that always has a module to fetch leaves the rest of the month to what may not be slowed.
func TestFloodStaysInBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Budget(rapid.Uint64Range(BudgetMin, 500_000_000).Draw(t, "budget"))
		const piece = 64 << 10 // what a server sends before it notices that nobody reads
		var p Period
		for p.Elapsed = 0; p.Elapsed < MonthLength; {
			n, pause := b.Piece(Modules, &p, piece)
			p.Tally[Modules].Received += uint64(n)
			p.Elapsed += max(pause, time.Second)
		}
		if used, ceiling := p.Tally.Total(), uint64(b)/100*85; used > ceiling+ceiling/100+2*piece+uint64(MonthLength/PaceEvery) {
			t.Fatalf("%d of %d bytes were used", used, b)
		}
	})
}

func TestBookRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Book{tally(t), Period{rapid.Int64().Draw(t, "day"), time.Duration(rapid.Int64().Draw(t, "elapsed")), tally(t)},
			Period{rapid.Int64().Draw(t, "month"), time.Duration(rapid.Int64().Draw(t, "elapsed")), tally(t)}}
		var back Book
		r := codec.NewReader(b.Append(nil))
		if back.Decode(r); r.Close() != nil || back != b {
			t.Fatalf("%+v came back as %+v: %v", b, back, r.Err())
		}
	})
}

// TestNewerClasses: what a newer version counts apart is Other here, and not lost.
func TestNewerClasses(t *testing.T) {
	p := codec.AppendUint(nil, uint64(Classes)+2)
	for range Classes + 2 {
		p = codec.AppendUint(codec.AppendUint(p, 1), 2)
	}
	var got Tally
	r := codec.NewReader(p)
	if readTally(r, &got); r.Close() != nil || got[Other] != (Count{3, 6}) || got[Beat] != (Count{1, 2}) {
		t.Errorf("got %v, %v", got, r.Err())
	}
}

func FuzzBook(f *testing.F) {
	b := Book{Link: Tally{Beat: {1, 2}}}
	f.Add(b.Append(nil))
	f.Add([]byte{0xff, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		var got Book
		r := codec.NewReader(p)
		if got.Decode(r); r.Close() != nil {
			return
		}
		var again Book
		r = codec.NewReader(got.Append(nil))
		if again.Decode(r); r.Close() != nil || again != got {
			t.Fatalf("%+v came back as %+v", got, again)
		}
	})
}

func TestLiveAndNames(t *testing.T) {
	var l Live
	l.Sent(Logs, 5)
	l.Received(Logs, 7)
	l.Received(Beat, 1)
	if got := l.Tally(); got[Logs] != (Count{5, 7}) || got.Total() != 13 {
		t.Errorf("counted %v", got)
	}
	seen := map[string]bool{}
	for c := range Class(Classes) {
		seen[c.String()] = true
	}
	if len(seen) != Classes || Class(99).String() != "class 99" {
		t.Errorf("names: %v", seen)
	}
}
