package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"pgregory.net/rapid"
)

// model is the region as plain maps: what Txn and View must agree with.
type model struct {
	nodes  map[fleet.UUID]Node
	jobs   map[string]Job
	allocs map[AllocKey]Alloc
	evals  map[fleet.UUID]Eval
	index  uint64
}

func (m model) clone() model {
	return model{maps.Clone(m.nodes), maps.Clone(m.jobs), maps.Clone(m.allocs), maps.Clone(m.evals), m.index}
}

func uid(n int) fleet.UUID { return fleet.UUID{0: byte(n >> 8), 1: byte(n), 15: 1} }

func version(key JobKey, n uint64, id fleet.JobID) *JobVersion {
	job := &fleet.Job{ID: id, TaskGroups: []fleet.TaskGroup{
		{Name: "a", Tasks: []fleet.Task{{Name: "t", Driver: "wasm", Resources: &fleet.Resources{CPU: fleet.Ptr(10 + int(n)), MemoryMB: fleet.Ptr(5)}}}},
		{Name: "b", Tasks: []fleet.Task{{Name: "t", Driver: "wasm", Resources: &fleet.Resources{CPU: fleet.Ptr(3), MemoryMB: fleet.Ptr(7)}}}},
	}}
	raw := fleet.CanonicalBytes(job)
	spec, err := fleetJob(raw)
	if err != nil {
		panic(err)
	}
	return NewJobVersion(key, n, spec, raw, 1, 1)
}

// step makes one random change to both.
func step(t *rapid.T, x *Txn, m *model, index uint64) {
	switch rapid.IntRange(0, 6).Draw(t, "op") {
	case 0:
		n := Node{ID: uid(rapid.IntRange(0, 5).Draw(t, "node")), Spec: &fleet.Node{Name: "n"}, Link: fleet.LinkOnline}
		m.nodes[n.ID] = *x.PutNode(n, index)
	case 1:
		id := fleet.JobID(rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "job"))
		j := Job{Namespace: "default", ID: id}
		if old := x.JobByID("default", id); old != nil {
			j.Versions = append([]*JobVersion{version(old.Key, old.Current().Version+1, id)}, old.Versions...)
		} else {
			j.Versions = []*JobVersion{version(x.NextJobKey(), 0, id)}
		}
		m.jobs[string(id)] = *x.PutJob(j, index)
	case 2:
		id := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "job")
		if j, ok := m.jobs[id]; ok && rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			x.DeleteJob(&j)
			delete(m.jobs, id)
		}
	case 3:
		e := Eval{
			ID: uid(rapid.IntRange(0, 8).Draw(t, "eval")), Namespace: "default", Job: "x", CreateTime: int64(index),
			Status: rapid.SampledFrom([]string{fleet.EvalPending, fleet.EvalBlocked, fleet.EvalComplete}).Draw(t, "status"),
		}
		m.evals[e.ID] = *x.PutEval(e, index)
	case 4, 5:
		insert(t, x, m, index)
	case 6:
		update(t, x, m, index)
	}
}

func insert(t *rapid.T, x *Txn, m *model, index uint64) {
	if len(m.jobs) == 0 || len(m.nodes) == 0 {
		return
	}
	nodes, jobs := slices.Collect(x.Nodes()), slices.Collect(x.Jobs())
	var rows []*Alloc
	fresh := true
	for range rapid.IntRange(1, 4).Draw(t, "rows") {
		id := uid(rapid.IntRange(0, 60).Draw(t, "alloc"))
		for _, a := range rows {
			fresh = fresh && a.ID != id
		}
		for _, a := range m.allocs {
			fresh = fresh && a.ID != id
		}
		rows = append(rows, &Alloc{
			ID: id, Version: rapid.SampledFrom(jobs).Draw(t, "of").Current(), Node: rapid.SampledFrom(nodes).Draw(t, "on").Key,
			Group: uint16(rapid.IntRange(0, 1).Draw(t, "group")),
		})
	}
	if err := x.InsertAllocs(rows, index); (err == nil) != fresh {
		t.Fatalf("inserting %d rows, all new: %t; got %v", len(rows), fresh, err)
	}
	if fresh {
		for _, a := range rows {
			m.allocs[a.Key] = *a
		}
	}
}

