package reconcile

import (
	"slices"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

var now = time.Unix(1000, 0)

func job(count int) *state.Job {
	spec := &fleet.Job{ID: "app", TaskGroups: []fleet.TaskGroup{{Name: "web", Count: &count, Tasks: []fleet.Task{{Name: "t"}}}}}
	fleet.Canonicalize(spec)
	return &state.Job{Key: 1, Versions: []*state.JobVersion{state.NewJobVersion(1, 0, spec, nil, 0, 1)}}
}

func alloc(j *state.Job, index uint32, o state.Observed) *state.Alloc {
	return &state.Alloc{Key: state.AllocKey(index + 1), ID: fleet.UUID{byte(index + 1)}, Version: j.Current(), Index: index, Observed: o, Node: 1}
}

func input(j *state.Job, rows ...*state.Alloc) Input {
	return Input{
		Job: j, Allocs: rows, Now: now,
		Lost:    func(k state.NodeKey) (string, bool) { return "gone", k == 9 },
		Waiting: func(fleet.UUID) bool { return false },
		Update:  func(_, _ *fleet.TaskGroup, _, _ *fleet.Job) fleet.Change { return fleet.ChangeRestart },
		Stays:   func(int, state.NodeKey) bool { return true },
		AwaySince: func(k state.NodeKey) time.Time {
			if k != 9 {
				return time.Time{}
			}
			return now.Add(-time.Minute)
		},
		Score: func(_ int, k state.NodeKey) int64 { return int64(k) },
	}
}

func indexes(g *Group) (out []uint32) {
	for _, p := range g.Place {
		out = append(out, p.Index)
	}
	return out
}

func TestSlots(t *testing.T) {
	const run, done, failed, lost = state.ObservedRunning, state.ObservedComplete, state.ObservedFailed, state.ObservedLost
	type row struct {
		index    uint32
		observed state.Observed
	}
	tests := []struct {
		name  string
		count int
		batch bool
		rows  []row
		place []uint32
		stops int
	}{
		{"nothing there", 3, false, nil, []uint32{0, 1, 2}, 0},
		{"gaps are filled", 4, false, []row{{1, run}, {3, run}}, []uint32{0, 2}, 0},
		{"high indexes may stay", 2, false, []row{{0, run}, {7, run}}, nil, 0},
		{"the highest go", 1, false, []row{{2, run}, {0, run}, {1, run}}, nil, 2},
		{"a name lives once", 2, false, []row{{0, run}, {0, run}}, []uint32{1}, 1},
		{"batch work done stays done", 2, true, []row{{0, done}, {1, run}}, nil, 0},
		{"done work takes nothing when the count falls", 1, true, []row{{0, run}, {1, done}}, nil, 0},
		{"a service goes on", 2, false, []row{{0, done}, {1, run}}, []uint32{0}, 0},
		{"a failed one waits in its slot", 2, false, []row{{0, failed}, {1, run}}, nil, 0},
		{"lost by its device's own word", 1, false, []row{{0, lost}}, []uint32{0}, 0},
		{"count 0", 0, false, []row{{0, run}}, nil, 1},
	}
	for _, tt := range tests {
		j := job(tt.count)
		var rows []*state.Alloc
		for _, r := range tt.rows {
			a := alloc(j, r.index, r.observed)
			a.ModifyTime = now.UnixNano()
			rows = append(rows, a)
		}
		in := input(j, rows...)
		in.Rules.CompleteStays = tt.batch
		out := Reconcile(in)
		if got := indexes(&out.Groups[0]); !slices.Equal(got, tt.place) || len(out.Stops) != tt.stops {
			t.Errorf("%s: places %v, stops %d; want %v, %d", tt.name, got, len(out.Stops), tt.place, tt.stops)
		}
	}
}

// What is too many when one comes back that was given up, and what has a name that another has.
func TestWhatGoes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		count int
		old   []bool // of each index in turn: it is of an older version
		names []uint32
		kinds fleet.Change
		seen  []state.Observed
		gone  int // the one that is stopped
	}{
		{"an old one goes first, to be restarted", 2, []bool{true, false, false}, []uint32{0, 1, 2}, fleet.ChangeRestart, nil, 0},
		{"an old one goes first, to be changed in place", 2, []bool{true, false, false}, []uint32{0, 1, 2}, fleet.ChangeInPlace, nil, 0},
		{"of old ones the highest goes", 2, []bool{true, true, false}, []uint32{0, 1, 2}, fleet.ChangeInPlace, nil, 1},
		{"of one version the highest goes", 2, []bool{false, false, false}, []uint32{0, 1, 2}, fleet.ChangeRestart, nil, 2},
		{"of a name the failed one goes", 1, []bool{false, false}, []uint32{0, 0}, fleet.ChangeRestart, []state.Observed{state.ObservedFailed, state.ObservedRunning}, 0},
		{"of a name the younger one goes", 1, []bool{false, false}, []uint32{0, 0}, fleet.ChangeRestart, nil, 1},
	} {
		before, j := job(3), job(tt.count)
		var rows []*state.Alloc
		for i, index := range tt.names {
			a := alloc(j, index, state.ObservedRunning)
			if tt.old[i] {
				a.Version = before.Current()
			}
			if tt.seen != nil {
				a.Observed = tt.seen[i]
			}
			a.Key, a.ID, a.ModifyTime = state.AllocKey(i+1), fleet.UUID{byte(i + 1)}, now.UnixNano()
			rows = append(rows, a)
		}
		in := input(j, rows...)
		in.Update = func(_, _ *fleet.TaskGroup, _, _ *fleet.Job) fleet.Change { return tt.kinds }
		if out := Reconcile(in); len(out.Stops) != 1 || out.Stops[0].Alloc != rows[tt.gone] {
			t.Errorf("%s: stops %+v", tt.name, out.Stops)
		}
	}
}

