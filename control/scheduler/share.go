package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dunlin-edge/dunlin/control/scheduler/feasible"
	"github.com/dunlin-edge/dunlin/control/scheduler/rank"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// What placements share over the values of a property: spreads, which are wishes,
// and distinct_property, which is a limit. Both count what stands already.

// values numbers the values that a property has on the nodes of the pool.
type values struct {
	of    []int32 // by position in the pool; -1: none
	names []string
	at    map[string]int32
}

// values looks at the nodes that pass, by their positions; one without a value
// has the empty one.
func (p *placing) values(of feasible.Value, pass func(i int) bool) *values {
	v := &values{of: make([]int32, len(p.pool.rows)), at: map[string]int32{}}
	for i, row := range p.pool.rows {
		v.of[i] = -1
		if pass(i) {
			name, _ := of.Of(row.Spec)
			v.of[i] = v.index(name)
		}
	}
	return v
}

func (v *values) index(name string) int32 {
	i, known := v.at[name]
	if !known {
		i = int32(len(v.names))
		v.at[name], v.names = i, append(v.names, name)
	}
	return i
}

// stand counts what lives on nodes of each value: of the group, or of the job.
func (p *placing) stand(v *values, of feasible.Value, ofJob bool) []int64 {
	have := make([]int64, len(v.names))
	for i, row := range p.pool.rows {
		n := p.pool.nodes[i].InGroup
		if ofJob {
			n = p.pool.nodes[i].InJob
		}
		if n == 0 {
			continue
		}
		if name, ok := of.Of(row.Spec); ok { // a node that may take no more counts too
			if k, known := v.at[name]; known {
				have[k] += int64(n)
			}
		}
	}
	for i := range p.groups {
		if !ofJob && p.groups[i].Spec.Name != p.group.Spec.Name {
			continue
		}
		for row := range stays(&p.groups[i]) {
			if p.pool.find(row.Node) != nil {
				continue // counted with its node
			}
			if n := p.in.View.Node(row.Node); n != nil {
				if name, ok := of.Of(n.Spec); ok {
					if k, known := v.at[name]; known {
						have[k]++
					}
				}
			}
		}
	}
	return have
}

func (p *placing) spreads() []rank.Spread {
	var out []rank.Spread
	for _, s := range p.group.Spec.AllSpreads(p.ver.Spec) {
		weight := int64(fleet.Or(s.Weight, fleet.DefaultWeight))
		if weight <= 0 {
			continue
		}
		of := feasible.NewValue(s.Attribute)
		v := p.values(of, func(i int) bool { return p.may[i] })
		none := v.index("")
		for i := range v.of { // nodes that the rules do not admit are never asked for
			if v.of[i] < 0 {
				v.of[i] = none
			}
		}
		out = append(out, rank.Spread{
			Value: v.of, Want: wants(s, v, int64(*p.group.Spec.Count)), Have: p.stand(v, of, false), Weight: weight,
		})
	}
	return out
}

// wants is how many allocations each value should have, in hundredths. What the
// targets leave over is shared by the values that none of them names; to give
// each of those the whole rest, as the field does, was rejected because the shares
// then add up to more than there is.
func wants(s fleet.Spread, v *values, count int64) []int64 {
	want := make([]int64, len(v.names))
	named := make([]bool, len(v.names))
	named[v.at[""]] = true
	unnamed := int64(len(v.names)) - 1
	rest := int64(fleet.SpreadPercentAll)
	for _, t := range s.SpreadTarget {
		if t.Value == fleet.SpreadRest {
			continue
		}
		rest -= int64(t.Percent)
		if k, known := v.at[t.Value]; known {
			want[k], named[k] = int64(t.Percent)*count, true
			unnamed--
		}
	}
	for _, t := range s.SpreadTarget {
		if t.Value == fleet.SpreadRest {
			rest = int64(t.Percent)
		}
	}
	for k := range want {
		if !named[k] {
			want[k] = max(0, rest) * count / unnamed
		}
	}
	return want
}

