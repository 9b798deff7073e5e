package reap

import (
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

func uid(n int) fleet.UUID { return fleet.UUID{0: byte(n >> 8), 1: byte(n), 6: 0x40, 8: 0x80, 15: 1} }

type world struct {
	store *state.Store
	index uint64
}

func (w *world) do(f func(x *state.Txn)) {
	w.index++
	x := w.store.Begin()
	f(x)
	x.Commit(w.index)
}

func (w *world) job(id fleet.JobID, typ string, stop bool) *state.Job {
	spec := &fleet.Job{ID: id, Type: typ, TaskGroups: []fleet.TaskGroup{{Name: "g", Tasks: []fleet.Task{{Name: "t", Driver: "wasm"}}}}}
	fleet.Canonicalize(spec)
	var j *state.Job
	w.do(func(x *state.Txn) {
		v := state.NewJobVersion(x.NextJobKey(), 0, spec, fleet.CanonicalBytes(spec), 0, w.index)
		j = x.PutJob(state.Job{Namespace: "default", ID: id, Stop: stop, JobModifyIndex: w.index, Versions: []*state.JobVersion{v}}, w.index)
	})
	return j
}

const hour = int64(time.Hour)

var ages = Config{EvalAge: time.Hour, BatchEvalAge: 2 * time.Hour, JobAge: 4 * time.Hour, NodeAge: 6 * time.Hour}

// pass forgets all that a pass finds, through the log's own bytes.
func (w *world) pass(t interface{ Fatal(...any) }, cfg Config, now int64) (steps int) {
	p := NewPass(cfg)
	for more := true; more; steps++ {
		var step command.Reap
		if step, more = p.Next(w.store.View(), now); Empty(&step) {
			continue
		}
		w.do(func(x *state.Txn) {
			if _, err := command.Apply(x, w.index, command.Encode(&step)); err != nil {
				t.Fatal(err)
			}
		})
	}
	return steps
}

// Whatever a region has: what runs, what may run where nobody looks, and what a job
// counts on, is there afterwards; and nothing is left that should have gone.
func TestWhatIsForgotten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{store: state.New()}
		now := 10 * hour
		var nodes []*state.Node
		for i := range rapid.IntRange(1, 4).Draw(rt, "nodes") {
			n := state.Node{ID: uid(i + 1), Spec: &fleet.Node{}, Link: fleet.LinkOnline}
			if rapid.Bool().Draw(rt, "lost") {
				n.Link = fleet.LinkLost
				n.AwaySince = rapid.Int64Range(0, 10).Draw(rt, "away") * hour
				n.LinkSince = n.AwaySince
			}
			w.do(func(x *state.Txn) { nodes = append(nodes, x.PutNode(n, w.index)) })
		}
		types := []string{fleet.JobTypeService, fleet.JobTypeBatch, fleet.JobTypeSystem, fleet.JobTypeSysBatch}
		for i := range rapid.IntRange(0, 4).Draw(rt, "jobs") {
			id := fleet.JobID(rune('a' + i))
			j := w.job(id, rapid.SampledFrom(types).Draw(rt, "type"), rapid.Bool().Draw(rt, "stopped"))
			for k := range rapid.IntRange(0, 4).Draw(rt, "allocs") {
				a := &state.Alloc{
					ID: uid(100 + 10*i + k), Version: j.Current(), Node: rapid.SampledFrom(nodes).Draw(rt, "node").Key, Index: uint32(k),
					Desired:    rapid.SampledFrom([]state.Desired{state.DesiredRun, state.DesiredStop}).Draw(rt, "desired"),
					Observed:   state.Observed(rapid.IntRange(0, 5).Draw(rt, "observed")),
					ModifyTime: rapid.Int64Range(0, 10).Draw(rt, "at") * hour, Eval: uid(200 + 10*i),
				}
				w.do(func(x *state.Txn) {
					if err := x.InsertAllocs([]*state.Alloc{a}, w.index); err != nil {
						rt.Fatal(err)
					}
				})
			}
			for k := range rapid.IntRange(0, 3).Draw(rt, "evals") {
				e := state.Eval{
					ID: uid(200 + 10*i + k), Namespace: "default", Job: id, Type: j.Current().Spec.Type, ModifyTime: rapid.Int64Range(0, 10).Draw(rt, "at") * hour,
					Status: rapid.SampledFrom([]string{fleet.EvalComplete, fleet.EvalComplete, fleet.EvalBlocked}).Draw(rt, "status"),
				}
				w.do(func(x *state.Txn) { x.PutEval(e, w.index) })
			}
		}
		before := w.store.View()
		w.pass(rt, ages, now)
		check(rt, before, w.store.View(), now)
		if again := w.store.View().AllocCount(); w.pass(rt, ages, now) != 1 || w.store.View().AllocCount() > again {
			rt.Fatal("a second pass is not one look")
		}
	})
}

