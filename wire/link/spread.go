package link

import (
	"fmt"
	"strings"
	"time"
)

// Limits of what a server may dictate.
const (
	// SpreadMax is the longest that a peer waits on the other's word: a server that says a year must not lose its devices.
	SpreadMax = 10 * time.Minute
	// SpreadMin is the width of the narrowest window: a second in which devices spread costs nobody anything.
	SpreadMin = time.Second
	// DefaultRate is the rate of full handshakes, per second, that a server counts on before it has met a crowd: what two cores do
	// that also play the devices.
	DefaultRate = 490
	// RateMin is the lowest rate that counts. A fleet whose links are slow looks like a slow server, and what waits for it (a
	// device that is really lost, a device that comes back) must not wait for ever.
	RateMin = 100
)

// Spread is a window of time, from the end of a link, in which its peer should come back, each at a moment of its own.
type Spread struct{ Min, Max time.Duration }

// BusySpread is what a peer is told whose handshake or link finds no room.
var BusySpread = Spread{Min: 2 * time.Second, Max: 20 * time.Second}

// Pace makes sense of a measured rate of full handshakes (Handshakes.Rate): 0 is DefaultRate, and RateMin the least.
func Pace(rate float64) float64 {
	if rate <= 0 {
		return DefaultRate
	}
	return max(rate, RateMin)
}

// SpreadOver is the window in which so many known peers can come back, at a measured rate of full handshakes per second.
// Beyond it they would only see each other refused, and tries that are refused cost nearly as much as those that succeed.
func SpreadOver(links int, rate float64) Spread {
	wide := time.Duration(float64(links) * ResumedCost / Pace(rate) * float64(time.Second))
	return Spread{Max: min(max(wide, SpreadMin), SpreadMax)}
}

// IsZero reports whether nothing was dictated.
func (s Spread) IsZero() bool { return s == Spread{} }

// At is the moment within the window that a draw from [0, 1) stands for.
func (s Spread) At(draw float64) time.Duration {
	return s.Min + time.Duration(draw*float64(s.Max-s.Min))
}

// Clamp makes sense of any two durations.
func (s Spread) Clamp() Spread {
	s.Min = min(max(s.Min, 0), SpreadMax)
	s.Max = min(max(s.Max, s.Min), SpreadMax)
	return s
}

const spreadWord = "come back within "

// Reason is a close reason that carries the window: both adapters carry a reason, and people can read it.
func (s Spread) Reason(text string) string {
	return fmt.Sprintf("%s%s to %s: %s", spreadWord, s.Min, s.Max, text)
}

// Spread is the window that the peer dictated; zero if it did not.
func (e *CloseError) Spread() Spread {
	if !e.Remote {
		return Spread{}
	}
	rest, ok := strings.CutPrefix(e.Reason, spreadWord)
	if !ok {
		return Spread{}
	}
	window, _, ok := strings.Cut(rest, ": ")
	low, high, both := strings.Cut(window, " to ")
	if !ok || !both {
		return Spread{}
	}
	from, err := time.ParseDuration(low)
	to, err2 := time.ParseDuration(high)
	if err != nil || err2 != nil {
		return Spread{}
	}
	return Spread{Min: from, Max: to}.Clamp()
}
