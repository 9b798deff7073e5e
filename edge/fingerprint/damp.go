package fingerprint

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// Limits of what a device tells about its facts.
const (
	// ChangeBytesMax bounds the names and values of one change; what does not fit
	// is told with the next probe. One value that is longer goes alone.
	ChangeBytesMax = 512
	// HoldMin is how long a fact is not told again after it was told. Each time
	// that it changes again within CalmAfter doubles it, up to HoldMax.
	HoldMin   = time.Minute
	HoldMax   = 15 * time.Minute
	CalmAfter = time.Hour
)

// Change is what is told of the facts: a difference.
type Change struct {
	Set   map[string]string
	Unset []string // not known any more
}

// Empty says that there is nothing to tell.
func (c Change) Empty() bool { return len(c.Set) == 0 && len(c.Unset) == 0 }

// Damper is the core that decides which changes of facts are told, so that a
// device does not speak for noise: numbers move in steps and leave one only when
// they are clearly past it, and a fact that flaps is told ever more seldom. What
// is held is told as soon as it may be, if it is still so.
//
// It reads no clock; now must not go backwards, so it should carry the monotonic
// clock.
type Damper struct {
	shown     map[string]string // of the facts of the table
	holds     map[string]hold
	nextHot   time.Time
	nextSlow  time.Time
	throttles uint64
	counted   bool // throttles is known
}

type hold struct {
	told time.Time
	span time.Duration
}

// NewDamper begins with what was told at registration, as [Probe] gives it.
func NewDamper(told map[string]string, now time.Time) *Damper {
	d := &Damper{shown: map[string]string{}, holds: map[string]hold{}, nextHot: now.Add(HotEvery), nextSlow: now.Add(SlowEvery)}
	for i := range Facts {
		if v, ok := told[Facts[i].Name]; ok {
			d.shown[Facts[i].Name] = v
		}
	}
	return d
}

// Next is when to probe, and what.
func (d *Damper) Next() (time.Time, Pace) {
	if !d.nextSlow.After(d.nextHot) {
		return d.nextSlow, Slow
	}
	return d.nextHot, Hot
}

// Step takes in what a probe found and returns what to tell.
func (d *Damper) Step(r Reading, now time.Time) Change {
	d.nextHot = now.Add(HotEvery)
	if r.Pace == Slow {
		d.nextSlow = now.Add(SlowEvery)
	}
	d.throttled(&r)
	var out Change
	room := ChangeBytesMax
	for i := range Facts {
		f := &Facts[i]
		if f.Pace < r.Pace || f.Pace == AtStart {
			continue
		}
		old, known := d.shown[f.Name]
		value, ok := r.Attrs[f.Name]
		if ok {
			if _, fixed := r.overrides[f.Name]; !fixed {
				value = f.round(value, old)
			}
		}
		if ok == known && value == old || d.held(f.Name, now) {
			continue
		}
		cost := len(f.Name) + len(value) + 2
		if cost > room && !out.Empty() {
			continue
		}
		room -= cost
		d.tell(f.Name, now)
		if !ok {
			delete(d.shown, f.Name)
			out.Unset = append(out.Unset, f.Name)
			continue
		}
		d.shown[f.Name] = value
		if out.Set == nil {
			out.Set = map[string]string{}
		}
		out.Set[f.Name] = value
	}
	return out
}

func (d *Damper) held(name string, now time.Time) bool {
	h, ok := d.holds[name]
	return ok && now.Before(h.told.Add(h.span))
}

func (d *Damper) tell(name string, now time.Time) {
	span := HoldMin
	if h, ok := d.holds[name]; ok && now.Before(h.told.Add(CalmAfter)) {
		span = min(2*h.span, HoldMax)
	}
	d.holds[name] = hold{told: now, span: span}
}

// throttled makes of counters that have risen since the last probe that the
// processor is being throttled.
func (d *Damper) throttled(r *Reading) {
	if !r.ThrottlesKnown {
		return
	}
	rose := d.counted && r.Throttles > d.throttles
	d.throttles, d.counted = r.Throttles, true
	if !rose {
		return
	}
	reasons := r.Attrs["throttled.reasons"]
	if !slices.Contains(splitList(reasons), reasonHeat) {
		if reasons != "" {
			reasons += ","
		}
		r.add("throttled.reasons", reasons+reasonHeat)
	}
	r.add("throttled", "true")
}

// round is the value to show for a measured one. What is shown now is kept as
// long as the measured value is not clearly past the border to the next step.
func (f *Fact) round(value, shown string) string {
	if len(f.steps) == 0 {
		return value
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return value
	}
	if s, err := strconv.ParseFloat(shown, 64); err == nil && f.near(v, s) {
		return shown
	}
	return strconv.FormatFloat(f.nearest(v), 'f', -1, 64)
}

// stepSlack is how far beyond the border of a step a value must be to leave it,
// in parts of the step.
const stepSlack = 0.3

func (f *Fact) near(v, shown float64) bool {
	if len(f.steps) == 1 {
		return math.Abs(v-shown) <= (0.5+stepSlack)*f.steps[0]
	}
	i := slices.Index(f.steps, shown)
	if i < 0 {
		return false
	}
	low, high := math.Inf(-1), math.Inf(1)
	if i > 0 {
		low = shown - (0.5+stepSlack)*(shown-f.steps[i-1])
	}
	if i+1 < len(f.steps) {
		high = shown + (0.5+stepSlack)*(f.steps[i+1]-shown)
	}
	return low <= v && v <= high
}

func (f *Fact) nearest(v float64) float64 {
	if len(f.steps) == 1 {
		// 0 % of a battery would read as unknown, and -0 as nonsense.
		n := math.Round(v/f.steps[0])*f.steps[0] + 0
		return max(n, float64(f.min))
	}
	best := f.steps[0]
	for _, s := range f.steps[1:] {
		if math.Abs(v-s) < math.Abs(v-best) {
			best = s
		}
	}
	return best
}

// settle rounds the numbers of a first probe, except those of the configuration.
func settle(attrs map[string]string, o Overrides) {
	for i := range Facts {
		f := &Facts[i]
		if _, fixed := o[f.Name]; fixed {
			continue
		}
		if v, ok := attrs[f.Name]; ok {
			attrs[f.Name] = f.round(v, "")
		}
	}
}
