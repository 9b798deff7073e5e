package plan

import (
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// cameraJob registers a job of one group whose task wants one camera.
func (w *world) cameraJob(name string) {
	spec := &fleet.Job{ID: fleet.JobID(name), TaskGroups: []fleet.TaskGroup{{Name: "g", Tasks: []fleet.Task{{
		Name: "t", Driver: "wasm", Resources: &fleet.Resources{CPU: fleet.Ptr(1), MemoryMB: fleet.Ptr(1), Devices: []fleet.RequestedDevice{{Name: "camera"}}},
	}}}}}
	fleet.Canonicalize(spec)
	w.do(func(x *state.Txn) {
		v := state.NewJobVersion(x.NextJobKey(), 0, spec, fleet.CanonicalBytes(spec), 0, w.index)
		x.PutJob(state.Job{Namespace: spec.Namespace, ID: spec.ID, Versions: []*state.JobVersion{v}}, w.index)
	})
}

// offer says which cameras a node has; of those that begin with "sick" it says so.
func (w *world) offer(k state.NodeKey, ids ...string) {
	d := fleet.NodeDeviceResource{Vendor: "acme", Type: "camera", Name: "c"}
	for _, id := range ids {
		d.Instances = append(d.Instances, fleet.NodeDevice{ID: strings.TrimPrefix(id, "sick "), Healthy: !strings.HasPrefix(id, "sick ")})
	}
	w.do(func(x *state.Txn) {
		n := *x.Node(k)
		spec := *n.Spec
		spec.NodeResources.Devices = []fleet.NodeDeviceResource{d}
		n.Spec = &spec
		x.PutNode(n, w.index)
	})
}

// camera is a plan that gives cameras on a node, one to each.
func (w *world) camera(job string, k state.NodeKey, ids ...string) *command.Plan {
	p := w.plan(job)
	for range ids {
		w.place(p, 0, k)
	}
	for i, id := range ids {
		g := wire.Grants{Devices: []wire.GrantedDevice{{Task: "t", Device: "acme/camera/c", IDs: []string{id}}}}
		p.Groups[i].Granted = []wire.Granted{g.Pack()}
	}
	return p
}

func wantVerdict(t *testing.T, what string, v Verdict, want string) {
	t.Helper()
	if want == "" && !v.Whole() || want != "" && (len(v.Rejected) != 1 || !strings.Contains(v.Rejected[0].Reason, want) || len(v.Accepted.Groups) != 0) {
		t.Errorf("%s: refused %+v, want %q", what, v.Rejected, want)
	}
}

func TestDevicesAreChecked(t *testing.T) {
	w := newWorld()
	w.cameraJob("a")
	w.cameraJob("b")
	n := w.node(100, 100, "online")
	w.offer(n, "c0", "c1", "sick c2")

	// Two plans that give one camera: the second is refused while the first is under way, and when it has landed.
	first := w.camera("a", n, "c0")
	v := Verify(w.store.View(), nil, first)
	wantVerdict(t, "the first", v, "")
	var air Overlay
	air.Add(1, v.Delta)
	wantVerdict(t, "one in flight", Verify(w.store.View(), air.Usage(), w.camera("b", n, "c0")), "device c0 (acme/camera/c) is held on node n1 by now")
	wantVerdict(t, "the other one", Verify(w.store.View(), air.Usage(), w.camera("b", n, "c1")), "")
	wantVerdict(t, "both in one plan", Verify(w.store.View(), nil, w.camera("b", n, "c1", "c1")), "is held on node")
	blind := Planted{DevicesUnchecked: true}.Verify(w.store.View(), air.Usage(), w.camera("b", n, "c0"))
	wantVerdict(t, "the planted bug", blind, "")
	w.commit(&v.Accepted)
	wantVerdict(t, "one that has landed", Verify(w.store.View(), nil, w.camera("b", n, "c0")), "is held on node")

	// What is not offered is not given: unhealthy, unknown, or gone since the plan was made.
	wantVerdict(t, "a sick one", Verify(w.store.View(), nil, w.camera("b", n, "c2")), "device c2 (acme/camera/c) is not offered by node")
	late := w.camera("b", n, "c1")
	w.offer(n, "c0")
	wantVerdict(t, "one that was unplugged", Verify(w.store.View(), nil, late), "c1 (acme/camera/c) is not offered by node")
	w.offer(n, "c0", "c1")

	// A successor takes the camera of the one that it replaces, and nobody else's.
	replace := w.camera("a", n, "c0")
	replace.Stops = []command.Stop{{Alloc: first.Groups[0].IDs[0], Desired: state.DesiredStop}}
	wantVerdict(t, "a successor", Verify(w.store.View(), nil, replace), "")
	malformed := w.camera("a", n, "c1")
	malformed.Groups[0].Granted = []wire.Granted{port(80)}
	wantVerdict(t, "something else", Verify(w.store.View(), nil, malformed), "the plan is malformed")
}

// What an orphan holds, or an allocation whose device is away, is not given again.
func TestDevicesOfTheAbsentAreKept(t *testing.T) {
	w := newWorld()
	w.cameraJob("a")
	n := w.node(100, 100, "online")
	w.offer(n, "c0", "c1")
	first := w.camera("a", n, "c0")
	w.commit(first)
	w.do(func(x *state.Txn) {
		row := x.AllocByID(first.Groups[0].IDs[0])
		c := *row
		c.Observed = state.ObservedUnknown
		x.UpdateAlloc(row, c, w.index)
		g := wire.Grants{Devices: []wire.GrantedDevice{{Task: "t", Device: "old/camera/name", IDs: []string{"c1"}}}}
		node := *x.Node(n)
		node.Orphans = []state.Orphan{{Orphan: wire.Orphan{ID: uid(4711), Job: wire.JobKey{ID: "old"}, Group: "g", Granted: g.Pack()}}}
		x.PutNode(node, w.index)
	})
	wantVerdict(t, "of one that is away", Verify(w.store.View(), nil, w.camera("a", n, "c0")), "device c0 (acme/camera/c) is held on node")
	wantVerdict(t, "of an orphan", Verify(w.store.View(), nil, w.camera("a", n, "c1")), "device c1 (acme/camera/c) is held on node")
}
