package command

import (
	"fmt"
	"maps"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// FactsChanged is the result of [NodeFacts].
type FactsChanged struct {
	Changed bool
	Evals   []fleet.UUID // of jobs with work there whose constraints must always hold
}

// applyNodeFacts changes attributes. What is blocked may fit now, so the node
// counts as one with new capacity, like one that registered as another.
func applyNodeFacts(x *state.Txn, index uint64, c NodeFacts) (FactsChanged, error) {
	old := x.NodeByID(c.Node)
	if old == nil {
		return FactsChanged{}, fmt.Errorf("node %s: %w", c.Node, ErrNoSuchNode)
	}
	spec := *old.Spec
	if spec.Attributes = maps.Clone(spec.Attributes); spec.Attributes == nil {
		spec.Attributes = map[string]string{}
	}
	for _, name := range c.Unset {
		delete(spec.Attributes, name)
	}
	for _, a := range c.Set {
		if a.Name == "" {
			return FactsChanged{}, fmt.Errorf("%w: node %s reports a fact without a name", ErrInvalid, c.Node)
		}
		spec.Attributes[a.Name] = a.Value
	}
	if len(spec.Attributes) > fleet.NodeAttributesMax {
		return FactsChanged{}, fmt.Errorf("%w: node %s would have %d attributes; at most %d", ErrInvalid, c.Node, len(spec.Attributes), fleet.NodeAttributesMax)
	}
	if maps.Equal(spec.Attributes, old.Spec.Attributes) {
		return FactsChanged{}, nil
	}
	n := *old
	n.Spec, n.CapacityAt = &spec, index
	row := x.PutNode(n, index)
	m := newMinter(x, index, c.At, c.Seed)
	evaluateAlways(m, old.Spec, row)
	evaluatePerNode(m, row, old.Spec)
	return FactsChanged{Changed: true, Evals: m.ids}, nil
}

// evaluateAlways lets the jobs with work on a node look at it again if one of
// their constraints must always hold and speaks of what changed. All others are
// asked nothing: a fact that changes each quarter of an hour on ten thousand
// devices must not keep the schedulers busy.
func evaluateAlways(m *minter, old *fleet.Node, n *state.Node) {
	attr, meta := differs(old.Attributes, n.Spec.Attributes), differs(old.Meta, n.Spec.Meta)
	// Fields of the node itself rarely change, and only with a registration.
	field := old.Name != n.Spec.Name || old.Datacenter != n.Spec.Datacenter || old.NodeClass != n.Spec.NodeClass || old.NodePool != n.Spec.NodePool
	for _, key := range jobsOn(m.x, n.Key, (*state.Alloc).Holds) {
		j := m.x.Job(key)
		if j == nil {
			continue
		}
		for c := range j.Current().Spec.AlwaysConstraints() {
			if field || c.Mentions("attr", attr) || c.Mentions("meta", meta) {
				m.evaluate(key, fleet.TriggerNodeUpdate, n.ID)
				break
			}
		}
	}
}

// differs tells by name which values differ.
func differs(a, b map[string]string) func(string) bool {
	return func(key string) bool {
		x, known := a[key]
		y, knows := b[key]
		return known != knows || x != y
	}
}
