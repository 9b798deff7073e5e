package scheduler

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

func TestPlacesAndThenRests(t *testing.T) {
	r := newRegion(t)
	r.nodes(3)
	r.job(nil)
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 3, 0, 0, 0)
	if e := out.Plan.Evals[0]; e.Status != fleet.EvalComplete || e.Groups[0].Placed != 3 || len(out.Plan.Evals) != 1 {
		t.Fatalf("evaluations: %+v", out.Plan.Evals)
	}
	if got := out.Plan.Evals[0].Groups[0].Metric; len(got.ScoreMetaData) != 3 || got.NodesEvaluated != 3 {
		t.Fatalf("metric: %+v", got)
	}
	again := r.run(fleet.TriggerNodeUpdate)
	wantCounts(t, &again.Plan, 0, 0, 0, 0)
}

func TestCountShrinksFromTheTopAndGrowsIntoTheGap(t *testing.T) {
	r := newRegion(t)
	r.nodes(3)
	count := func(n int) func(*fleet.Job) { return func(j *fleet.Job) { j.TaskGroups[0].Count = &n } }
	r.job(count(4))
	r.run(fleet.TriggerJobRegister)
	r.job(count(2))
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 0, 2, 2, 0)
	if out.Plan.Stops[0].Reason != "not needed: the count of web is 2" {
		t.Fatalf("reason %q", out.Plan.Stops[0].Reason)
	}
	if live := r.live(); len(live) != 2 || live[0] == "" || live[1] == "" {
		t.Fatalf("live %v", live)
	}
	r.job(count(3))
	out = r.run(fleet.TriggerJobRegister)
	if names := out.Plan.Groups[0].Names; len(names) != 1 || names[0] != 2 {
		t.Fatalf("new indexes %v", names)
	}
}

func TestStopAndPurge(t *testing.T) {
	for _, purge := range []bool{false, true} {
		r := newRegion(t)
		r.nodes(2)
		r.job(nil)
		r.run(fleet.TriggerJobRegister)
		r.observe(1, state.ObservedFailed) // still counts, so it must end too
		r.stopJob(purge)
		out := r.run(fleet.TriggerJobDeregister)
		wantCounts(t, &out.Plan, 0, 3, 0, 0)
		if len(r.live()) != 0 {
			t.Fatalf("purge %v: live %v", purge, r.live())
		}
		r.job(func(j *fleet.Job) { j.Meta = map[string]string{"again": "1"} })
		out = r.run(fleet.TriggerJobRegister)
		wantCounts(t, &out.Plan, 3, 0, 0, 0)
	}
}

func TestPurgedNamesakeIsStopped(t *testing.T) {
	r := newRegion(t)
	r.nodes(2)
	r.job(nil)
	r.run(fleet.TriggerJobRegister)
	r.stopJob(true)
	e := r.eval(fleet.TriggerJobDeregister)
	r.job(nil)
	out := Schedule(r.input(e))
	wantCounts(t, &out.Plan, 3, 3, 0, 0)
}

func TestLostNodeIsReplacedOthersKept(t *testing.T) {
	r := newRegion(t)
	r.nodes(3)
	r.job(func(j *fleet.Job) { j.Constraints = []fleet.Constraint{{Operand: fleet.OpDistinctHosts}} })
	r.run(fleet.TriggerJobRegister)
	r.node("spare", nil)
	r.link("n0", fleet.LinkUnreachable)
	r.link("n1", fleet.LinkLate)
	quiet := r.run(fleet.TriggerNodeUpdate)
	wantCounts(t, &quiet.Plan, 0, 0, 0, 0)

	r.link("n2", fleet.LinkLost)
	out := r.run(fleet.TriggerNodeUpdate)
	wantCounts(t, &out.Plan, 1, 1, 0, 0)
	stop, group := out.Plan.Stops[0], out.Plan.Groups[0]
	if !stop.Lost || stop.Reason != "node n2 is lost" || group.Prevs[0].Alloc != stop.Alloc || group.Prevs[0].Reschedule {
		t.Fatalf("stop %+v, prevs %+v", stop, group.Prevs)
	}
	if out.Explain.Groups[0].Lost != 1 {
		t.Fatalf("explain %+v", out.Explain.Groups[0])
	}
	r.link("n2", fleet.LinkOnline)
	back := r.run(fleet.TriggerNodeUpdate)
	wantCounts(t, &back.Plan, 0, 0, 0, 0)
}

