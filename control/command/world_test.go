package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// world is a region that takes commands one by one.
type world struct {
	t     testing.TB
	store *state.Store
	index uint64
	log   [][]byte
}

func newWorld(t testing.TB) *world { return &world{t: t, store: state.New()} }

func uid(n int) fleet.UUID {
	return fleet.UUID{0: byte(n >> 16), 1: byte(n >> 8), 2: byte(n), 6: 0x40, 8: 0x80, 15: 1}
}

// try applies one command. When it fails the state must not have changed.
func (w *world) try(c Command) (any, error) {
	w.t.Helper()
	w.index++
	entry := Encode(c)
	w.log = append(w.log, entry)
	before := checkpoint(w.t, w.store.View())
	txn := w.store.Begin()
	result, err := Apply(txn, w.index, entry)
	if err == nil {
		txn.Commit(w.index)
		return result, nil
	}
	if result != nil {
		w.t.Errorf("a result with an error: %v", result)
	}
	if after := checkpoint(w.t, &txn.View); !bytes.Equal(before, after) {
		w.t.Errorf("%T failed (%v) and changed the state", c, err)
	}
	return nil, err
}

func do[R any](w *world, c Command) R {
	w.t.Helper()
	result, err := w.try(c)
	if err != nil {
		w.t.Fatalf("%T: %v", c, err)
	}
	return result.(R)
}

func (w *world) refuse(c Command, want error) {
	w.t.Helper()
	if _, err := w.try(c); !errors.Is(err, want) {
		w.t.Errorf("%T: got %v, want %v", c, err, want)
	}
}

func checkpoint(t testing.TB, v *state.View) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := v.WriteCheckpoint(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jobSpec(id fleet.JobID, kind string, count, cpu int) []byte {
	return fleet.CanonicalBytes(&fleet.Job{ID: id, Type: kind, TaskGroups: []fleet.TaskGroup{{
		Name: "app", Count: &count, Tasks: []fleet.Task{{
			Name: "main", Driver: "wasm", Resources: &fleet.Resources{CPU: &cpu, MemoryMB: fleet.Ptr(64)},
		}},
	}}})
}

func nodeSpec(name string, cpu int64) []byte {
	n := fleet.Node{Name: name, Datacenter: "dc1", NodeResources: fleet.NodeResources{
		CPU: fleet.NodeCPU{CPUShares: cpu}, Memory: fleet.NodeMemory{MemoryMB: 8192},
	}}
	b, err := json.Marshal(&n)
	if err != nil {
		panic(err)
	}
	return b
}

func (w *world) job(id fleet.JobID, kind string, eval int) JobRegistered {
	w.t.Helper()
	return do[JobRegistered](w, JobRegister{Spec: jobSpec(id, kind, 3, 100), EvalID: uid(eval), At: 1000})
}

func (w *world) node(n int) state.NodeKey {
	w.t.Helper()
	return do[NodeRegistered](w, NodeRegister{ID: uid(n), Spec: nodeSpec("n", 4000), Addr: "a:1", At: 10}).Key
}

// place puts allocations with the given IDs on a node, version 0.
func (w *world) place(job fleet.JobID, node state.NodeKey, ids ...int) Planned {
	w.t.Helper()
	g := Placements{}
	for i, id := range ids {
		g.Nodes, g.Names, g.IDs = append(g.Nodes, node), append(g.Names, uint32(i)), append(g.IDs, uid(id))
	}
	return do[Planned](w, Plan{Namespace: "default", Job: job, At: 2000, Groups: []Placements{g}})
}

func (w *world) report(node int, alloc int, status string) StatusesApplied {
	w.t.Helper()
	return do[StatusesApplied](w, Statuses{At: 3000, Seed: [32]byte{byte(w.index)}, Nodes: []NodeStatuses{{
		Node: uid(node), Allocs: []wire.AllocStatus{{ID: uid(alloc), Status: status}},
	}}})
}

func (w *world) alloc(id int) *state.Alloc {
	w.t.Helper()
	a := w.store.View().AllocByID(uid(id))
	if a == nil {
		w.t.Fatalf("allocation %d is missing", id)
	}
	return a
}

func (w *world) usage(k state.NodeKey) state.Usage { return w.store.View().Usage(k) }
