package wear

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Over restarts of sources and of the agent, and jumps of the clock: the total is what sources really wrote, nothing falls, and
// the days add up to it as long as they are kept.
func TestLedgerAgainstTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Ledger
		var truth [3]int64
		count, epoch := [3]int64{}, [3]int64{1, 1, 1}
		now := time.Unix(rapid.Int64Range(0, 3_800_000_000).Draw(t, "clock"), 0)
		sources := []string{"state", "logs", "modules"}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, 2).Draw(t, "source")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0: // it starts again
				epoch[i], count[i] = epoch[i]+1, 0
			case 1: // the agent starts again from what it wrote down
				m := NewMeter(l, func() time.Time { return now })
				b, err := m.Bytes()
				if err != nil {
					t.Fatal(err)
				}
				if l, err = Read(b); err != nil {
					t.Fatal(err)
				}
			case 2:
				now = now.Add(time.Duration(rapid.Int64Range(-60*24, 60*24).Draw(t, "hours")) * time.Hour)
			default:
				n := rapid.Int64Range(0, 1000).Draw(t, "n")
				count[i], truth[i] = count[i]+n, truth[i]+n
				l.Add(fleet.WriteClass(i), sources[i], epoch[i], count[i], now)
				l.Add(fleet.WriteClass(i), sources[i], epoch[i], count[i]-n/2, now) // a late, lower reading
			}
		}
		v := l.View(now)
		if got := [3]int64{v.Total.State, v.Total.Logs, v.Total.Modules}; got != truth {
			t.Fatalf("counted %v, wrote %v", got, truth)
		}
		var days fleet.WriteClasses
		for _, d := range v.Days {
			days.Sum(d.WriteClasses)
		}
		if len(v.Days) > DaysMax || len(v.Days) < DaysMax && days != v.Total {
			t.Fatalf("%d days add up to %+v, the total is %+v", len(v.Days), days, v.Total)
		}
	})
}

// What the kernel saw beyond what is named is other; it lags, and never makes the sum fall.
func TestOther(t *testing.T) {
	var l Ledger
	now := time.Unix(1_800_000_000, 0)
	l.Add(fleet.WriteLogs, "host", 1, 10_000, now)
	if l.Total.Other != nil {
		t.Error("nobody asked the kernel, and other is known")
	}
	l.AddKernel("agent", 1, 4096, now) // the rest is still in the page cache
	if got := *l.Total.Other; got != 0 {
		t.Errorf("other is %d before the kernel has counted what is named", got)
	}
	l.AddKernel("host", 7, 50_000, now)
	if got, want := *l.Total.Other, int64(44_096); got != want {
		t.Errorf("other is %d, want %d", got, want)
	}
	l.Add(fleet.WriteLogs, "host", 1, 30_000, now)
	l.AddKernel("host", 7, 51_000, now)
	if got := *l.Total.Other; got != 44_096 {
		t.Errorf("other changed to %d", got)
	}
	if got := l.View(now).Today.All(); got != 74_096 {
		t.Errorf("today %d", got)
	}
	if got := l.View(now.Add(48 * time.Hour)).Today.All(); got != 0 {
		t.Errorf("two days later, today is %d", got)
	}
}

func TestReadRefusesNonsense(t *testing.T) {
	if _, err := Read([]byte("{")); err == nil {
		t.Error("half a ledger was read")
	}
	if l, err := Read(nil); err != nil || l.Since != 0 {
		t.Errorf("%+v, %v", l, err)
	}
}
