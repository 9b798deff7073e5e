package plan

import (
	"fmt"
	"maps"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
)

// Limits of refusals.
const (
	RefusalsNoticed = 10              // refusals of a node in a row, from which on it is noticed
	RefusalsWindow  = 5 * time.Minute // a refusal this long after the one before begins a new row
	RefusingMax     = 4096            // nodes whose refusals are counted
)

// Refusals counts what verification refuses, and notices nodes that refuse plan after plan and accept none in between: what
// schedulers believe of such a node is wrong and stays wrong, while two that met on it by chance try elsewhere the next time. It
// is told and shown; the node keeps its eligibility, since to take it away from many at once is worse than what it cures.
//
// To count within a window alone was rejected: in a busy region every good node would be noticed some day.
type Refusals struct {
	tally Tally
	nodes map[state.NodeKey]Refusing
}

// Tally is what was verified since a term began. Its maps are never changed.
type Tally struct {
	Plans, Partly       uint64 // all; and those of which something was refused
	Placements, Refused uint64
	Refusing            map[state.NodeKey]Refusing // nodes that are noticed
}

// Refusing is a row of refusals of one node.
type Refusing struct {
	InARow      int
	First, Last int64 // Unix nanoseconds
	Reason      string
}

// Now reports whether the row still goes on at a time.
func (r Refusing) Now(now time.Time) bool { return now.UnixNano()-r.Last < int64(RefusalsWindow) }

// Note counts a verdict, and returns in words which nodes are noticed by it.
func (r *Refusals) Note(view *state.View, v *Verdict, placements int, now time.Time) (words []string) {
	r.tally.Plans++
	r.tally.Placements += uint64(placements)
	if !v.Whole() {
		r.tally.Partly++
	}
	changed := false
	for k := range v.Delta {
		if len(r.nodes) == 0 {
			break
		}
		changed = changed || r.nodes[k].InARow >= RefusalsNoticed
		delete(r.nodes, k)
	}
	for _, x := range v.Rejected {
		r.tally.Refused += uint64(x.Placements)
		if x.Whole {
			continue
		}
		row := r.refuse(x, now)
		changed = changed || row.InARow >= RefusalsNoticed
		if n := view.Node(x.Node); row.InARow == RefusalsNoticed && n != nil {
			words = append(words, fmt.Sprintf("node %s has refused %d plans in a row since %s, the last because %s; look at it: dunlin node status %s",
				n.Spec.Name, row.InARow, time.Unix(0, row.First).UTC().Format(time.RFC3339), x.Reason, n.Spec.Name))
		}
	}
	if changed {
		r.tally.Refusing = r.noticed()
	}
	return words
}

func (r *Refusals) refuse(x Rejection, now time.Time) Refusing {
	row, known := r.nodes[x.Node]
	if !known && len(r.nodes) >= RefusingMax {
		maps.DeleteFunc(r.nodes, func(_ state.NodeKey, old Refusing) bool { return !old.Now(now) })
		if len(r.nodes) >= RefusingMax {
			return row
		}
	}
	if !known || !row.Now(now) {
		row = Refusing{First: now.UnixNano()}
	}
	row.InARow, row.Last, row.Reason = row.InARow+1, now.UnixNano(), x.Reason
	if r.nodes == nil {
		r.nodes = map[state.NodeKey]Refusing{}
	}
	r.nodes[x.Node] = row
	return row
}

func (r *Refusals) noticed() map[state.NodeKey]Refusing {
	out := map[state.NodeKey]Refusing{}
	for k, row := range r.nodes {
		if row.InARow >= RefusalsNoticed {
			out[k] = row
		}
	}
	return out
}

// Tally is what was counted.
func (r *Refusals) Tally() Tally { return r.tally }
