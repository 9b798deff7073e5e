package command

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// EligibilitySet is the result of [NodeEligibility].
type EligibilitySet struct {
	Changed bool
	Evals   []fleet.UUID
}

func applyNodeEligibility(x *state.Txn, index uint64, c NodeEligibility) (EligibilitySet, error) {
	old := x.NodeByID(c.Node)
	if old == nil {
		return EligibilitySet{}, fmt.Errorf("node %s: %w", c.Node, ErrNoSuchNode)
	}
	if c.Eligible && old.Drain != nil {
		return EligibilitySet{}, fmt.Errorf("%w: node %s is being drained; stop that first", ErrInvalid, old.Spec.Name)
	}
	if old.Ineligible == !c.Eligible {
		return EligibilitySet{}, nil
	}
	n := *old
	n.Ineligible = !c.Eligible
	if c.Eligible {
		n.CapacityAt = index
	}
	row := x.PutNode(n, index)
	m := newMinter(x, index, c.At, seedOf(c.Node, index))
	if c.Eligible {
		evaluatePerNode(m, row, nil)
	}
	return EligibilitySet{Changed: true, Evals: m.ids}, nil
}