func update(t *rapid.T, x *Txn, m *model, index uint64) {
	if len(m.allocs) == 0 {
		return
	}
	key := rapid.SampledFrom(slices.Sorted(maps.Keys(m.allocs))).Draw(t, "changed")
	c := *x.Alloc(key)
	c.Desired = Desired(rapid.IntRange(0, 2).Draw(t, "desired"))
	c.Observed = Observed(rapid.IntRange(0, 4).Draw(t, "observed"))
	if rapid.Bool().Draw(t, "detail") {
		c.Detail = &AllocDetail{DesiredReason: "why", Past: []fleet.ReschedulePast{{RescheduleTime: 4, PrevAllocID: "p", Delay: 3}}}
	}
	old := x.Alloc(key)
	x.UpdateAlloc(old, c, index)
	c.ModifyIndex = index
	m.allocs[key] = c
	if old.Holds() && !c.Holds() {
		n := m.nodes[x.Node(c.Node).ID]
		n.CapacityAt = index
		m.nodes[n.ID] = n
	}
}

// agree compares every way to look at a view with the model.
func agree(v *View, m *model) error {
	var errs []error
	same := func(what string, got, want any) {
		if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
			errs = append(errs, fmt.Errorf("%s: got %s, want %s", what, g, w))
		}
	}
	same("counts", []int{v.NodeCount(), v.JobCount(), v.AllocCount(), v.EvalCount()}, []int{len(m.nodes), len(m.jobs), len(m.allocs), len(m.evals)})
	loads := 0
	for n, u := range v.Loads() {
		same("load", u, v.Usage(n.Key)) // which is compared with the model below
		loads++
	}
	same("loads", loads, len(m.nodes))
	for id, n := range m.nodes {
		got := v.NodeByID(id)
		if got == nil {
			errs = append(errs, fmt.Errorf("node %s is missing", id))
			continue
		}
		n.Spec = got.Spec // a pointer; compared below by name
		n.Class, n.Room = n.Spec.ComputedClass(), n.Spec.Capacity()
		same("node", *got, n)
		same("node's prefix", len(v.NodesByPrefix(id.String()[:8])), 1)
		var usage Usage
		var keys []AllocKey
		for _, key := range slices.Sorted(maps.Keys(m.allocs)) {
			if a := m.allocs[key]; a.Node == n.Key {
				keys = append(keys, key)
				if a.Holds() {
					usage = usage.add(a.Ask(), 1)
				}
			}
		}
		same("usage", v.Usage(n.Key), usage)
		same("allocations by node", keysOf(slices.Collect(v.AllocsByNode(n.Key))), keys)
	}
	for id, j := range m.jobs {
		got := v.JobByID("default", fleet.JobID(id))
		same("job", []any{got.Key, len(got.Versions), got.ModifyIndex}, []any{j.Key, len(j.Versions), j.ModifyIndex})
		var keys []AllocKey
		for _, key := range slices.Sorted(maps.Keys(m.allocs)) {
			if m.allocs[key].Version.Job == j.Key {
				keys = append(keys, key)
			}
		}
		same("allocations by job", keysOf(slices.Collect(v.AllocsByJob(j.Key))), keys)
	}
	for key, a := range m.allocs {
		got := v.Alloc(key)
		same("by ID", v.AllocByID(a.ID), got)
		same("allocation", []any{got.ID, got.Desired, got.Observed, got.ModifyIndex, got.CreateIndex, got.Name(), got.Past()},
			[]any{a.ID, a.Desired, a.Observed, a.ModifyIndex, a.CreateIndex, a.Name(), a.Past()})
	}
	open := 0
	for id, e := range m.evals {
		same("evaluation", *v.Eval(id), e)
		if !e.Ended() {
			open++
		}
	}
	same("open evaluations", len(slices.Collect(v.OpenEvals())), open)
	same("evaluations by job", len(slices.Collect(v.EvalsByJob("default", "x"))), len(m.evals))
	return errors.Join(errs...)
}

func keysOf(rows []*Alloc) (keys []AllocKey) {
	for _, a := range rows {
		keys = append(keys, a.Key)
	}
	return keys
}

