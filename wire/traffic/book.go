package traffic

import (
	"time"

	"github.com/dunlin-edge/dunlin/wire/codec"
)

// Lengths of the periods where the date is not known. A budget is spread over a month of this length in any case.
const (
	DayLength   = 24 * time.Hour
	MonthLength = 30 * DayLength
)

// Period is a day or a month of traffic.
type Period struct {
	Key     int64         // days since 1970 or months since year 0, in UTC; 0: the date is not known
	Elapsed time.Duration // since its beginning, as far as is known
	Tally   Tally
}

// Book is the traffic of one device: on its present link, today, and this month.
type Book struct {
	Link       Tally // of the present link, or of the last one
	Day, Month Period
}

// Begin opens the account of a new link.
func (b *Book) Begin() { b.Link = Tally{} }

// Settle takes in what the present link has carried by now, after some time has passed. A zero wall time means that nobody knows
// the date: periods then end by their length alone.
func (b *Book) Settle(link Tally, passed time.Duration, wall time.Time) {
	b.Day.advance(passed, wall, day, DayLength)
	b.Month.advance(passed, wall, month, MonthLength)
	for i := range link {
		b.Day.Tally[i].change(b.Link[i], link[i])
		b.Month.Tally[i].change(b.Link[i], link[i])
	}
	b.Link = link
}

// change adds the difference, which is negative where Other was taken for too much before.
func (c *Count) change(from, to Count) {
	c.Sent = less(c.Sent+to.Sent, from.Sent)
	c.Received = less(c.Received+to.Received, from.Received)
}

// day and month give a period's key and beginning.
func day(t time.Time) (int64, time.Time) {
	key := t.Unix() / int64(DayLength/time.Second)
	return key, time.Unix(key*int64(DayLength/time.Second), 0)
}

func month(t time.Time) (int64, time.Time) {
	t = t.UTC()
	return int64(t.Year())*12 + int64(t.Month()) - 1, time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

func (p *Period) advance(passed time.Duration, wall time.Time, of func(time.Time) (int64, time.Time), length time.Duration) {
	p.Elapsed += max(passed, 0)
	if wall.IsZero() {
		if p.Key != 0 && length == MonthLength {
			length += DayLength // it began on a date, so it may have a 31st day
		}
		if p.Elapsed >= length {
			*p = Period{Elapsed: p.Elapsed % length}
		}
		return
	}
	key, began := of(wall)
	switch {
	case key > p.Key && p.Key != 0:
		*p = Period{}
	case key < p.Key:
		return // a clock that was put back does not bring yesterday back
	}
	p.Key, p.Elapsed = key, wall.Sub(began)
}

// Append appends the binary form.
func (b *Book) Append(p []byte) []byte {
	p = appendTally(p, &b.Link)
	for _, period := range []*Period{&b.Day, &b.Month} {
		p = codec.AppendInt(codec.AppendInt(p, period.Key), int64(period.Elapsed))
		p = appendTally(p, &period.Tally)
	}
	return p
}

func appendTally(p []byte, t *Tally) []byte {
	p = codec.AppendUint(p, uint64(Classes))
	for _, c := range t {
		p = codec.AppendUint(codec.AppendUint(p, c.Sent), c.Received)
	}
	return p
}

// Decode reads the binary form; the caller checks the reader's error.
func (b *Book) Decode(r *codec.Reader) {
	readTally(r, &b.Link)
	for _, period := range []*Period{&b.Day, &b.Month} {
		period.Key, period.Elapsed = r.Int(), time.Duration(r.Int())
		readTally(r, &period.Tally)
	}
}

// ClassesMax bounds the classes that a newer version may count; those beyond ours are added to Other.
const ClassesMax = 64

func readTally(r *codec.Reader, t *Tally) {
	*t = Tally{}
	for i := range r.Count("classes of traffic", ClassesMax, 2) {
		t[min(i, int(Other))].add(Count{r.Uint(), r.Uint()})
	}
}
