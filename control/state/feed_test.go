package state

import (
	"slices"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

func TestFeed(t *testing.T) {
	s := New()
	f := s.Feed(TableNodes)
	other := s.Feed(TableJobs)
	take := func(what string, want []Topic, wantAll bool) {
		t.Helper()
		if woken := fired(f.Wake()); woken != (len(want) > 0 || wantAll) {
			t.Errorf("%s: woken %t", what, woken)
		}
		rows, all := f.Take()
		slices.SortFunc(rows, func(a, b Topic) int { return int(a.Key) - int(b.Key) })
		if !slices.Equal(rows, want) || all != wantAll {
			t.Errorf("%s: %v, %t; want %v, %t", what, rows, all, want, wantAll)
		}
	}
	var keys []Topic
	put := func(ids ...int) {
		x := s.Begin()
		for _, id := range ids {
			keys = append(keys, Topic{TableNodes, uint64(x.PutNode(Node{ID: uid(id), Spec: &fleet.Node{}}, x.Index()+1).Key)})
		}
		x.Commit(x.Index() + 1)
	}
	take("nothing", nil, false)
	put(1)
	put(2, 3)
	put(1) // a row that waits already
	take("three nodes", []Topic{{Table: TableNodes}, keys[0], keys[1], keys[2]}, false)
	take("the same again", nil, false)
	s.Replace(New().View())
	take("another state", nil, true)
	if rows, all := other.Take(); len(rows) != 0 || !all {
		t.Errorf("a feed of another table: %v, %t", rows, all)
	}
	f.Close()
	put(4)
	take("closed", nil, false)
}
