package command

import (
	"fmt"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// Limits of raising an epoch on a device's word. A device that lies must neither
// make a region tell everybody everything over and over nor use up the numbers.
const (
	EpochRaiseEvery = 10 * time.Minute
	EpochAheadMax   = 1_000 // how far beyond the region's a device's epoch is believed
)

// MarkBegin names the stretch of the log that this run of the servers writes.
// It comes before anything that a device is told.
type MarkBegin struct {
	ID    uint64 // random
	After uint64 // index of the state that the run began from
	At    int64
}

// EpochRaise raises the epoch: because an operator says so, or because a device
// proves that the region was taken back to an older state.
type EpochRaise struct {
	Epoch    uint64 // that the proposer saw; of many who see the same, one raises
	Operator bool
	Node     fleet.UUID // else: the device, and what it holds
	Held     wire.Generation
	Mark     uint64
	At       int64
}

func (MarkBegin) code() byte { return codeMarkBegin }

func (c MarkBegin) append(b []byte) []byte {
	return codec.AppendInt(codec.AppendUint(codec.AppendUint(b, c.ID), c.After), c.At)
}

func readMarkBegin(r *codec.Reader) MarkBegin {
	return MarkBegin{ID: r.Uint(), After: r.Uint(), At: r.Int()}
}

func (EpochRaise) code() byte { return codeEpochRaise }

func (c EpochRaise) append(b []byte) []byte {
	b = appendUUID(codec.AppendBool(codec.AppendUint(b, c.Epoch), c.Operator), c.Node)
	b = codec.AppendUint(codec.AppendUint(b, c.Held.Epoch), c.Held.N)
	return codec.AppendInt(codec.AppendUint(b, c.Mark), c.At)
}

func readEpochRaise(r *codec.Reader) EpochRaise {
	return EpochRaise{
		Epoch: r.Uint(), Operator: r.Bool(), Node: r.UUID(), Held: wire.Generation{Epoch: r.Uint(), N: r.Uint()}, Mark: r.Uint(), At: r.Int(),
	}
}

func applyMarkBegin(x *state.Txn, index uint64, c MarkBegin) (state.Region, error) {
	r := x.Region()
	if c.ID == 0 || c.After >= index {
		return r, fmt.Errorf("%w: mark %x after index %d, written at %d", ErrInvalid, c.ID, c.After, index)
	}
	if n := len(r.Marks); n > 0 {
		last := r.Marks[n-1]
		if last.ID == c.ID {
			return r, nil
		}
		if c.After < last.From {
			return r, fmt.Errorf("%w: a mark after index %d, and the newest begins at %d", ErrInvalid, c.After, last.From)
		}
	}
	r.Marks = append(slices.Clip(r.Marks), state.Mark{From: c.After + 1, ID: c.ID})
	if n := len(r.Marks) - state.MarksMax; n > 0 {
		r.Marks, r.Dropped = slices.Clone(r.Marks[n:]), true
	}
	x.SetRegion(r)
	return r, nil
}

// EpochRaised is the result of [EpochRaise].
type EpochRaised struct {
	Epoch  uint64 // now
	Raised bool   // by this command
}

func applyEpochRaise(x *state.Txn, index uint64, c EpochRaise) (EpochRaised, error) {
	r := x.Region()
	same := EpochRaised{Epoch: r.Epoch}
	if r.ID.IsZero() {
		return same, fmt.Errorf("%w: the region is not founded", ErrInvalid)
	}
	if c.Epoch != r.Epoch {
		return same, nil // somebody was first, and once is enough
	}
	if c.Operator {
		r.Raised = state.Raised{At: c.At, Reason: "an operator raised it"}
		r.Epoch++
		x.SetRegion(r)
		return EpochRaised{r.Epoch, true}, nil
	}
	if x.LineageAt(index, c.Held, c.Mark) != state.LineageBeyond {
		return same, nil
	}
	if c.Held.Epoch > r.Epoch+EpochAheadMax {
		return same, fmt.Errorf("%w: node %s holds %s; the region is in epoch %d, and at most %d more are believed", ErrInvalid,
			c.Node, c.Held, r.Epoch, EpochAheadMax)
	}
	if wait := r.Raised.At + int64(EpochRaiseEvery) - c.At; r.Raised.At != 0 && wait > 0 {
		return same, fmt.Errorf("%w: node %s holds %s, which the region does not know; the epoch was raised already and may be again in %s",
			ErrEpochJustRaised, c.Node, c.Held, time.Duration(wait).Round(time.Second))
	}
	r.Raised = state.Raised{At: c.At, Reason: fmt.Sprintf("node %s holds %s, which this region never told: it was taken back to an older state", c.Node, c.Held)}
	r.Epoch = max(r.Epoch, c.Held.Epoch) + 1
	x.SetRegion(r)
	return EpochRaised{r.Epoch, true}, nil
}
