package term_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/scheduler"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/control/term"
	"github.com/dunlin-edge/dunlin/fleet"
)

func uid(kind byte, n int) fleet.UUID {
	return fleet.MintUUID([16]byte{kind, 15: byte(n), 14: byte(n >> 8), 13: byte(n >> 16)})
}

// tb is what *testing.T, *testing.B and *rapid.T have in common.
type tb interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// sim is a region with one term and workers, driven by hand.
type sim struct {
	t       tb
	store   *state.Store
	index   uint64
	term    *term.Term
	now     time.Time
	wake    time.Time
	evals   int
	request uint64
	seed    byte

	pending []term.Propose
	given   []term.GiveEval          // evaluations whose workers have yet to schedule
	waiting map[uint64]term.GiveEval // by the request of their plan
	gives   map[fleet.UUID]int
}

func newSim(t tb) *sim {
	s := &sim{t: t, store: state.New(), now: time.Unix(1_800_000_000, 0), waiting: map[uint64]term.GiveEval{}, gives: map[fleet.UUID]int{}}
	return s
}

func (s *sim) start() {
	s.term = term.New(term.Config{}, s.store.View(), [32]byte{1}, s.now)
	s.pending, s.given, s.waiting = nil, nil, map[uint64]term.GiveEval{}
}

func (s *sim) apply(cmd any) (uint64, error) {
	s.index++
	x := s.store.Begin()
	if _, err := command.Apply(x, s.index, command.Encode(cmd.(command.Command))); err != nil {
		return s.index, err
	}
	x.Commit(s.index)
	return s.index, nil
}

func (s *sim) must(cmd any) {
	s.t.Helper()
	if _, err := s.apply(cmd); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sim) node(n int, cpu int64) {
	spec := fleet.Node{Name: fmt.Sprintf("n%d", n), Datacenter: "dc1", Attributes: map[string]string{},
		Drivers: map[string]fleet.DriverInfo{"wasm": {Detected: true, Healthy: true}}}
	spec.NodeResources.CPU.CPUShares, spec.NodeResources.Memory.MemoryMB = cpu, 1<<20
	raw, err := json.Marshal(&spec)
	if err != nil {
		s.t.Fatal(err)
	}
	s.must(&command.NodeRegister{ID: uid('n', n), Spec: raw, At: s.now.UnixNano()})
}

func (s *sim) job(n, count, priority int) {
	s.evals++
	j := &fleet.Job{ID: fleet.JobID(fmt.Sprintf("job%d", n)), Type: fleet.JobTypeService, Datacenters: []string{"dc1"}, Priority: fleet.Ptr(priority),
		TaskGroups: []fleet.TaskGroup{{Name: "g", Count: fleet.Ptr(count), Tasks: []fleet.Task{{
			Name: "t", Driver: "wasm", Config: []byte(`{"module":"sha256:0"}`), Resources: &fleet.Resources{CPU: fleet.Ptr(100), MemoryMB: fleet.Ptr(16)}}}}}}
	s.must(&command.JobRegister{Spec: fleet.CanonicalBytes(j), EvalID: uid('e', s.evals), At: s.now.UnixNano()})
}

func (s *sim) stop(n int) {
	s.evals++
	_, _ = s.apply(&command.JobDeregister{Namespace: fleet.DefaultNamespace, ID: fleet.JobID(fmt.Sprintf("job%d", n)), EvalID: uid('e', s.evals), At: s.now.UnixNano()})
}

func (s *sim) idle() {
	s.request++
	s.step(term.WorkerIdle{Request: s.request})
}

func (s *sim) step(ev term.Event) {
	s.t.Helper()
	var answers []term.AnswerPlan
	s.wake = time.Time{}
	for _, a := range s.term.Step(ev, s.store.View(), s.now) {
		switch a := a.(type) {
		case term.GiveEval:
			for _, p := range s.pending {
				if plan, ok := p.Command.(*command.Plan); ok && plan.Job == a.Delivery.Eval.Job {
					s.t.Fatalf("evaluation of %s given while a plan of it commits", plan.Job)
				}
			}
			s.gives[a.Delivery.Eval.ID]++
			s.given = append(s.given, a)
		case term.Propose:
			s.pending = append(s.pending, a)
			s.onePerJob()
		case term.AnswerPlan:
			answers = append(answers, a)
		case term.WakeAt:
			s.wake = a.At
		}
	}
	for _, a := range answers {
		s.answer(a)
	}
}

func (s *sim) onePerJob() {
	seen := map[fleet.JobID]bool{}
	for _, p := range s.pending {
		if plan, ok := p.Command.(*command.Plan); ok {
			if seen[plan.Job] {
				s.t.Fatalf("two plans of %s commit at once", plan.Job)
			}
			seen[plan.Job] = true
		}
	}
}

func (s *sim) answer(a term.AnswerPlan) {
	g, ok := s.waiting[a.Request]
	if !ok {
		return // its worker died
	}
	delete(s.waiting, a.Request)
	switch {
	case a.Result.Err != nil:
		s.step(term.EvalNacked{Token: g.Delivery.Token})
	case a.Result.Done:
		s.step(term.EvalAcked{Token: g.Delivery.Token})
	default:
		g.View, g.InFlight = a.Result.View, a.Result.InFlight
		s.given = append(s.given, g)
	}
}

