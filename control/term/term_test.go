package term_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/plan"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/control/term"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"pgregory.net/rapid"
)

// Workers die, give back, plans are refused, proposals end in any order, leaders
// change: nothing is over-committed meanwhile, and once the faults stop everything
// that can run does, once.
func TestAnyFaultsThenEverythingRuns(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newSim(rt)
		for n := range rapid.IntRange(1, 4).Draw(rt, "nodes") {
			s.node(n, 400)
		}
		s.start()
		s.step(term.Applied{})
		pick := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(rt, what) }
		for range rapid.IntRange(5, 60).Draw(rt, "events") {
			switch pick(14, "event") {
			case 0, 1:
				s.job(pick(4, "job"), rapid.IntRange(1, 6).Draw(rt, "count"), rapid.IntRange(1, 100).Draw(rt, "priority"))
				s.step(term.Applied{})
			case 2:
				s.stop(pick(4, "job"))
				s.step(term.Applied{})
			case 3, 4, 5:
				s.idle()
			case 6, 7:
				if len(s.given) > 0 {
					s.schedule(pick(len(s.given), "worker"))
				}
			case 8, 9:
				if len(s.pending) > 0 {
					s.commit(pick(len(s.pending), "proposal"), false)
				}
			case 10:
				i := pick(max(len(s.pending), 1), "refused proposal")
				if i < len(s.pending) {
					if _, ok := s.pending[i].Command.(*command.Plan); ok {
						s.commit(i, true)
					}
				}
			case 11:
				if len(s.given) > 0 { // a worker dies
					s.given = s.given[1:]
				}
			case 12:
				s.advance(time.Duration(rapid.IntRange(1, 90).Draw(rt, "seconds")) * time.Second)
			case 13:
				if pick(4, "leader change") == 0 {
					s.start()
				}
			}
		}
		s.settle()
		s.audit()
	})
}

func TestPausedBrokerGivesNothingOut(t *testing.T) {
	s := newSim(t)
	s.node(0, 400)
	s.start()
	s.must(&command.SchedulerSet{Config: []byte(`{"PauseEvalBroker":true}`)})
	s.step(term.Applied{})
	s.idle()
	s.job(0, 1, 50)
	s.step(term.Applied{})
	s.advance(time.Minute)
	if len(s.given) != 0 {
		t.Fatalf("given out while paused: %+v", s.given)
	}
	s.must(&command.SchedulerSet{Config: []byte(`{}`)})
	s.step(term.Applied{})
	if len(s.given) != 1 {
		t.Fatal("nothing was given out after the pause")
	}
	s.settle()
	s.audit()
}

func TestFreedRoomWakesWhatBlockedBeforeAndAfter(t *testing.T) {
	s := newSim(t)
	s.node(0, 200)
	s.start()
	s.job(0, 2, 50)
	s.settle()
	s.job(1, 1, 50)
	s.step(term.Applied{})
	s.idle()
	// The room comes while the worker of job1 still looks at a view without it.
	s.stop(0)
	s.settle()
	s.audit()
	running := 0
	for a := range s.store.View().Allocs() {
		if a.Holds() && a.Version.Spec.ID == "job1" {
			running++
		}
	}
	if running != 1 {
		t.Fatalf("job1 runs %d times\n%s", running, s.describe())
	}
}

func TestRoomOfARefusedPlanWakesWhoBlockedForIt(t *testing.T) {
	s := newSim(t)
	s.node(0, 100)
	s.start()
	s.job(0, 1, 50)
	s.job(1, 1, 50)
	s.idle()
	s.idle()
	s.schedule(0) // takes the room, in flight
	if len(s.pending) != 1 {
		t.Fatalf("%d proposals", len(s.pending))
	}
	first := s.pending[0].Command.(*command.Plan).Job
	s.stop(map[fleet.JobID]int{"job0": 0, "job1": 1}[first]) // whoever took it will not come again
	s.schedule(0)                                            // finds no room and blocks
	s.commit(0, true)
	s.settle()
	s.audit()
}

