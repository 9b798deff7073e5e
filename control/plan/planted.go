package plan

import (
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
)

// Planted are faults for the simulator, to show that its oracles find them. All
// false in a real region.
type Planted struct {
	GrantsUnchecked bool // whatever a plan's placements hold is let through
	GrantsForgotten bool // what a plan in flight holds is free until it has landed
	// DevicesUnchecked lets through whatever devices a plan's placements hold.
	DevicesUnchecked bool
}

// Verify is [Verify] with the faults.
func (f Planted) Verify(view *state.View, inFlight func(state.NodeKey) state.Usage, p *command.Plan) Verdict {
	v := verify(view, inFlight, p, f)
	for k, u := range v.Delta {
		if f.GrantsForgotten {
			u.Granted = ""
			v.Delta[k] = u
		}
	}
	return v
}
