package region

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Limits of one simulation.
const (
	EventsMin  = 500     // a seed that has fewer is no test
	EventsMax  = 200_000 // something spins
	stepsAtMax = 20_000  // events at one instant: a loop that time cannot end
)

// Options choose what to run.
type Options struct {
	Seed uint64
	Bug  Bug
	Log  func(format string, args ...any) // nil: silent
}

// Result is how a simulation went.
type Result struct {
	Seed    uint64
	Digest  uint64 // of the whole trace
	Events  int
	Faults  int
	Entries int    // of the log
	Starts  int    // of tasks
	Failure string // empty: no oracle objected
}

// violation is an oracle's objection; it unwinds the simulation.
type violation struct{ text string }

type sim struct {
	opts   Options
	rng    *rand.Rand
	now    time.Time
	began  time.Time
	queue  eventQueue
	seq    uint64
	trace  hash.Hash64
	calm   bool // faults and users have stopped
	result Result

	restored bool // the region was taken back to an older state once

	parse   device.Parser
	server  *server
	other   *server // of another region, at which devices are pointed now and then
	devices []*machine
	users   *users
	checks  *checks
}

// Run plays one seed to its end, or until an oracle objects.
func Run(o Options) Result {
	return run(o, func(s *sim) {
		s.build()
		s.users.begin()
		s.beginFaults()
		s.play()
	})
}

// run makes a simulation and lets script play it.
func run(o Options, script func(*sim)) (r Result) {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], o.Seed)
	copy(key[8:], "dunlin region simulator")
	s := &sim{
		opts: o, rng: rand.New(rand.NewChaCha8(key)), trace: fnv.New64a(),
		now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), parse: rememberingParser(),
	}
	s.began, s.result.Seed = s.now, o.Seed
	defer func() {
		if p := recover(); p != nil {
			v, ok := p.(violation)
			if !ok {
				panic(p)
			}
			s.result.Failure = v.text
			s.note("OBJECTION %s", v.text)
		}
		s.result.Digest = s.trace.Sum64()
		r = s.result
	}()
	script(s)
	return s.result
}

// play is the course of every simulation: trouble, then rest, then the finale.
func (s *sim) play() {
	s.runFor(s.between(45*time.Second, 100*time.Second))
	s.settle()
	s.checks.atRest()
	s.finale()
	if s.result.Events < EventsMin || s.result.Faults == 0 {
		s.object("the seed had %d events and %d faults; it must have %d and 1", s.result.Events, s.result.Faults, EventsMin)
	}
}

// restTime is long enough for every delay that a core may still wait for: lost
// limits, module retries, delayed and failed evaluations.
const restTime = 6 * time.Minute

// settle ends faults and users and lets everything come to rest.
func (s *sim) settle() {
	s.calm = true
	s.note("faults end")
	s.heal()
	s.runFor(restTime)
}

func (s *sim) object(format string, args ...any) {
	panic(violation{fmt.Sprintf("at %s: ", s.now.Sub(s.began)) + fmt.Sprintf(format, args...)})
}

// event is something that will happen.
type event struct {
	at   time.Time
	seq  uint64
	name string
	do   func()
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, k int) bool {
	if !q[i].at.Equal(q[k].at) {
		return q[i].at.Before(q[k].at)
	}
	return q[i].seq < q[k].seq
}
func (q eventQueue) Swap(i, k int) { q[i], q[k] = q[k], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *eventQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}

func (s *sim) at(t time.Time, name string, do func()) {
	if t.Before(s.now) {
		t = s.now
	}
	s.seq++
	heap.Push(&s.queue, event{t, s.seq, name, do})
}

func (s *sim) after(d time.Duration, name string, do func()) { s.at(s.now.Add(d), name, do) }

func (s *sim) runFor(d time.Duration) {
	end := s.now.Add(d)
	same := 0
	for len(s.queue) > 0 && !s.queue[0].at.After(end) {
		e := heap.Pop(&s.queue).(event)
		if same++; e.at.After(s.now) {
			same = 0
		}
		s.now = e.at
		s.result.Events++
		s.fold(e.name)
		e.do()
		if s.result.Events > EventsMax || same > stepsAtMax {
			s.object("the region does not come to rest: %d events, the last is %q", s.result.Events, e.name)
		}
	}
	s.now = end
}

// fold mixes what happened into the trace.
func (s *sim) fold(name string) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(s.now.Sub(s.began)))
	s.trace.Write(b[:])
	s.trace.Write([]byte(name))
}

func (s *sim) foldBytes(b []byte) { s.trace.Write(b) }

// note is for people who replay a seed.
func (s *sim) note(format string, args ...any) {
	if s.opts.Log != nil {
		s.opts.Log("%10.3fs  %s", s.now.Sub(s.began).Seconds(), fmt.Sprintf(format, args...))
	}
}

func (s *sim) fault(format string, args ...any) {
	s.result.Faults++
	s.note("FAULT "+format, args...)
}

// chance is true with probability n/1000.
func (s *sim) chance(n int) bool { return s.rng.IntN(1000) < n }

// trouble is chance while faults go on.
func (s *sim) trouble(n int) bool { return s.chance(n) && !s.calm }

func (s *sim) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(s.rng.Int64N(int64(hi-lo)))
}

func (s *sim) uuid() fleet.UUID {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], s.rng.Uint64())
	binary.LittleEndian.PutUint64(b[8:], s.rng.Uint64())
	return fleet.MintUUID(b)
}

func (s *sim) seed32() (k [32]byte) {
	for i := 0; i < 32; i += 8 {
		binary.LittleEndian.PutUint64(k[i:], s.rng.Uint64())
	}
	return k
}

// rememberingParser reads each version of a job once for all devices.
func rememberingParser() device.Parser {
	known := map[wire.JobKey]*device.Job{}
	text := map[wire.JobKey]string{}
	return func(spec wire.JobSpec) (*device.Job, error) {
		if j := known[spec.Key]; j != nil && text[spec.Key] == string(spec.JSON) {
			return j, nil
		}
		j, err := device.Parse(spec)
		if err == nil {
			known[spec.Key], text[spec.Key] = j, string(spec.JSON)
		}
		return j, err
	}
}

func short(id fleet.UUID) string { return id.String()[:8] }