func TestPlanInTheViewDoesNotCountTwice(t *testing.T) {
	s := newSim(t)
	s.node(0, 200)
	s.start()
	s.job(0, 1, 50)
	s.idle()
	s.schedule(0)
	p := s.pending[0]
	s.pending = nil
	index, err := s.apply(p.Command)
	if err != nil {
		t.Fatal(err)
	}
	s.job(1, 1, 50)
	s.idle() // before the first plan's proposer is told
	s.schedule(0)
	if got := len(s.pending[0].Command.(*command.Plan).Groups); got != 1 {
		t.Fatalf("job1 places %d groups: there is room for it\n%s", got, s.describe())
	}
	s.step(term.Proposed{ID: p.ID, Index: index})
	s.settle()
	s.audit()
}

func TestPlansPipelineAndNeverOvercommit(t *testing.T) {
	s := newSim(t)
	s.node(0, 100*term.PipelineMax/2)
	s.start()
	for n := range term.PipelineMax * 2 {
		s.job(n, 1, 50)
	}
	for range term.PipelineMax * 2 {
		s.idle()
	}
	for len(s.given) > 0 && len(s.waiting) < 3*term.PipelineMax {
		s.schedule(0)
	}
	if n := len(s.pending); n < 2 || n > term.PipelineMax {
		t.Fatalf("%d plans commit at the same time, want 2 to %d", n, term.PipelineMax)
	}
	s.settle()
	s.audit()
}

// Many schedule on one view for one node that has room for few of them.
func TestNodeThatRefusesInARowIsNoticed(t *testing.T) {
	s := newSim(t)
	s.node(0, 200)
	s.start()
	jobs := plan.RefusalsNoticed + 4
	for n := range jobs {
		s.job(n, 1, 50)
	}
	for range jobs {
		s.idle()
	}
	for len(s.given) > 0 {
		s.schedule(0)
	}
	for len(s.pending) > 0 {
		s.commit(0, false)
	}
	v := s.term.Verified()
	if v.Placements-v.Refused != 2 || v.Plans < uint64(jobs) || v.Partly < plan.RefusalsNoticed {
		t.Errorf("verified %+v", v)
	}
	if row := v.Refusing[s.store.View().NodeByID(uid('n', 0)).Key]; row.InARow < plan.RefusalsNoticed || !row.Now(s.now) {
		t.Errorf("noticed %+v", v.Refusing)
	}
	s.settle()
	s.audit()
}

func TestAbandonedEvaluationFailsAndIsFollowed(t *testing.T) {
	s := newSim(t)
	s.node(0, 1000)
	s.start()
	s.job(0, 1, 50)
	id := uid('e', 1)
	for range 3 {
		s.idle()
		s.given = nil // its worker dies
		s.advance(61 * time.Second)
		s.advance(2 * time.Second)
	}
	for len(s.pending) > 0 {
		s.commit(0, false)
	}
	e := s.store.View().Eval(id)
	if e.Status != fleet.EvalFailed || s.gives[id] != 3 {
		t.Fatalf("status %s after %d deliveries", e.Status, s.gives[id])
	}
	next := s.store.View().Eval(e.Next)
	if next == nil || next.WaitUntil <= s.now.UnixNano() {
		t.Fatalf("it is followed by %+v", next)
	}
	s.settle()
	s.audit()
}

