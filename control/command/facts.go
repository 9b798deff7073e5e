package command

import (
	"fmt"
	"maps"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// FactsChanged is the result of [NodeFacts].
type FactsChanged struct{ Changed bool }

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
	x.PutNode(n, index)
	return FactsChanged{Changed: true}, nil
}
