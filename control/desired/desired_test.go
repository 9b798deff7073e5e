package desired_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/desired"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

var (
	nodeID = fleet.UUID{2}
	kept   = fleet.UUID{11} // placed at 4
	ended  = fleet.UUID{12} // placed at 4, complete at 6
	moved  = fleet.UUID{13} // placed at 4, stopped as lost at 5
	late   = fleet.UUID{14} // placed at 7
)

// log applies commands, one per index.
type log struct {
	t     *testing.T
	store *state.Store
}

func (l *log) do(cmds ...command.Command) {
	l.t.Helper()
	for _, c := range cmds {
		x := l.store.Begin()
		index := l.store.View().Index() + 1
		if _, err := command.Apply(x, index, command.Encode(c)); err != nil {
			l.t.Fatalf("entry %d: %v", index, err)
		}
		x.Commit(index)
	}
}

func register(env string, eval byte) command.JobRegister {
	j := &fleet.Job{ID: "web", Type: "batch", TaskGroups: []fleet.TaskGroup{{
		Name: "g", Tasks: []fleet.Task{{Name: "main", Driver: "fake", Env: map[string]string{"V": env}}},
	}}}
	return command.JobRegister{Spec: fleet.CanonicalBytes(j), EvalID: fleet.UUID{eval}}
}

func place(v *state.View, ids ...fleet.UUID) command.Plan {
	g := command.Placements{IDs: ids}
	for i := range ids {
		g.Nodes, g.Names = append(g.Nodes, v.NodeByID(nodeID).Key), append(g.Names, uint32(i))
	}
	return command.Plan{Namespace: "default", Job: "web", Version: v.JobByID("default", "web").Current().Version, Groups: []command.Placements{g}}
}

// newLog makes the region that the variables above tell of.
func newLog(t *testing.T) *log {
	t.Helper()
	l := &log{t, state.New()}
	l.do(command.RegionFound{ID: fleet.UUID{1}, Name: "r", Epoch: 1}, command.NodeRegister{ID: nodeID, Spec: []byte("{}")}, register("a", 21))
	l.do(place(l.store.View(), kept, ended, moved))
	l.do(command.Plan{Namespace: "default", Job: "web", Stops: []command.Stop{{Alloc: moved, Desired: state.DesiredStop, Lost: true, Reason: "node lost"}}})
	l.do(command.Statuses{Nodes: []command.NodeStatuses{{Node: nodeID, Allocs: []wire.AllocStatus{{ID: ended, Status: fleet.ClientComplete}}}}})
	l.do(place(l.store.View(), late))
	return l
}

func told(ms []*wire.Desired) string {
	var b strings.Builder
	for _, m := range ms {
		fmt.Fprintf(&b, "%s full=%t jobs=%d", m.Gen, m.Full, len(m.Jobs))
		for _, a := range m.Allocs {
			fmt.Fprintf(&b, " %d", a.ID[0])
			if a.Stop {
				b.WriteString("-stop(" + a.StopReason + ")")
			}
		}
		b.WriteString(";")
	}
	return b.String()
}

func TestDifference(t *testing.T) {
	l := newLog(t)
	for _, c := range []struct {
		name string
		held wire.Generation
		want string
	}{
		{"nothing new", wire.Generation{Epoch: 1, N: 7}, "1.7 full=false jobs=0;"},
		{"one placement of a job that it has", wire.Generation{Epoch: 1, N: 5}, "1.7 full=false jobs=0 14;"},
		{"a stop too", wire.Generation{Epoch: 1, N: 4}, "1.7 full=false jobs=0 13-stop(node lost) 14;"},
		{"everything since its first link", wire.Generation{Epoch: 1, N: 2}, "1.7 full=false jobs=1 11 12 13-stop(node lost) 14;"},
		// What is lost is named, or a device that runs it still would keep it as an orphan.
		{"another epoch", wire.Generation{Epoch: 0, N: 7}, "1.7 full=true jobs=1 11 13-stop(node lost) 14;"},
		{"newer than the region", wire.Generation{Epoch: 1, N: 8}, "1.7 full=true jobs=1 11 13-stop(node lost) 14;"},
	} {
		v := l.store.View()
		if got := told(desired.Difference(v, v.NodeByID(nodeID).Key, c.held)); got != c.want {
			t.Errorf("%s: got %s want %s", c.name, got, c.want)
		}
	}
}

// TestPurgedJobsVersionsAreNotReused: a purged job that is registered again has a
// version 0 again, which is not the one that the device holds. (Found by
// sim/region: the device ran the old specification.)
func TestPurgedJobsVersionsAreNotReused(t *testing.T) {
	l := newLog(t)
	old := l.store.View().AllocByID(kept).Version.Key()
	l.do(command.JobDeregister{Namespace: "default", ID: "web", Purge: true, EvalID: fleet.UUID{22}}, register("b", 23))
	l.do(place(l.store.View(), fleet.UUID{15}))
	v := l.store.View()
	m := desired.Difference(v, v.NodeByID(nodeID).Key, wire.Generation{Epoch: 1, N: 9})[0]
	if len(m.Jobs) != 1 || m.Jobs[0].Key == old || m.Jobs[0].Key.Version != old.Version || m.Allocs[0].Job != m.Jobs[0].Key {
		t.Errorf("told %+v after %+v", m.Jobs, old)
	}
}

// TestLargeDifferenceIsCut: in several messages whose generations rise to the
// view's, each a state from which the rest can be told.
func TestLargeDifferenceIsCut(t *testing.T) {
	l := newLog(t)
	big := strings.Repeat("x", 900<<10)
	for i := range byte(5) {
		l.do(register(fmt.Sprintf("%s%d", big, i), 30+i))
		l.do(place(l.store.View(), fleet.UUID{40 + i}))
	}
	v := l.store.View()
	ms := desired.Difference(v, v.NodeByID(nodeID).Key, wire.Generation{Epoch: 1, N: 7})
	last, rows := wire.Generation{Epoch: 1, N: 7}, 0
	for _, m := range ms {
		if !last.Less(m.Gen) {
			t.Errorf("generation %s follows %s", m.Gen, last)
		}
		last, rows = m.Gen, rows+len(m.Allocs)
	}
	if len(ms) < 2 || last.N != v.Index() || rows != 5 {
		t.Fatalf("%d messages up to %s with %d rows", len(ms), last, rows)
	}
	again := 0
	for _, m := range desired.Difference(v, v.NodeByID(nodeID).Key, ms[0].Gen) {
		again += len(m.Allocs)
	}
	if again+len(ms[0].Allocs) != rows {
		t.Errorf("a device cut off after the first message is told %d of the %d rows left", again, rows-len(ms[0].Allocs))
	}
}