// What waits for a time is in the log: a new leader, also one that starts from a
// checkpoint, lets it go when it is due, and not before.
func TestDelayedEvaluationOutlivesItsLeader(t *testing.T) {
	s := newSim(t)
	s.node(0, 1000)
	s.start()
	s.job(0, 1, 50)
	s.settle()
	failed := s.only()
	s.must(&command.Statuses{At: s.now.UnixNano(), Seed: [32]byte{7}, Nodes: []command.NodeStatuses{{
		Node: uid('n', 0), Allocs: []wire.AllocStatus{{ID: failed.ID, Status: fleet.ClientFailed}},
	}}})
	s.step(term.Applied{})
	due := s.now.Add(30 * time.Second) // the first delay of a service
	s.idle()
	for len(s.given) > 0 || len(s.pending) > 0 {
		if len(s.given) > 0 {
			s.schedule(0)
		} else {
			s.commit(0, false)
		}
	}
	var file bytes.Buffer
	if err := s.store.View().WriteCheckpoint(&file); err != nil {
		t.Fatal(err)
	}
	v, err := state.ReadCheckpoint(&file)
	if err != nil {
		t.Fatal(err)
	}
	s.store.Replace(v)
	s.advance(20 * time.Second)
	s.start()
	s.step(term.Applied{})
	s.idle()
	if len(s.given) > 0 {
		t.Fatal("it is given out before its time")
	}
	s.advance(due.Add(time.Second).Sub(s.now))
	s.settle()
	if next := s.only(); next.Prev != failed.ID || next.CreateTime < due.UnixNano() {
		t.Fatalf("%+v", next)
	}
	s.audit()
}

func TestSilentNodeIsLostAndItsWorkReplaced(t *testing.T) {
	s := newSim(t)
	s.node(0, 200)
	s.node(1, 200)
	s.start()
	s.job(0, 2, 50)
	s.settle()
	alive := uid('n', 1)
	var states []fleet.LinkState
	for range 30 {
		s.now = s.now.Add(5 * time.Second)
		s.step(term.Beat{Node: alive})
		s.step(term.Tick{})
		for len(s.pending) > 0 {
			s.commit(0, false)
		}
		link := s.store.View().NodeByID(uid('n', 0)).Link
		if len(states) == 0 || states[len(states)-1] != link {
			states = append(states, link)
		}
	}
	if got := fmt.Sprint(states); got != "[online late lost]" {
		t.Fatalf("states %s", got)
	}
	for len(s.given) > 0 || s.pendingEvals() > 0 || len(s.pending) > 0 {
		s.step(term.Beat{Node: alive})
		switch {
		case len(s.pending) > 0:
			s.commit(0, false)
		case len(s.given) > 0:
			s.schedule(0)
		default:
			s.idle()
		}
	}
	v := s.store.View()
	key := v.NodeByID(alive).Key
	if u := v.Usage(key); u.Allocs != 2 {
		t.Fatalf("%d allocations on the node that is alive, want 2\n%s", u.Allocs, s.describe())
	}
}

// The cost of a leader per evaluation, scheduling and applying left out.
func BenchmarkBrokerAndPlanPerEval(b *testing.B) {
	s := newSim(b)
	for n := range 100 {
		s.node(n, 1<<40)
	}
	s.start()
	b.StopTimer()
	const jobs = 1000
	for n := range jobs {
		s.job(n, 1, 50)
	}
	done := 0
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		if done == jobs {
			done = 0
			s.start()
		}
		done++
		s.request++
		b.StartTimer()
		acts := s.term.Step(term.WorkerIdle{Request: s.request}, s.store.View(), s.now)
		b.StopTimer()
		g := give(acts)
		if g == nil {
			b.Fatal("nothing given")
		}
		e := *g.Delivery.Eval
		e.Status = fleet.EvalComplete
		p := &command.Plan{Eval: e.ID, Namespace: e.Namespace, Job: e.Job, Priority: 50, Evals: []state.Eval{e}, Groups: []command.Placements{{
			Nodes: []state.NodeKey{state.NodeKey(i%100 + 1)}, Names: []uint32{0}, IDs: []fleet.UUID{uid('a', i)}}}}
		s.request++
		b.StartTimer()
		acts = s.term.Step(term.PlanSubmitted{Request: s.request, Token: g.Delivery.Token, Plan: p}, s.store.View(), s.now)
		prop := acts[0].(term.Propose)
		s.term.Step(term.Proposed{ID: prop.ID, Refused: nil, Index: s.index}, s.store.View(), s.now)
		b.StopTimer()
	}
}

func give(acts []term.Action) *term.GiveEval {
	for _, a := range acts {
		if g, ok := a.(term.GiveEval); ok {
			return &g
		}
	}
	return nil
}