func check(rt *rapid.T, before, after *state.View, now int64) {
	for a := range before.Allocs() {
		told := a.Observed == state.ObservedComplete || a.Observed == state.ObservedFailed
		there := after.AllocByID(a.ID) != nil
		j := before.Job(a.Version.Job)
		switch {
		case there:
		case a.Holds() || !told:
			rt.Fatalf("%s is forgotten; it is %s and %s", a.ID, a.Desired, a.Observed)
		case after.Job(j.Key) != nil && a.Desired == state.DesiredRun && after.Node(a.Node) != nil:
			rt.Fatalf("%s holds a slot of a job that is there, and is forgotten", a.ID)
		case now-a.ModifyTime < hour && after.Node(a.Node) != nil:
			rt.Fatalf("%s is forgotten after %s", a.ID, time.Duration(now-a.ModifyTime))
		}
		if there && told && a.Desired != state.DesiredRun && now-a.ModifyTime >= 2*hour {
			rt.Fatalf("%s is remembered: %s, %s, for %s", a.ID, a.Desired, a.Observed, time.Duration(now-a.ModifyTime))
		}
	}
	for e := range before.Evals() {
		if after.Eval(e.ID) == nil && (!e.Ended() || now-e.ModifyTime < hour) {
			rt.Fatalf("evaluation %s is forgotten: %s", e.ID, e.Status)
		}
	}
	for n := range before.Nodes() {
		if after.Node(n.Key) == nil && (n.Link != fleet.LinkLost || now-n.AwaySince < 6*hour) {
			rt.Fatalf("node %s is forgotten: %s", n.ID, n.Link)
		}
	}
	for j := range before.Jobs() {
		if after.Job(j.Key) == nil && !j.Stop && j.Current().Spec.Type != fleet.JobTypeBatch {
			rt.Fatalf("job %s is forgotten and is not dead", j.ID)
		}
	}
	for a := range after.Allocs() {
		if after.Node(a.Node) == nil {
			rt.Fatalf("%s is on a node that is forgotten", a.ID)
		}
	}
}

// One decision is bounded, and a pass comes to its end.
func TestAPassIsManyLooks(t *testing.T) {
	w := &world{store: state.New()}
	var n *state.Node
	w.do(func(x *state.Txn) {
		n = x.PutNode(state.Node{ID: uid(1), Spec: &fleet.Node{}, Link: fleet.LinkOnline}, w.index)
	})
	j := w.job("a", fleet.JobTypeService, false)
	rows := make([]*state.Alloc, 2500)
	for i := range rows {
		rows[i] = &state.Alloc{ID: uid(i + 10), Version: j.Current(), Node: n.Key, Desired: state.DesiredStop, Observed: state.ObservedComplete}
	}
	w.do(func(x *state.Txn) {
		if err := x.InsertAllocs(rows, w.index); err != nil {
			t.Fatal(err)
		}
	})
	if steps := w.pass(t, Now(), hour); steps != 3 || w.store.View().AllocCount() != 0 {
		t.Fatalf("%d steps, %d left", steps, w.store.View().AllocCount())
	}
}
