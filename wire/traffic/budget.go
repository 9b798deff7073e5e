package traffic

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Limits of a budget.
const (
	BudgetMin = 1_000_000         // bytes a month: less does not carry the beats
	BudgetMax = 1_000_000_000_000 // bytes a month: more is no budget

	// PaceEvery is the pause between two pieces of a stream that is slowed. It is shorter than the silence after which a download
	// is given up.
	PaceEvery = 10 * time.Second
	// StatusPause is the pause before a batch of statuses that are slowed; StatusPauseMax once their share is used up.
	StatusPause, StatusPauseMax = time.Minute, 5 * time.Minute
)

// Budget is what a link may carry in a month, in bytes, both ways, headers included. Zero is no budget.
//
// It accrues evenly over the month, so that what is left at its end is not what the first day left over. Each class that may be
// slowed has a head start on that and a ceiling; the two are shares of the whole and keep the order of the classes: what is lower
// stops earlier. The rejected alternative, to stop a class for the rest of the month once it is used up, turns the last days of
// each month into an outage; here everything goes on, slower.
type Budget uint64

// line is where a class begins to be slowed, in percent of the budget.
type line struct{ head, ceiling uint64 }

func lineOf(c Class) (line, bool) {
	switch c {
	case Modules:
		return line{10, 85}, true
	case Logs:
		return line{15, 90}, true
	case Status:
		return line{20, 95}, true
	}
	return line{}, false
}

// Allowed is how many bytes the month may have carried before the class is slowed.
func (b Budget) Allowed(c Class, month time.Duration) uint64 {
	l, slows := lineOf(c)
	if b == 0 || !slows {
		return math.MaxUint64
	}
	passed := uint64(min(max(month, 0), MonthLength) / time.Second)
	accrued := uint64(b) / uint64(MonthLength/time.Second) * passed
	return min(accrued+uint64(b)/100*l.head, l.ceilingOf(b))
}

func (l line) ceilingOf(b Budget) uint64 { return uint64(b) / 100 * l.ceiling }

// Slows reports whether a class is slowed, given the month so far.
func (b Budget) Slows(c Class, month *Period) bool {
	return month.Tally.Total() >= b.Allowed(c, month.Elapsed)
}

// Slowed lists the classes that are slowed, the first slowed first.
func (b Budget) Slowed(month *Period) (out []Class) {
	for _, c := range []Class{Modules, Logs, Status} {
		if b.Slows(c, month) {
			out = append(out, c)
		}
	}
	return out
}

// Piece says how many of the wanted bytes of a stream may pass after which pause. A stream that is slowed moves at half the rate at
// which the budget accrues, so that the month gets back on its line; at the ceiling it only stays alive.
func (b Budget) Piece(c Class, month *Period, want int) (n int, pause time.Duration) {
	if !b.Slows(c, month) {
		return want, 0
	}
	piece := 1
	if l, _ := lineOf(c); month.Tally.Total() < l.ceilingOf(b) {
		piece = max(1, int(uint64(b)*uint64(PaceEvery/time.Second)/uint64(MonthLength/time.Second)/2))
	}
	return min(want, piece), PaceEvery
}

// StatusWait is the pause before the next batch of statuses; what happens meanwhile goes into one batch.
func (b Budget) StatusWait(month *Period) time.Duration {
	switch l, _ := lineOf(Status); {
	case !b.Slows(Status, month):
		return 0
	case month.Tally.Total() < l.ceilingOf(b):
		return StatusPause
	}
	return StatusPauseMax
}

var units = []struct {
	name  string
	bytes float64
}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}}

// ParseBudget reads a budget like "50MB/month": a number, MB, GB or TB (powers of ten), and the period.
func ParseBudget(s string) (Budget, error) {
	amount, period, _ := strings.Cut(strings.ReplaceAll(s, " ", ""), "/")
	if period != "month" {
		return 0, fmt.Errorf("budget %q: write for example \"50MB/month\"; the period is a month", s)
	}
	for _, u := range units {
		digits, ok := strings.CutSuffix(amount, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(digits, 64)
		if err != nil || math.IsNaN(v) {
			return 0, fmt.Errorf("budget %q: %q is not a number; write for example \"50MB/month\"", s, digits)
		}
		if v = math.Round(v * u.bytes); v < BudgetMin || v > BudgetMax {
			return 0, fmt.Errorf("budget %q is %.0f bytes a month; use %d to %d", s, v, uint64(BudgetMin), uint64(BudgetMax))
		}
		return Budget(v), nil
	}
	return 0, fmt.Errorf("budget %q has no unit; use MB, GB or TB, for example \"50MB/month\"", s)
}

// String is the form that ParseBudget reads; "" without a budget.
func (b Budget) String() string {
	if b == 0 {
		return ""
	}
	u := units[len(units)-1]
	for _, larger := range units {
		if float64(b) >= larger.bytes {
			u = larger
			break
		}
	}
	return strconv.FormatFloat(float64(b)/u.bytes, 'f', -1, 64) + u.name + "/month"
}
