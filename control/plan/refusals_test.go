package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
)

func TestRowsOfRefusals(t *testing.T) {
	w := newWorld()
	w.job("a")
	good, bad := w.node(999_999, 999_999, "online"), w.node(50, 999, "online")
	view, now := w.store.View(), time.Unix(1000, 0)
	var r Refusals
	note := func(nodes ...state.NodeKey) []string {
		t.Helper()
		now = now.Add(time.Second)
		p := w.plan("a")
		w.place(p, 0, nodes...)
		v := Verify(view, nil, p)
		return r.Note(view, &v, len(nodes), now)
	}
	refuse := func(times int) (words []string) {
		t.Helper()
		for range times {
			words = append(words, note(good, bad)...)
		}
		return words
	}
	if words := refuse(RefusalsNoticed - 1); len(words) > 0 || len(r.Tally().Refusing) > 0 {
		t.Fatalf("noticed too early: %q", words)
	}
	words := refuse(5)
	if len(words) != 1 || !strings.Contains(words[0], "node n2 has refused 10 plans in a row since 1970-01-01T00:16:41Z, the last because node n2 has 50 MHz") {
		t.Fatalf("told %q", words)
	}
	if row := r.Tally().Refusing[bad]; row.InARow != RefusalsNoticed+4 || !row.Now(now) || row.Now(now.Add(RefusalsWindow)) {
		t.Fatalf("noticed: %+v", r.Tally().Refusing)
	}
	before := r.Tally()
	if n := uint64(RefusalsNoticed + 4); before.Plans != n || before.Partly != n || before.Placements != 2*n || before.Refused != n {
		t.Fatalf("counted %+v", before)
	}
	// What is accepted ends the row, and a tally that was taken does not change.
	v := Verdict{Delta: Delta{bad: state.Usage{Allocs: 1}}}
	r.Note(view, &v, 1, now)
	if len(r.Tally().Refusing) != 0 || len(before.Refusing) != 1 {
		t.Fatalf("after one that was accepted %+v; before %+v", r.Tally(), before)
	}
	// A long pause begins a new row.
	refuse(RefusalsNoticed - 1)
	now = now.Add(RefusalsWindow)
	if words := refuse(RefusalsNoticed - 1); len(words) > 0 {
		t.Fatalf("told %q over a pause", words)
	}
}

// A plan that is refused as a whole says nothing about its nodes.
func TestRowsOfRefusalsNotOfAll(t *testing.T) {
	w := newWorld()
	w.job("a")
	n := w.node(999, 999, "online")
	var r Refusals
	for range 2 * RefusalsNoticed {
		p := w.plan("a")
		w.place(p, 0, n)
		p.Version = 9
		v := Verify(w.store.View(), nil, p)
		if words := r.Note(w.store.View(), &v, 1, time.Unix(0, 0)); len(words) > 0 {
			t.Fatalf("told %q", words)
		}
	}
	if got := r.Tally(); got.Refused != 2*RefusalsNoticed || len(got.Refusing) != 0 {
		t.Fatalf("counted %+v", got)
	}
}

func TestRowsOfRefusalsAreBounded(t *testing.T) {
	var r Refusals
	view := state.New().View()
	for k := range state.NodeKey(RefusingMax + 10) {
		r.Note(view, &Verdict{Rejected: []Rejection{{Node: k + 1, Placements: 1}}}, 1, time.Unix(0, 0))
	}
	if len(r.nodes) != RefusingMax {
		t.Fatalf("remembers %d", len(r.nodes))
	}
	r.Note(view, &Verdict{Rejected: []Rejection{{Node: 1 << 20}}}, 1, time.Unix(0, 0).Add(RefusalsWindow))
	if len(r.nodes) != 1 {
		t.Fatalf("remembers %d that are over", len(r.nodes))
	}
}