func TestLostWithoutRoomKeepsItsChain(t *testing.T) {
	r := newRegion(t)
	r.nodes(1)
	r.job(nil)
	r.run(fleet.TriggerJobRegister)
	r.link("n0", fleet.LinkLost)
	out := r.run(fleet.TriggerNodeUpdate)
	wantCounts(t, &out.Plan, 0, 3, 0, 0)
	r.node("new", nil)
	out = r.run(fleet.TriggerQueued)
	wantCounts(t, &out.Plan, 3, 0, 0, 0)
	for _, p := range out.Plan.Groups[0].Prevs {
		if p.Alloc.IsZero() {
			t.Fatal("a replacement lost its predecessor")
		}
	}
}

func TestUpdates(t *testing.T) {
	tests := []struct {
		name                     string
		edit                     func(j *fleet.Job)
		placed, stopped, updated int
	}{
		{"priority in place", func(j *fleet.Job) { j.Priority = fleet.Ptr(70) }, 0, 0, 3},
		{"memory replaces", func(j *fleet.Job) { j.TaskGroups[0].Tasks[0].Resources.MemoryMB = fleet.Ptr(300) }, 3, 3, 0},
		{"constraint that holds", func(j *fleet.Job) {
			j.Constraints = []fleet.Constraint{{LTarget: "${attr.cpu.arch}", RTarget: "amd64"}}
		}, 0, 0, 3},
		{"constraint that no node meets: all run on", func(j *fleet.Job) {
			j.Constraints = []fleet.Constraint{{LTarget: "${attr.cpu.arch}", RTarget: "arm64"}}
		}, 0, 0, 0},
		{"too large for any node: all run on", func(j *fleet.Job) { j.TaskGroups[0].Tasks[0].Resources.MemoryMB = fleet.Ptr(9000) }, 0, 0, 0},
		{"group renamed", func(j *fleet.Job) { j.TaskGroups[0].Name = "other" }, 3, 3, 0},
		{"another group added", func(j *fleet.Job) {
			j.TaskGroups = append(j.TaskGroups, fleet.TaskGroup{Name: "b", Tasks: []fleet.Task{{Name: "t", Driver: "wasm"}}})
		}, 1, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegion(t)
			r.nodes(2)
			r.job(nil)
			r.run(fleet.TriggerJobRegister)
			r.job(tt.edit)
			out := r.run(fleet.TriggerJobRegister)
			wantCounts(t, &out.Plan, tt.placed, tt.stopped, tt.updated, 0)
			again := r.run(fleet.TriggerNodeUpdate)
			wantCounts(t, &again.Plan, 0, 0, 0, 0)
		})
	}
}

func TestUpdateOnAFullNodeGoesThrough(t *testing.T) {
	r := newRegion(t)
	r.nodes(1)
	memory := func(mb, count int) func(*fleet.Job) {
		return func(j *fleet.Job) {
			j.TaskGroups[0].Count, j.TaskGroups[0].Tasks[0].Resources.MemoryMB = &count, &mb
		}
	}
	r.job(memory(1024, 4))
	r.run(fleet.TriggerJobRegister)
	r.job(memory(1300, 4))
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 3, 4, 0, 0)
	if out.Explain.Groups[0].Queued != 1 {
		t.Fatalf("explain %+v", out.Explain.Groups[0])
	}
}

