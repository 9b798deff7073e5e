package command

import (
	"bytes"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// TestWhetherTasksMayExceed: it is decided when an allocation is placed, by the pool's words or else the region's, and stays.
func TestWhetherTasksMayExceed(t *testing.T) {
	w := newWorld(t)
	k := w.node(1)
	register := func(id fleet.JobID, pool string, max *int, eval int) {
		do[JobRegistered](w, JobRegister{Spec: fleet.CanonicalBytes(&fleet.Job{ID: id, NodePool: pool, TaskGroups: []fleet.TaskGroup{{
			Name: "app", Count: fleet.Ptr(9), Tasks: []fleet.Task{{
				Name: "main", Driver: "wasm", Resources: &fleet.Resources{CPU: fleet.Ptr(10), MemoryMB: fleet.Ptr(64), MemoryMaxMB: max},
			}},
		}}}), EvalID: uid(eval), At: 1})
	}
	register("plain", "", nil, 100)
	register("roomy", "", fleet.Ptr(256), 101)
	w.place("roomy", k, 10)
	do[SchedulerIs](w, SchedulerSet{Config: []byte(`{"MemoryOversubscriptionEnabled":true}`)})
	w.place("roomy", k, 11)
	w.place("plain", k, 12)
	do[fleet.NodePool](w, NodePoolPut{Pool: []byte(`{"Name":"shops","SchedulerConfiguration":{"MemoryOversubscriptionEnabled":false}}`)})
	register("shop", "shops", fleet.Ptr(256), 102)
	w.place("shop", k, 13)
	do[SchedulerIs](w, SchedulerSet{Config: []byte(`{}`)})
	for id, want := range map[int]bool{10: false, 11: true, 12: false, 13: false} {
		a := w.alloc(id)
		if a.Exceeds != want {
			t.Errorf("allocation %d may exceed its memory: %t", id, a.Exceeds)
		}
		limit := w.store.View().Allocation(a).AllocatedResources.Tasks["main"].Memory.MemoryMaxMB
		if want != (limit == 256) {
			t.Errorf("allocation %d is shown with a limit of %d MiB", id, limit)
		}
	}
	if u := w.usage(k); u.MemoryMB != 4*64 {
		t.Errorf("%d MiB are reserved; memory_max is none of it", u.MemoryMB)
	}
	w.report(1, 11, fleet.ClientRunning)
	v, err := state.ReadCheckpoint(bytes.NewReader(checkpoint(t, w.store.View())))
	if err != nil {
		t.Fatal(err)
	}
	if a := v.AllocByID(uid(11)); !a.Exceeds || v.AllocByID(uid(10)).Exceeds {
		t.Error("it is not in the checkpoint")
	}
}