// The smallest index is not the one that is missed: its name would have two when the other is back.
func TestWhatMayComeBackIsReplacedByName(t *testing.T) {
	j := job(2)
	j.Current().Spec.TaskGroups[0].Disconnect = &fleet.Disconnect{Replace: fleet.Ptr(true), LostAfter: fleet.Ptr(fleet.Duration(time.Second))}
	fleet.Canonicalize(j.Current().Spec)
	away := alloc(j, 3, state.ObservedRunning)
	away.Node = 9
	g := Reconcile(input(j, away)).Groups[0]
	if got := indexes(&g); !slices.Equal(got, []uint32{0, 3}) || g.Place[1].Prev != away {
		t.Fatalf("places %v: %+v", got, g.Place)
	}
}

func TestReplacementSpeaksForTheReplaced(t *testing.T) {
	j := job(1)
	old := alloc(j, 0, state.ObservedFailed)
	old.Next = fleet.UUID{42}
	if out := Reconcile(input(j, old)); out.Groups[0].Place[0].Prev != nil {
		t.Fatal("a slot inherits from an allocation that has a successor")
	}
}

func TestLostStopNamesTheNode(t *testing.T) {
	j := job(1)
	a := alloc(j, 0, state.ObservedRunning)
	a.Node = 9
	out := Reconcile(input(j, a))
	if s := out.Stops[0]; !s.Lost || s.Reason != "node gone is lost" || out.Groups[0].Place[0].Prev != a {
		t.Fatalf("%+v", out)
	}
	j.Stop = true
	if out := Reconcile(input(j, a)); !out.Stops[0].Lost || len(out.Groups) != 0 {
		t.Fatalf("%+v", out)
	}
}

func TestInPlaceNeedsANodeThatStillMayTakeIt(t *testing.T) {
	old := job(1)
	a := alloc(old, 0, state.ObservedRunning)
	j := job(1)
	in := input(j, a)
	in.Update = func(_, _ *fleet.TaskGroup, _, _ *fleet.Job) fleet.Change { return fleet.ChangeInPlace }
	if g := Reconcile(in).Groups[0]; len(g.InPlace) != 1 || len(g.Place) != 0 {
		t.Fatalf("%+v", g)
	}
	in.Stays = func(int, state.NodeKey) bool { return false }
	if g := Reconcile(in).Groups[0]; len(g.InPlace) != 0 || !g.Place[0].Replace {
		t.Fatalf("%+v", g)
	}
}