func TestFailedIsRescheduled(t *testing.T) {
	r := newRegion(t)
	r.nodes(2)
	r.job(func(j *fleet.Job) {
		j.TaskGroups[0].Count = fleet.Ptr(1)
		j.TaskGroups[0].ReschedulePolicy = &fleet.ReschedulePolicy{
			Attempts: fleet.Ptr(1), Interval: fleet.Ptr(fleet.Duration(time.Hour)), Delay: fleet.Ptr(fleet.Duration(30 * time.Second)),
		}
	})
	r.run(fleet.TriggerJobRegister)
	first := r.live()[0]
	r.observe(0, state.ObservedFailed)

	out := r.run(fleet.TriggerAllocFailure)
	wantCounts(t, &out.Plan, 0, 0, 0, 1)
	follow := out.Plan.Evals[1]
	if follow.Trigger != fleet.TriggerReschedule || follow.Status != fleet.EvalPending || follow.ID != out.Plan.Stops[0].Followup ||
		follow.WaitUntil != r.now.Add(30*time.Second).UnixNano() {
		t.Fatalf("follow-up %+v", follow)
	}
	again := r.run(fleet.TriggerNodeUpdate)
	wantCounts(t, &again.Plan, 0, 0, 0, 0) // marked already

	// The follow-up's own run places it, even by a clock that is a little behind.
	r.now = r.now.Add(29 * time.Second)
	out = Schedule(r.input(r.store.View().Eval(follow.ID)))
	r.apply(&out.Plan)
	wantCounts(t, &out.Plan, 1, 0, 0, 0)
	if p := out.Plan.Groups[0].Prevs[0]; !p.Reschedule || p.Delay.Std() != 30*time.Second {
		t.Fatalf("prev %+v", p)
	}
	if second := r.live()[0]; second == first {
		t.Fatalf("placed on %s again, where it failed", second)
	}

	r.observe(0, state.ObservedFailed) // the one attempt is used up
	r.now = r.now.Add(time.Minute)
	out = r.run(fleet.TriggerAllocFailure)
	wantCounts(t, &out.Plan, 0, 0, 0, 0)
	if out.Explain.Groups[0].Spent != 1 {
		t.Fatalf("explain %+v", out.Explain.Groups[0])
	}
	r.job(func(j *fleet.Job) { j.Meta = map[string]string{"fixed": "yes"} }) // a new version is a new chance
	out = r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 3, 0, 0, 0)
}

func TestFailedOnTheOnlyNodeGoesBackThere(t *testing.T) {
	r := newRegion(t)
	r.nodes(1)
	r.job(nil)
	r.run(fleet.TriggerJobRegister)
	r.observe(2, state.ObservedFailed)
	r.now = r.now.Add(time.Minute)
	out := r.run(fleet.TriggerAllocFailure)
	wantCounts(t, &out.Plan, 1, 0, 0, 0)
}

func TestComplete(t *testing.T) {
	for typ, placed := range map[string]int{fleet.JobTypeService: 1, fleet.JobTypeBatch: 0} {
		r := newRegion(t)
		r.nodes(1)
		r.job(func(j *fleet.Job) { j.Type = typ })
		r.run(fleet.TriggerJobRegister)
		r.observe(1, state.ObservedComplete)
		out := r.run(fleet.TriggerNodeUpdate)
		wantCounts(t, &out.Plan, placed, 0, 0, 0)
		// A new version that changes what runs does a batch job's work again.
		r.job(func(j *fleet.Job) {
			j.Type = typ
			j.TaskGroups[0].Tasks[0].Env = map[string]string{"A": "1"}
		})
		out = r.run(fleet.TriggerJobRegister)
		wantCounts(t, &out.Plan, 3, 2+placed, 0, 0)
	}
}

func TestBlocksOnceAndIsWoken(t *testing.T) {
	r := newRegion(t)
	r.node("small", func(n *fleet.Node) { n.NodeResources.Memory.MemoryMB = 300 })
	r.job(nil)
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 1, 0, 0, 0)
	done, blocked := out.Plan.Evals[0], out.Plan.Evals[1]
	if done.Status != fleet.EvalComplete || done.Blocked != blocked.ID || done.Groups[0].Queued != 2 {
		t.Fatalf("completed %+v", done)
	}
	if blocked.Status != fleet.EvalBlocked || blocked.Trigger != fleet.TriggerQueued || blocked.Prev != done.ID {
		t.Fatalf("blocked %+v", blocked)
	}
	out = r.run(fleet.TriggerNodeUpdate) // does not add a second one
	if len(out.Plan.Evals) != 2 || out.Plan.Evals[1].ID != blocked.ID {
		t.Fatalf("evaluations %+v", out.Plan.Evals)
	}
	out = Schedule(r.input(r.store.View().Eval(blocked.ID))) // woken for nothing: waits on
	r.apply(&out.Plan)
	if len(out.Plan.Evals) != 1 || out.Plan.Evals[0].Status != fleet.EvalBlocked || out.Plan.Evals[0].ID != blocked.ID {
		t.Fatalf("evaluations %+v", out.Plan.Evals)
	}
	r.node("large", nil)
	out = Schedule(r.input(r.store.View().Eval(blocked.ID)))
	r.apply(&out.Plan)
	wantCounts(t, &out.Plan, 2, 0, 0, 0)
	if out.Plan.Evals[0].Status != fleet.EvalComplete {
		t.Fatalf("evaluation %+v", out.Plan.Evals[0])
	}
}