// TestAgainstModel: views agree with the model of their own moment, for ever, and
// a restored checkpoint agrees with it too.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New()
		m := model{map[fleet.UUID]Node{}, map[string]Job{}, map[AllocKey]Alloc{}, map[fleet.UUID]Eval{}, 0}
		type moment struct {
			view *View
			want model
		}
		var past []moment
		for i := range rapid.IntRange(1, 12).Draw(t, "transactions") {
			x, next := s.Begin(), m.clone()
			next.index = uint64(i + 1)
			for range rapid.IntRange(0, 8).Draw(t, "steps") {
				step(t, x, &next, next.index)
			}
			if err := agree(&x.View, &next); err != nil {
				t.Fatalf("within the transaction: %v", err)
			}
			if rapid.IntRange(0, 4).Draw(t, "drop") == 0 {
				continue // as if it had never been
			}
			m = next
			past = append(past, moment{x.Commit(m.index), m})
		}
		for i, p := range past {
			if err := agree(p.view, &p.want); err != nil {
				t.Fatalf("view %d of %d: %v", i, len(past), err)
			}
		}
		first, second := checkpointBytes(t, s.View()), []byte(nil)
		restored, err := ReadCheckpoint(bytes.NewReader(first))
		if err != nil {
			t.Fatal(err)
		}
		if err := agree(restored, &m); err != nil {
			t.Fatalf("restored: %v", err)
		}
		if second = checkpointBytes(t, restored); !bytes.Equal(first, second) {
			t.Fatal("a restored state writes another checkpoint")
		}
		cut := rapid.IntRange(0, len(first)-1).Draw(t, "cut")
		if _, err := ReadCheckpoint(bytes.NewReader(first[:cut])); !errors.Is(err, ErrCheckpoint) {
			t.Fatalf("cut to %d of %d bytes: %v", cut, len(first), err)
		}
		first[cut] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := ReadCheckpoint(bytes.NewReader(first)); !errors.Is(err, ErrCheckpoint) {
			t.Fatalf("byte %d flipped: %v", cut, err)
		}
	})
}

func checkpointBytes(t interface{ Fatal(...any) }, v *View) []byte {
	var b bytes.Buffer
	if err := v.WriteCheckpoint(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestForkChangesNothing: a what-if on any view leaves it as it is.
func TestForkChangesNothing(t *testing.T) {
	s := New()
	x := s.Begin()
	x.PutNode(Node{ID: uid(1), Spec: &fleet.Node{}}, 1)
	v := x.Commit(1)
	before := checkpointBytes(t, v)
	fork := v.Fork()
	fork.PutNode(Node{ID: uid(2), Spec: &fleet.Node{}}, 2)
	if fork.NodeCount() != 2 || v.NodeCount() != 1 || !bytes.Equal(before, checkpointBytes(t, v)) {
		t.Error("a fork changed its view")
	}
	x = s.Begin()
	x.PutNode(Node{ID: uid(3), Spec: &fleet.Node{}}, 2)
	if next := x.Commit(2); next.NodeByID(uid(2)) != nil || fork.NodeByID(uid(3)) != nil {
		t.Error("fork and store see each other")
	}
}

func TestSetObservedSkipsRepeats(t *testing.T) {
	s := wire.AllocStatus{Status: fleet.ClientRunning, Description: "up", Tasks: []wire.TaskStatus{{Name: "t", ObservedTask: fleet.ObservedTask{State: fleet.TaskRunning}}}}
	a, changed, err := SetObserved(Alloc{}, &s, 5)
	if !changed || err != nil || a.Observed != ObservedRunning || a.ModifyTime != 5 {
		t.Fatalf("first report: %+v, %t, %v", a, changed, err)
	}
	if _, changed, _ := SetObserved(a, &s, 6); changed {
		t.Error("a repeated report counts as a change")
	}
	s.Tasks = []wire.TaskStatus{{Name: "t", ObservedTask: fleet.ObservedTask{State: fleet.TaskRunning, Restarts: 1}}}
	if _, changed, _ := SetObserved(a, &s, 6); !changed {
		t.Error("a restart is no change")
	}
	if _, _, err := SetObserved(a, &wire.AllocStatus{Status: "asleep"}, 6); err == nil {
		t.Error("an unknown status is believed")
	}
}
