package feasible

import "github.com/dunlin-edge/dunlin/fleet"

// Value is what a reference such as ${node.datacenter} means on a node.
type Value struct{ target target }

// NewValue compiles a reference.
func NewValue(ref string) Value { return Value{parseTarget(ref)} }

// Of is the value on a node, and whether it is set.
func (v Value) Of(n *fleet.Node) (string, bool) { return v.target.of(n) }

// Property is a distinct_property rule: at most Max allocations on nodes of one
// value, of the job or of the group.
type Property struct {
	Value
	Ref   string // as the job writes it
	Text  string // the rule
	Max   int
	OfJob bool
}

func newProperty(k fleet.Constraint, ofJob bool) Property {
	n, _ := k.PropertyMax() // validation refuses others; 0 admits nothing
	return Property{Value: NewValue(k.LTarget), Ref: k.LTarget, Text: k.String(), Max: n, OfJob: ofJob}
}

// Preference weighs nodes by the affinities of a group. Equal nodes are weighed
// once.
type Preference struct {
	rules   []*constraintRule
	weights []int64
	whole   int64 // sum of the weights without their signs
	byKey   map[string]int64
	buf     []byte
}

// NewPreference compiles the affinities of a group of a canonical job; nil if
// there are none.
func NewPreference(job *fleet.Job, g *fleet.TaskGroup) *Preference {
	p := &Preference{byKey: map[string]int64{}}
	for _, a := range g.AllAffinities(job) {
		w := int64(fleet.Or(a.Weight, fleet.DefaultWeight))
		p.rules = append(p.rules, newConstraintRule(a.Rule()))
		p.weights = append(p.weights, w)
		p.whole += max(w, -w)
	}
	if p.whole == 0 {
		return nil
	}
	return p
}

// Weigh is the sum of the weights whose rules hold, against the sum of all: from
// -scale to scale.
func (p *Preference) Weigh(n *fleet.Node, scale int64) int64 {
	p.buf = p.buf[:0]
	for _, r := range p.rules {
		p.buf = r.appendKey(p.buf, n)
	}
	w, known := p.byKey[string(p.buf)]
	if !known {
		for i, r := range p.rules {
			if r.holds(n) {
				w += p.weights[i]
			}
		}
		p.byKey[string(p.buf)] = w
	}
	return w * scale / p.whole
}
