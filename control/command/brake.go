package command

import (
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// BrakeSet draws or releases the loss brake.
type BrakeSet struct {
	On bool
	// Forget: what has gone until now does not count any more, or the brake would
	// be drawn again for the same devices. An operator's release says so.
	Forget bool
	Reason string
	At     int64
}

func (BrakeSet) code() byte { return codeBrakeSet }

func (c BrakeSet) append(b []byte) []byte {
	return codec.AppendInt(codec.AppendString(codec.AppendBool(codec.AppendBool(b, c.On), c.Forget), c.Reason), c.At)
}

func readBrakeSet(r *codec.Reader) BrakeSet {
	return BrakeSet{On: r.Bool(), Forget: r.Bool(), Reason: r.String("a reason", reasonMax), At: r.Int()}
}

// BrakeIs is the result of [BrakeSet].
type BrakeIs struct {
	state.Brake
	Changed bool
}

func applyBrakeSet(x *state.Txn, _ uint64, c BrakeSet) (BrakeIs, error) {
	r := x.Region()
	if r.Brake.On == c.On && !c.Forget {
		return BrakeIs{Brake: r.Brake}, nil
	}
	if r.Brake.On != c.On {
		r.Brake.On, r.Brake.Since, r.Brake.Reason = c.On, c.At, c.Reason
	}
	if c.Forget {
		r.Brake.ReleasedAt = c.At
	}
	x.SetRegion(r)
	return BrakeIs{r.Brake, true}, nil
}