func TestPlacedByAnotherCancelsTheBlocked(t *testing.T) {
	r := newRegion(t)
	r.job(nil)
	r.run(fleet.TriggerJobRegister)
	r.nodes(1)
	out := r.run(fleet.TriggerNodeUpdate)
	if len(out.Plan.Evals) != 2 || out.Plan.Evals[1].Status != fleet.EvalCancelled {
		t.Fatalf("evaluations %+v", out.Plan.Evals)
	}
}

func TestUnknownTypeIsRefusedInWords(t *testing.T) {
	r := newRegion(t)
	r.job(func(j *fleet.Job) { j.Type = "cron" })
	out := r.run(fleet.TriggerJobRegister)
	if e := out.Plan.Evals[0]; e.Status != fleet.EvalFailed || !strings.Contains(out.Explain.Refused, `jobs of type "cron"`) {
		t.Fatalf("%+v %q", e, out.Explain.Refused)
	}
}

func TestPlansInFlightCount(t *testing.T) {
	r := newRegion(t)
	r.nodes(1)
	r.job(nil)
	in := r.input(r.eval(fleet.TriggerJobRegister))
	in.InFlight = func(state.NodeKey) state.Usage { return state.Usage{CPU: 3000} }
	out := Schedule(in)
	wantCounts(t, &out.Plan, 2, 0, 0, 0)
}

func TestReplayGivesTheSamePlan(t *testing.T) {
	r := newRegion(t)
	r.nodes(20)
	r.job(func(j *fleet.Job) { j.TaskGroups[0].Count = fleet.Ptr(40) })
	in := r.input(r.eval(fleet.TriggerJobRegister))
	in.InFlight = func(k state.NodeKey) state.Usage { return state.Usage{MemoryMB: int64(k) * 10} }
	in.Stripe = Stripe{Worker: 1, Of: 2}
	dump, err := Dump(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Replay(dump)
	if err != nil {
		t.Fatal(err)
	}
	want := Schedule(in)
	want.Plan.Evals[0].Key = 0 // a dump does not carry row keys
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("replayed\n%+v\nwant\n%+v", got, want)
	}
	if _, err := Replay(dump[:len(dump)-9]); err == nil {
		t.Fatal("a truncated dump was replayed")
	}
}

func FuzzReadDump(f *testing.F) {
	r := newRegion(f)
	r.nodes(1)
	r.job(nil)
	dump, err := Dump(r.input(r.eval(fleet.TriggerJobRegister)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(dump)
	f.Add([]byte(dumpMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if in, err := ReadDump(b); err == nil && in.Eval == nil {
			t.Fatal("a dump without an evaluation was accepted")
		}
	})
}

func TestARestoredAllocationKeepsItsRoomFromOtherGroups(t *testing.T) {
	r := newRegion(t)
	r.nodes(1)
	group := func(name string, mb int) fleet.TaskGroup {
		return fleet.TaskGroup{Name: name, Tasks: []fleet.Task{{
			Name: "t", Driver: "wasm", Resources: &fleet.Resources{CPU: fleet.Ptr(100), MemoryMB: &mb}}}}
	}
	r.job(func(j *fleet.Job) { j.TaskGroups = []fleet.TaskGroup{group("a", 2048)} })
	r.run(fleet.TriggerJobRegister)
	r.job(func(j *fleet.Job) { j.TaskGroups = []fleet.TaskGroup{group("a", 5000), group("b", 3000)} })
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 0, 0, 0, 0) // a runs on, and b does not fit beside it
}
