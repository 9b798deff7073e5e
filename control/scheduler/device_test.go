package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// cameras gives a node a kind of camera; of IDs that begin with "sick" it says so.
func cameras(model string, ids ...string) func(*fleet.Node) {
	return func(n *fleet.Node) {
		d := fleet.NodeDeviceResource{Vendor: "acme", Type: "camera", Name: model, Attributes: fleet.DeviceAttributes{"model": model}}
		for _, id := range ids {
			d.Instances = append(d.Instances, fleet.NodeDevice{ID: strings.TrimPrefix(id, "sick "), Healthy: !strings.HasPrefix(id, "sick ")})
		}
		n.NodeResources.Devices = append(n.NodeResources.Devices, d)
	}
}

func wantDevices(count int, ds ...fleet.RequestedDevice) func(*fleet.Job) {
	return func(j *fleet.Job) {
		j.TaskGroups[0].Count = &count
		j.TaskGroups[0].Tasks[0].Resources.Devices = ds
	}
}

// heldCameras are the devices that live allocations hold, as node/ID.
func heldCameras(r *region) (out []string) {
	v := r.store.View()
	for n := range v.Nodes() {
		for _, g := range v.Held(n.Key) {
			held, err := g.Unpack()
			if err != nil {
				r.t.Fatal(err)
			}
			for _, d := range held.Devices {
				for _, id := range d.IDs {
					out = append(out, n.Spec.Name+"/"+id)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// replug changes what a node offers, as an agent that was restarted with another configuration does.
func (r *region) replug(name string, offer ...func(*fleet.Node)) {
	r.do(func(x *state.Txn, index uint64) {
		for n := range r.store.View().Nodes() {
			if n.Spec.Name == name {
				c, spec := *n, *n.Spec
				spec.NodeResources.Devices = nil
				for _, f := range offer {
					f(&spec)
				}
				c.Spec = &spec
				x.PutNode(c, index)
			}
		}
	})
}

// Of four that want a camera each, three find one; the last says who has them. A node
// without cameras is not even asked.
func TestADeviceIsHeldByOne(t *testing.T) {
	r := newRegion(t)
	r.node("n0", cameras("c1", "a", "b"))
	r.node("n1", cameras("c1", "c"))
	r.node("n2", nil)
	r.job(wantDevices(4, fleet.RequestedDevice{Name: "camera"}))
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 3, 0, 0, 0)
	if got := fmt.Sprint(heldCameras(r)); got != "[n0/a n0/b n1/c]" {
		t.Fatal(got)
	}
	m := r.run(fleet.TriggerNodeUpdate).Explain.Groups[0].Metric
	if m.ConstraintFiltered["device camera"] != 1 || m.DimensionExhausted["device camera"] != 2 {
		t.Fatalf("metric: %+v", m)
	}
	for _, want := range []string{"1 of camera; 1 node has none; ", " has 0 free of ", " is held by job app's group web; 2 nodes in all cannot give it; "} {
		if !strings.Contains(words(m), want) {
			t.Errorf("%q is not in\n%s", want, words(m))
		}
	}
	r.node("n3", cameras("c1", "d"))
	more := r.run(fleet.TriggerQueued)
	wantCounts(t, &more.Plan, 1, 0, 0, 0)
}

func TestWhyNoDevice(t *testing.T) {
	r := newRegion(t)
	r.node("n0", cameras("c1", "a", "b"))
	r.node("n1", cameras("c1", "sick c", "d"))
	r.job(wantDevices(1, fleet.RequestedDevice{Name: "acme/camera", Count: fleet.Ptr(2)}))
	r.run(fleet.TriggerJobRegister)
	for node, want := range map[string]string{
		"n0": "device: 2 of acme/camera; n0 has 0 free of 2; a is held by job app's group web; stop what holds it, or add a node that has one",
		"n1": "device: 2 of acme/camera; n1 has 1 healthy of 2; n1 has 1 healthy of 2: ask for fewer, or add a node that has more",
	} {
		if got := words(r.why(node).Groups[0].Metric); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s: want %q, got\n%s", node, want, got)
		}
	}
}

// A new version takes the camera of the one that it replaces on its node; without
// another that is free there is nothing else that it could take.
func TestAnUpdateTakesItsPredecessorsDevice(t *testing.T) {
	r := newRegion(t)
	r.node("n0", cameras("c1", "a"))
	r.job(wantDevices(1, fleet.RequestedDevice{Name: "camera"}))
	r.run(fleet.TriggerJobRegister)
	r.job(func(j *fleet.Job) {
		wantDevices(1, fleet.RequestedDevice{Name: "camera"})(j)
		j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": "2"}
	})
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 1, 1, 0, 0)
	if got := fmt.Sprint(heldCameras(r)); got != "[n0/a]" {
		t.Fatal(got)
	}
	again := r.run(fleet.TriggerNodeUpdate)
	wantCounts(t, &again.Plan, 0, 0, 0, 0)
}

// What holds a camera that is sick or unplugged by now runs on, of whatever type its
// job is; a new version cannot be given that camera, so the old one runs on; and the
// camera is given to nobody else.
func TestWhatHoldsALostDeviceRunsOn(t *testing.T) {
	for _, kind := range []string{fleet.JobTypeService, fleet.JobTypeSystem} {
		t.Run(kind, func(t *testing.T) {
			r := newRegion(t)
			r.node("n0", cameras("c1", "a"))
			job := func(env string) {
				r.job(func(j *fleet.Job) {
					wantDevices(1, fleet.RequestedDevice{Name: "camera"})(j)
					j.Type, j.TaskGroups[0].Tasks[0].Env = kind, map[string]string{"V": env}
				})
			}
			job("1")
			placed := r.run(fleet.TriggerJobRegister)
			wantCounts(t, &placed.Plan, 1, 0, 0, 0)
			r.observe(0, state.ObservedRunning)
			for _, offer := range [][]func(*fleet.Node){{cameras("c1", "sick a")}, nil} {
				r.replug("n0", offer...)
				out := r.run(fleet.TriggerNodeUpdate)
				wantCounts(t, &out.Plan, 0, 0, 0, 0)
			}
			job("2")
			out := r.run(fleet.TriggerJobRegister)
			wantCounts(t, &out.Plan, 0, 0, 0, 0)
			r.replug("n0", cameras("c1", "a"))
			out = r.run(fleet.TriggerNodeUpdate)
			wantCounts(t, &out.Plan, 1, 1, 0, 0)
		})
	}
}

func TestDevicesInFlightAndOfOrphansAreHeld(t *testing.T) {
	r := newRegion(t)
	r.node("n0", cameras("c1", "a", "b", "c"))
	hold := func(kind, id string) wire.Granted {
		g := wire.Grants{Devices: []wire.GrantedDevice{{Task: "t", Device: kind, IDs: []string{id}}}}
		return g.Pack()
	}
	r.do(func(x *state.Txn, index uint64) {
		n := *x.Node(1)
		n.Orphans = []state.Orphan{{Orphan: wire.Orphan{ID: r.id(), Job: wire.JobKey{ID: "old"}, Group: "g", Granted: hold("other/camera/name", "b")}}}
		x.PutNode(n, index)
	})
	r.job(wantDevices(3, fleet.RequestedDevice{Name: "camera"}))
	in := r.input(r.eval(fleet.TriggerJobRegister))
	in.InFlight = func(state.NodeKey) state.Usage { return state.Usage{Granted: hold("acme/camera/c1", "a")} }
	out := Schedule(in)
	wantCounts(t, &out.Plan, 1, 0, 0, 0)
	r.apply(&out.Plan)
	if got := fmt.Sprint(heldCameras(r)); got != "[n0/c]" {
		t.Fatal(got)
	}
}

// nearAndFar adds a node with a camera of one kind, and one with a camera of each of two. It returns what gives a node the first.
func nearAndFar(r *region) (near func(*fleet.Node)) {
	near, far := cameras("near", "n"), cameras("far", "f")
	r.node("n0", near)
	r.node("n1", func(n *fleet.Node) { near(n); far(n) })
	return near
}

// The node is chosen whose device is liked best, and on it that device; each takes
// what is best of what the others left, and the score says so.
func TestTheDeviceThatIsLikedBest(t *testing.T) {
	r := newRegion(t)
	near := nearAndFar(r)
	r.node("n2", near)
	like := fleet.Affinity{LTarget: "${device.attr.model}", RTarget: "far", Weight: fleet.Ptr(100)}
	hate := fleet.Affinity{LTarget: "${device.model}", RTarget: "near", Weight: fleet.Ptr(-100)}
	r.job(wantDevices(1, fleet.RequestedDevice{Name: "camera", Affinities: []fleet.Affinity{like, hate}}))
	out := r.run(fleet.TriggerJobRegister)
	if got := fmt.Sprint(heldCameras(r)); got != "[n1/f]" {
		t.Fatal(got)
	}
	scores := out.Explain.Groups[0].Metric.ScoreMetaData
	if len(scores) != 3 || scores[0].Scores["devices"] != 0.5 || scores[1].Scores["devices"] != -0.5 ||
		scores[0].NormScore != scores[0].Scores["binpack"]+0.5 {
		t.Errorf("%+v", scores)
	}
	r.job(wantDevices(4, fleet.RequestedDevice{Name: "camera", Affinities: []fleet.Affinity{like, hate}}))
	out = r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 3, 0, 1, 0)
	if got := fmt.Sprint(heldCameras(r)); got != "[n0/n n1/f n1/n n2/n]" {
		t.Fatal(got)
	}
	if m := out.Explain.Groups[0].Metric; m.ScoreMetaData[0].Scores["devices"] != -0.5 {
		t.Errorf("%+v", m.ScoreMetaData)
	}
	r.job(wantDevices(1))
	if m := r.why("").Groups[0].Metric; len(m.ScoreMetaData) > 0 {
		if _, some := m.ScoreMetaData[0].Scores["devices"]; some {
			t.Error("devices are scored of a job that asks for none")
		}
	}
}

// On every node one, each with the device it likes best there.
func TestADeviceOnEveryNode(t *testing.T) {
	r := newRegion(t)
	nearAndFar(r)
	r.node("n2", nil)
	everywhere(r, fleet.JobTypeSystem, func(j *fleet.Job) {
		wantDevices(1, fleet.RequestedDevice{Name: "camera", Affinities: []fleet.Affinity{{LTarget: "${device.model}", RTarget: "far"}}})(j)
	})
	out := r.run(fleet.TriggerJobRegister)
	wantCounts(t, &out.Plan, 2, 0, 0, 0)
	if got := fmt.Sprint(heldCameras(r)); got != "[n0/n n1/f]" {
		t.Fatal(got)
	}
}
