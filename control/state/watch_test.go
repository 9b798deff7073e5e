package state

import (
	"sync"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

func fired(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestWatchWakesWhatWasTouched(t *testing.T) {
	s := New()
	x := s.Begin()
	a := x.PutNode(Node{ID: uid(1), Spec: &fleet.Node{}}, 1)
	b := x.PutNode(Node{ID: uid(2), Spec: &fleet.Node{}}, 1)
	j := x.PutJob(Job{Namespace: "default", ID: "x", Versions: []*JobVersion{version(x.NextJobKey(), 0, "x")}}, 1)
	row := &Alloc{ID: uid(3), Version: j.Current(), Node: a.Key}
	if err := x.InsertAllocs([]*Alloc{row}, 1); err != nil {
		t.Fatal(err)
	}
	x.Commit(1)
	topics := map[string]Topic{
		"all": {Table: TableAllocs}, "a": {TableNodeAllocs, uint64(a.Key)}, "b": {TableNodeAllocs, uint64(b.Key)},
		"job": {TableJobAllocs, uint64(j.Key)}, "nodes": {Table: TableNodes}, "evals": {Table: TableEvals},
		"identities": {Table: TableIdentities}, "revoked": TopicRevoked,
	}
	for name, c := range map[string]struct {
		change func(*Txn)
		wakes  map[string]bool
	}{
		"a device's report does not wake its own session": {func(x *Txn) {
			old := x.Alloc(row.Key)
			n := *old
			n.Observed = ObservedRunning
			x.UpdateAlloc(old, n, x.Index()+1)
		}, map[string]bool{"all": true, "job": true}},
		"what the device must do does": {func(x *Txn) {
			old := x.Alloc(row.Key)
			n := *old
			n.DesiredIndex = x.Index() + 1
			x.UpdateAlloc(old, n, x.Index()+1)
		}, map[string]bool{"all": true, "job": true, "a": true}},
		"a node": {func(x *Txn) { x.PutNode(*x.Node(b.Key), x.Index()+1) }, map[string]bool{"nodes": true}},
		"an evaluation": {func(x *Txn) {
			x.PutEval(Eval{ID: uid(9), Namespace: "default", Job: "x", Status: fleet.EvalPending}, x.Index()+1)
		}, map[string]bool{"evals": true}},
		"a device that came for the first time": {func(x *Txn) {
			x.PutIdentity(&fleet.NodeIdentity{Peer: "node/x", Standing: fleet.StandingApproved}, x.Index()+1)
		}, map[string]bool{"identities": true}},
		"a device that was revoked": {func(x *Txn) {
			x.PutIdentity(&fleet.NodeIdentity{Peer: "node/x", Standing: fleet.StandingRevoked}, x.Index()+1)
		}, map[string]bool{"identities": true, "revoked": true}},
		"nothing": {func(*Txn) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			chans := map[string]<-chan struct{}{}
			for n, topic := range topics {
				chans[n] = s.Watch(topic)
			}
			x := s.Begin()
			c.change(x)
			for n, ch := range chans {
				if fired(ch) {
					t.Errorf("%s woke before the commit", n)
				}
			}
			x.Commit(x.Index() + 1)
			for n, ch := range chans {
				if fired(ch) != c.wakes[n] {
					t.Errorf("%s: woken %t, want %t", n, !c.wakes[n], c.wakes[n])
				}
			}
		})
	}
	ch := s.Watch(topics["b"])
	s.Replace(New().View())
	if !fired(ch) {
		t.Error("a restored state wakes everybody")
	}
}

// TestReadersDoNotDisturb reads old views while new ones are made; it is there
// for the race detector.
func TestReadersDoNotDisturb(t *testing.T) {
	s := New()
	x := s.Begin()
	for i := range 200 {
		x.PutNode(Node{ID: uid(i), Spec: &fleet.Node{}}, 1)
	}
	x.Commit(1)
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for {
				v := s.View()
				count := 0
				for n := range v.Nodes() {
					if n.ModifyIndex > v.Index() {
						t.Errorf("view %d shows a row of %d", v.Index(), n.ModifyIndex)
					}
					count++
				}
				if count != v.NodeCount() {
					t.Errorf("%d nodes, counted %d", v.NodeCount(), count)
				}
				v.Fork().PutNode(Node{ID: uid(9999), Spec: &fleet.Node{}}, v.Index()+1)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 300 {
		x := s.Begin()
		x.PutNode(Node{ID: uid(i), Spec: &fleet.Node{}}, uint64(i+2))
		x.Commit(uint64(i + 2))
	}
	close(done)
	readers.Wait()
}
