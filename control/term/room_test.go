package term

import (
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// TestDiskOfANode: what waits for disk is woken by a node that has it, or will have it when the job's own makes way.
func TestDiskOfANode(t *testing.T) {
	store := state.New()
	do := func(index uint64, f func(x *state.Txn)) *state.View {
		x := store.Begin()
		f(x)
		return x.Commit(index)
	}
	job := func(x *state.Txn, id fleet.JobID, disk int) *state.JobVersion {
		spec := &fleet.Job{ID: id, TaskGroups: []fleet.TaskGroup{{Name: "g", EphemeralDisk: &fleet.EphemeralDisk{SizeMB: &disk}, Tasks: []fleet.Task{{Name: "t", Driver: "wasm"}}}}}
		fleet.Canonicalize(spec)
		v := state.NewJobVersion(x.NextJobKey(), 0, spec, fleet.CanonicalBytes(spec), 0, 1)
		x.PutJob(state.Job{Namespace: spec.Namespace, ID: id, Versions: []*state.JobVersion{v}}, 1)
		return v
	}
	var mine, other *state.JobVersion
	var node *state.Node
	spec := &fleet.Node{Name: "n", NodeResources: fleet.NodeResources{CPU: fleet.NodeCPU{CPUShares: 9999}, Memory: fleet.NodeMemory{MemoryMB: 9999}, Disk: fleet.NodeDisk{DiskMB: 500}}}
	v := do(1, func(x *state.Txn) {
		mine, other = job(x, "mine", 300), job(x, "other", 200)
		node = x.PutNode(state.Node{ID: fleet.MintUUID([16]byte{1}), Spec: spec, Link: fleet.LinkOnline}, 1)
	})
	if !fits(v, mine, 0, node) {
		t.Error("300 MiB do not fit into 500")
	}
	put := func(index uint64, version *state.JobVersion) {
		v = do(index, func(x *state.Txn) {
			if err := x.InsertAllocs([]*state.Alloc{{ID: fleet.MintUUID([16]byte{2, byte(index)}), Version: version, Node: node.Key}}, index); err != nil {
				t.Fatal(err)
			}
		})
	}
	put(2, other)
	if !fits(v, mine, 0, node) {
		t.Error("300 MiB do not fit into what 200 of 500 leave")
	}
	put(3, other)
	if fits(v, mine, 0, node) {
		t.Error("300 MiB fit into what 400 of 500 leave")
	}
	v = do(4, func(x *state.Txn) {
		for a := range x.AllocsByNode(node.Key) {
			c := *a
			c.Desired = state.DesiredStop
			x.UpdateAlloc(a, c, 4)
			break
		}
	})
	put(5, mine)
	if !fits(v, mine, 0, node) {
		t.Error("a successor does not fit into the place of its predecessor")
	}
}

// TestDevicesOfANode: what waits for a device is woken by a node that has it free, or will have it when the job's own makes way.
func TestDevicesOfANode(t *testing.T) {
	store := state.New()
	do := func(index uint64, f func(x *state.Txn)) *state.View {
		x := store.Begin()
		f(x)
		return x.Commit(index)
	}
	job := func(x *state.Txn, id fleet.JobID) *state.JobVersion {
		spec := &fleet.Job{ID: id, TaskGroups: []fleet.TaskGroup{{Name: "g", Tasks: []fleet.Task{{
			Name: "t", Driver: "wasm", Resources: &fleet.Resources{Devices: []fleet.RequestedDevice{{Name: "camera"}}},
		}}}}}
		fleet.Canonicalize(spec)
		v := state.NewJobVersion(x.NextJobKey(), 0, spec, fleet.CanonicalBytes(spec), 0, 1)
		x.PutJob(state.Job{Namespace: spec.Namespace, ID: id, Versions: []*state.JobVersion{v}}, 1)
		return v
	}
	spec := &fleet.Node{Name: "n", Datacenter: "dc1", NodeResources: fleet.NodeResources{
		CPU: fleet.NodeCPU{CPUShares: 9999}, Memory: fleet.NodeMemory{MemoryMB: 9999},
		Devices: []fleet.NodeDeviceResource{{Vendor: "a", Type: "camera", Name: "c", Instances: []fleet.NodeDevice{{ID: "0", Healthy: true}}}},
	}, Drivers: map[string]fleet.DriverInfo{"wasm": {Detected: true, Healthy: true}}}
	var mine, other *state.JobVersion
	var node *state.Node
	var r room
	v := do(1, func(x *state.Txn) {
		mine, other = job(x, "mine"), job(x, "other")
		node = x.PutNode(state.Node{ID: fleet.MintUUID([16]byte{1}), Spec: spec, Link: fleet.LinkOnline}, 1)
	})
	if !r.takes(v, mine, 0, node) {
		t.Error("a free camera wakes nobody")
	}
	held := wire.Grants{Devices: []wire.GrantedDevice{{Task: "t", Device: "a/camera/c", IDs: []string{"0"}}}}
	give := func(index uint64, version *state.JobVersion) {
		v = do(index, func(x *state.Txn) {
			for a := range x.AllocsByNode(node.Key) {
				c := *a
				c.Desired = state.DesiredStop
				x.UpdateAlloc(a, c, index)
			}
			row := &state.Alloc{ID: fleet.MintUUID([16]byte{2, byte(index)}), Version: version, Node: node.Key}
			if err := x.InsertAllocs([]*state.Alloc{row}, index); err != nil {
				t.Fatal(err)
			}
			x.Grant(row, held.Pack())
		})
	}
	give(2, other)
	if r.takes(v, mine, 0, node) || !r.takes(v, other, 0, node) {
		t.Error("a camera that another job holds wakes who waits for it, or one's own does not")
	}
	give(3, mine)
	if !r.takes(v, mine, 0, node) || r.takes(v, other, 0, node) {
		t.Error("after the camera went to the other job, the wrong one is woken")
	}
	sick := *spec
	sick.NodeResources.Devices = []fleet.NodeDeviceResource{{Vendor: "a", Type: "camera", Name: "c", Instances: []fleet.NodeDevice{{ID: "0"}}}}
	v = do(4, func(x *state.Txn) {
		n := *node
		n.Spec = &sick
		node = x.PutNode(n, 4)
	})
	if r.takes(v, mine, 0, node) {
		t.Error("a camera that is not healthy wakes who waits for one")
	}
}
