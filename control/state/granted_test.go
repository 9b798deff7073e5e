package state

import (
	"bytes"
	"maps"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

func TestGrantedFollowsItsAllocation(t *testing.T) {
	s := New()
	x := s.Begin()
	spec := &fleet.Job{ID: "web", TaskGroups: []fleet.TaskGroup{{
		Name: "g", Networks: []fleet.Network{{Ports: []fleet.Port{{Label: "http", Value: 8080}}}}, Tasks: []fleet.Task{{Name: "t", Driver: "wasm"}},
	}}}
	fleet.Canonicalize(spec)
	job := x.PutJob(Job{Namespace: "default", ID: "web", Versions: []*JobVersion{NewJobVersion(x.NextJobKey(), 0, spec, fleet.CanonicalBytes(spec), 0, 1)}}, 1)
	node := x.PutNode(Node{ID: fleet.UUID{1}, Spec: &fleet.Node{Name: "n", Attributes: map[string]string{fleet.AttributeAddress: "10.0.0.7"}}}, 1)
	a, b := &Alloc{ID: fleet.UUID{2}, Version: job.Current(), Node: node.Key}, &Alloc{ID: fleet.UUID{3}, Version: job.Current(), Node: node.Key}
	if err := x.InsertAllocs([]*Alloc{a, b}, 1); err != nil {
		t.Fatal(err)
	}
	g := wire.Grants{Ports: []wire.GrantedPort{{Label: "http", Number: 8080}}}
	x.Grant(a, g.Pack())
	x.Grant(b, "")
	v := x.Commit(1)
	if held := maps.Collect(v.Held(node.Key)); len(held) != 1 || held[a.Key] != g.Pack() || v.Granted(b) != "" {
		t.Fatalf("held: %v", held)
	}
	shared := v.Allocation(a).AllocatedResources.Shared
	if len(shared.Ports) != 1 || shared.Ports[0] != (fleet.AllocatedPort{Label: "http", Value: 8080, HostIP: "10.0.0.7"}) ||
		len(shared.Networks) != 1 || shared.Networks[0].ReservedPorts[0].Value != 8080 || shared.Networks[0].IP != "10.0.0.7" {
		t.Fatalf("shared: %+v", shared)
	}

	x = s.Begin()
	stopped := *x.Alloc(a.Key)
	stopped.Desired = DesiredStop
	x.UpdateAlloc(x.Alloc(a.Key), stopped, 2)
	w := x.Commit(2)
	if len(maps.Collect(w.Held(node.Key))) != 0 || w.Granted(a) != g.Pack() || w.Node(node.Key).CapacityAt != 2 {
		t.Fatal("a stopped one holds nothing, and is told what it held")
	}
	if len(maps.Collect(v.Held(node.Key))) != 1 {
		t.Fatal("an older view changed")
	}
	for _, view := range []*View{v, w} {
		var buf bytes.Buffer
		if err := view.WriteCheckpoint(&buf); err != nil {
			t.Fatal(err)
		}
		back, err := ReadCheckpoint(&buf)
		if err != nil {
			t.Fatal(err)
		}
		if back.Granted(a) != g.Pack() || !maps.Equal(maps.Collect(back.Held(node.Key)), maps.Collect(view.Held(node.Key))) {
			t.Fatal("a checkpoint forgets what is held")
		}
	}
	x = s.Begin()
	x.DeleteAlloc(x.Alloc(a.Key))
	if x.Commit(3).Granted(a) != "" {
		t.Fatal("what is reaped still holds something")
	}
}

func TestOrphansThatGoMakeRoom(t *testing.T) {
	s := New()
	x := s.Begin()
	g := wire.Grants{Ports: []wire.GrantedPort{{Label: "http", Number: 8080}}}
	n := x.PutNode(Node{ID: fleet.UUID{1}, Spec: &fleet.Node{}}, 1)
	n = x.SetOrphans(n, []Orphan{{Orphan: wire.Orphan{ID: fleet.UUID{2}, Granted: g.Pack()}}, {Orphan: wire.Orphan{ID: fleet.UUID{3}}}}, 2)
	n = x.SetOrphans(n, n.Orphans[:1], 3)
	if n.CapacityAt != 0 {
		t.Fatal("one that held nothing made room")
	}
	var buf bytes.Buffer
	if err := x.Commit(3).WriteCheckpoint(&buf); err != nil {
		t.Fatal(err)
	}
	back, err := ReadCheckpoint(&buf)
	if err != nil || back.Node(n.Key).Orphans[0].Granted != g.Pack() {
		t.Fatalf("a checkpoint forgets what an orphan holds: %v", err)
	}
	x = s.Begin()
	if n = x.SetOrphans(x.Node(n.Key), nil, 4); n.CapacityAt != 4 {
		t.Fatal("nobody is woken for the port of an orphan that ended")
	}
}