// schedule lets the worker of given[i] submit its plan.
func (s *sim) schedule(i int) {
	g := s.given[i]
	s.given = slices.Delete(s.given, i, i+1)
	s.seed++
	out := scheduler.Schedule(scheduler.Input{View: g.View, InFlight: g.InFlight, Eval: g.Delivery.Eval, Now: s.now, Seed: [32]byte{s.seed, byte(s.index), byte(s.request)}})
	s.request++
	s.waiting[s.request] = g
	s.step(term.PlanSubmitted{Request: s.request, Token: g.Delivery.Token, Plan: &out.Plan})
}

// commit ends pending[i].
func (s *sim) commit(i int, refuse bool) {
	p := s.pending[i]
	s.pending = slices.Delete(s.pending, i, i+1)
	if refuse {
		s.step(term.Proposed{ID: p.ID, Refused: command.ErrInvalid})
		return
	}
	index, err := s.apply(p.Command)
	s.capacity()
	if s.seed%3 == 0 {
		s.step(term.Applied{}) // the view may be there before the proposer is told
	}
	s.step(term.Proposed{ID: p.ID, Index: index, Refused: err})
}

func (s *sim) capacity() {
	v := s.store.View()
	for n := range v.Nodes() {
		if u, c := v.Usage(n.Key), n.Spec.Capacity(); u.CPU > c.CPU || u.MemoryMB > c.MemoryMB {
			s.t.Fatalf("node %s is over-committed: %+v of %+v", n.Spec.Name, u, c)
		}
	}
}

// settle lets everything run without faults until nothing moves for a day.
func (s *sim) settle() {
	s.t.Helper()
	for range 100_000 {
		switch {
		case len(s.pending) > 0:
			s.commit(0, false)
		case len(s.given) > 0:
			s.schedule(0)
		case s.pendingEvals() == 0 && s.wake.Sub(s.now) > 24*time.Hour:
			return
		default:
			s.idle()
			if len(s.given) > 0 || len(s.pending) > 0 {
				continue
			}
			if s.pendingEvals() == 0 {
				s.quiet()
				if len(s.given) == 0 && len(s.pending) == 0 {
					return
				}
				continue
			}
			if s.wake.IsZero() {
				s.t.Fatalf("%d evaluations wait and the term waits for nothing", s.pendingEvals())
			}
			s.advance(max(s.wake.Sub(s.now), time.Millisecond))
		}
	}
	s.t.Fatal("it never settles")
}

// quiet lets the term look for room once more, all nodes being alive.
func (s *sim) quiet() { s.advance(term.NodesLookPeriod) }

func (s *sim) advance(d time.Duration) {
	s.now = s.now.Add(d)
	for n := range s.store.View().Nodes() {
		s.step(term.Beat{Node: n.ID})
	}
	s.step(term.Tick{})
}

// only is the one allocation that holds its place.
func (s *sim) only() (found *state.Alloc) {
	s.t.Helper()
	for a := range s.store.View().Allocs() {
		if a.Holds() && found != nil {
			s.t.Fatalf("%s and %s both hold a place", found.ID, a.ID)
		} else if a.Holds() {
			found = a
		}
	}
	if found == nil {
		s.t.Fatal("nothing holds a place")
	}
	return found
}

func (s *sim) pendingEvals() (n int) {
	for e := range s.store.View().OpenEvals() {
		if e.Status == fleet.EvalPending {
			n++
		}
	}
	return n
}

// audit checks what must hold once everything has settled.
func (s *sim) audit() {
	s.t.Helper()
	v := s.store.View()
	room := false
	for n := range v.Nodes() {
		room = room || n.Ready() && n.Spec.Capacity().CPU-v.Usage(n.Key).CPU >= 100
	}
	for j := range v.Jobs() {
		names := map[uint32]int{}
		for a := range v.AllocsByJob(j.Key) {
			if a.Holds() {
				names[a.Index]++
			}
		}
		want := *j.Current().Spec.TaskGroups[0].Count
		if j.Stop {
			want = 0
		}
		for name, n := range names {
			if n > 1 {
				s.t.Fatalf("%s[%d] runs %d times", j.ID, name, n)
			}
		}
		if len(names) > want || len(names) < want && room {
			s.t.Fatalf("%s runs %d of %d, room: %v\n%s", j.ID, len(names), want, room, s.describe())
		}
		blocked := 0
		for e := range v.EvalsByJob(j.Namespace, j.ID) {
			if e.Status == fleet.EvalBlocked {
				blocked++
			}
		}
		if blocked > 1 || len(names) < want && blocked == 0 {
			s.t.Fatalf("%s runs %d of %d with %d blocked evaluations\n%s", j.ID, len(names), want, blocked, s.describe())
		}
	}
}

func (s *sim) describe() (out string) {
	for e := range s.store.View().Evals() {
		out += fmt.Sprintf("%s %s %s snap %d mod %d gives %d\n", e.ID, e.Job, e.Status, e.Snapshot, e.ModifyIndex, s.gives[e.ID])
	}
	return out
}