// limit is a distinct_property rule on the nodes of the pool.
type limit struct {
	feasible.Property
	*values
}

func (p *placing) limits() (out []rank.Limit) {
	for _, prop := range p.checker.Properties() {
		// What runs on a node that the rules do not admit any more counts too, and may
		// have to be given its room back.
		v := p.values(prop.Value, func(int) bool { return true })
		for _, s := range p.group.Place { // which may have to run on, wherever it is
			if s.Replace {
				v.index(p.valueAt(prop.Value, s.Prev.Node))
			}
		}
		left := p.stand(v, prop.Value, prop.OfJob)
		for k, have := range left {
			left[k] = int64(prop.Max) - have
		}
		out = append(out, rank.Limit{Value: v.of, Left: left})
		p.shares = append(p.shares, limit{prop, v})
	}
	return out
}

func (p *placing) valueAt(of feasible.Value, k state.NodeKey) string {
	n := p.in.View.Node(k)
	if n == nil {
		return ""
	}
	name, _ := of.Of(n.Spec)
	return name
}

// within reports whether the limits let one more be on a node, which need not take
// new work.
func (p *placing) within(k state.NodeKey) bool {
	for i := range p.shares {
		if p.request.Limits[i].Left[p.shares[i].at[p.valueAt(p.shares[i].Value, k)]] <= 0 {
			return false
		}
	}
	return true
}

// use counts one more on a node against the limits.
func (p *placing) use(k state.NodeKey) {
	for i := range p.shares {
		p.request.Limits[i].Left[p.shares[i].at[p.valueAt(p.shares[i].Value, k)]]--
	}
}

// refuseShares explains nodes whose value has as many as it may.
func (p *placing) refuseShares(m *fleet.AllocMetric) {
	for k := range p.shares {
		s, l := &p.shares[k], &p.request.Limits[k]
		r := fleet.Refusal{Rule: fleet.OpDistinctProperty, Wants: s.Text}
		full := map[int32]bool{}
		var names []string
		for i, row := range p.pool.rows {
			if !p.may[i] && !p.eachRule || !l.Spent(i) {
				continue
			}
			r.Nodes++
			r.Node = cmp.Or(r.Node, row.Spec.Name)
			if v := s.of[i]; !full[v] {
				full[v] = true
				names = append(names, s.names[v])
			}
		}
		if r.Nodes == 0 {
			continue
		}
		m.NodesFiltered += r.Nodes
		slices.Sort(names)
		more := ""
		if n := len(names) - valuesShownMax; n > 0 {
			names, more = names[:valuesShownMax], fmt.Sprintf(" and %d more", n)
		}
		verb := "have"
		if len(full) == 1 {
			verb = "has"
		}
		r.Has = fmt.Sprintf("%s%s %s as many as allowed", strings.Join(names, ", "), more, verb)
		r.Fix = fmt.Sprintf("set value = %d, %sadd a node with another value of %s", s.Max+1, p.fewer(), s.Ref)
		feasible.Count(m, s.Text, r)
	}
}

// valuesShownMax bounds the list of values in an explanation.
const valuesShownMax = 4

// affinities are what the job prefers, by position in the pool.
func (p *placing) affinities() []int64 {
	prefer := feasible.NewPreference(p.ver.Spec, p.group.Spec)
	if prefer == nil {
		return nil
	}
	out := make([]int64, len(p.pool.rows))
	for i, row := range p.pool.rows {
		if p.may[i] {
			out[i] = prefer.Weigh(row.Spec, rank.Scale)
		}
	}
	return out
}

// avoids are the nodes on which an allocation's forerunners failed.
func (p *placing) avoids(at *state.NodeKey, prev *state.Alloc) (out []state.NodeKey) {
	if at == nil {
		return nil
	}
	out = append(out, *at)
	for _, past := range prev.Past() {
		id, err := fleet.ParseUUID(string(past.PrevNodeID))
		if err != nil {
			continue
		}
		if n := p.in.View.NodeByID(id); n != nil && !slices.Contains(out, n.Key) {
			out = append(out, n.Key)
		}
	}
	return out
}
