package liveness

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/fleet"
)

// The loss brake. A device that dies is replaced; a site whose link is cut is not,
// because its devices go on working and their work elsewhere would be there twice,
// or would not fit and push others out. Nobody can tell the two apart one by one,
// so many at once are taken for a cut link until a person says otherwise, or they
// are back.
const (
	MaxLost        = 20               // percent of a datacenter, or of the region
	BrakeNodesMin  = 3                // fewer are single losses, however small the region
	BrakeWindow    = 10 * time.Minute // in which they go
	BrakeLookEvery = time.Second      // how often it is looked whether they are back
	// HandshakesPerSecond is what one server takes in of devices that all come at
	// once, until it was measured; see SetRate.
	HandshakesPerSecond = 490
)

// SetRate says how many handshakes per second the leader was measured to do, more
// than 0. Only slowness is taken in: a server that is faster has its devices back
// sooner, and the grace that is left over costs seconds.
func (t *Tracker) SetRate(rate float64) {
	if rate > 0 {
		t.rate = min(t.rate, rate)
	}
}

// grace is how long devices that were not heard of in this term may take longer:
// they all want to link at once, and must wait for each other.
func (t *Tracker) grace() int64 {
	return int64(float64(len(t.nodes))/t.rate) * int64(time.Second) // whole seconds: a small region needs none
}

// SetBrake says how the brake stands in the region.
func (t *Tracker) SetBrake(on bool, since, released, now int64) {
	if t.brake == (brake{on, since, released}) {
		return
	}
	t.brake = brake{on, since, released}
	for _, id := range t.ids() {
		t.touch(t.nodes[id], now)
	}
}

// ids are all nodes, sorted: what is looked at for all is proposed in an order.
func (t *Tracker) ids() []fleet.UUID {
	return slices.SortedFunc(maps.Keys(t.nodes), func(a, b fleet.UUID) int { return slices.Compare(a[:], b[:]) })
}

// BrakeDue returns the change of the brake that is due, or nil. Ask before Due:
// while too many are gone, Due must not give them up.
func (t *Tracker) BrakeDue(now int64) *command.BrakeSet {
	if t.cfg.MaxLost >= 100 {
		return nil
	}
	if t.brake.on {
		if now < t.lookedAt+int64(BrakeLookEvery) {
			return nil
		}
		t.lookedAt = now
		if t.tooMany(t.brake.since, now) == "" {
			return &command.BrakeSet{Reason: "released by itself: enough of them are back", At: now}
		}
		return nil
	}
	t.wake(now)
	if !slices.ContainsFunc(t.dirty, func(n *node) bool { return t.want(n, now) == fleet.LinkLost }) {
		return nil
	}
	if why := t.tooMany(now, now); why != "" {
		return &command.BrakeSet{On: true, Reason: why, At: now}
	}
	return nil
}

// tally counts the nodes of a site.
type tally struct{ gone, all int }

func (c tally) tooMany(percent int) bool {
	return c.gone >= BrakeNodesMin && c.gone*100 > percent*c.all
}

// tooMany says of which site more than the limit went in the window before until,
// and are gone; empty: of none.
func (t *Tracker) tooMany(until, now int64) string {
	from := until - int64(BrakeWindow+t.cfg.LostMax)
	whole, sites := tally{}, map[string]tally{}
	for _, n := range t.nodes {
		went, gone := t.gone(n, now)
		if gone && (went < from || went <= t.brake.released) {
			continue // an old loss, or one that an operator knows of
		}
		c := sites[n.site]
		c.all++
		whole.all++
		if gone {
			c.gone++
			whole.gone++
		}
		sites[n.site] = c
	}
	say := func(of string, c tally) string {
		return fmt.Sprintf("%d of %d devices of %s went within %s (more than %d %%)", c.gone, c.all, of, BrakeWindow, t.cfg.MaxLost)
	}
	for _, site := range slices.Sorted(maps.Keys(sites)) {
		if c := sites[site]; c.tooMany(t.cfg.MaxLost) && c != whole {
			return say("datacenter "+site, c)
		}
	}
	if whole.tooMany(t.cfg.MaxLost) {
		return say("the region", whole)
	}
	return ""
}

// gone says whether a node gives no sign of life, and since when.
func (t *Tracker) gone(n *node, now int64) (since int64, gone bool) {
	since = n.seen
	away := n.stored == fleet.LinkUnreachable || n.stored == fleet.LinkLost
	if !n.heard && away && n.away != 0 {
		since = n.away // before this term
	}
	return since, !n.linked && (n.down || away) || now >= t.base(n)+t.cfg.late()
}
