package scheduler

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// A dump is the magic, a header with its length, and a checkpoint of the view.
const (
	dumpMagic         = "dunlin-attempt-2\n"
	dumpHeadBytesMax  = 64 << 20
	dumpNodesMax      = 1 << 22
	dumpInFlightBytes = 5 // the least an entry takes
)

// Dump writes an input down, so that the attempt can be made again elsewhere.
// Update is not part of it.
func Dump(in Input) ([]byte, error) {
	head := binary.AppendVarint(nil, in.Now.UnixNano())
	head = append(head, in.Seed[:]...)
	head = codec.AppendInt(codec.AppendInt(head, int64(in.Stripe.Worker)), int64(in.Stripe.Of))
	var extra []byte
	count := uint64(0)
	for n := range in.View.Nodes() {
		if in.InFlight == nil {
			break
		}
		if u := in.InFlight(n.Key); u != (state.Usage{}) {
			extra = codec.AppendUint(extra, uint64(n.Key))
			extra = codec.AppendInt(codec.AppendInt(extra, u.CPU), u.MemoryMB)
			extra = codec.AppendInt(codec.AppendInt(extra, u.DiskMB), int64(u.Allocs))
			extra = codec.AppendString(extra, u.Granted)
			count++
		}
	}
	head = append(codec.AppendUint(head, count), extra...)
	head = state.AppendEval(head, in.Eval)

	out := bytes.NewBufferString(dumpMagic)
	out.Write(codec.AppendBytes(nil, head))
	if err := in.View.WriteCheckpoint(out); err != nil {
		return nil, fmt.Errorf("dump of evaluation %s: %w", in.Eval.ID, err)
	}
	return out.Bytes(), nil
}

// ReadDump reads what Dump wrote.
func ReadDump(b []byte) (Input, error) {
	rest, ok := bytes.CutPrefix(b, []byte(dumpMagic))
	if !ok {
		return Input{}, fmt.Errorf("not a dump of a scheduling attempt: it does not begin with %q", dumpMagic)
	}
	outer := codec.NewReader(rest)
	r := codec.NewReader(outer.Bytes("the head of a dump", dumpHeadBytesMax))
	checkpoint := outer.Raw(outer.Left())
	if err := outer.Err(); err != nil {
		return Input{}, fmt.Errorf("dump: %w", err)
	}
	in := Input{Now: time.Unix(0, r.Int()).UTC()}
	copy(in.Seed[:], r.Raw(len(in.Seed)))
	in.Stripe = Stripe{Worker: int(r.Int()), Of: int(r.Int())}
	extra := map[state.NodeKey]state.Usage{}
	for range r.Count("nodes", dumpNodesMax, dumpInFlightBytes) {
		k := state.NodeKey(r.Uint())
		u := state.Usage{CPU: r.Int(), MemoryMB: r.Int(), DiskMB: r.Int(), Allocs: int32(r.Int())}
		u.Granted = wire.Granted(r.String("what plans in flight hold", dumpHeadBytesMax))
		if _, err := u.Granted.UnpackAll(); err != nil {
			r.Fail(err)
		}
		extra[k] = u
	}
	e := state.ReadEval(r)
	if err := r.Close(); err != nil {
		return Input{}, fmt.Errorf("dump: %w", err)
	}
	in.Eval = &e
	if len(extra) > 0 {
		in.InFlight = func(k state.NodeKey) state.Usage { return extra[k] }
	}
	var err error
	if in.View, err = state.ReadCheckpoint(bytes.NewReader(checkpoint)); err != nil {
		return Input{}, fmt.Errorf("dump: %w", err)
	}
	return in, nil
}

// Replay makes a dumped attempt again.
func Replay(b []byte) (Output, error) {
	in, err := ReadDump(b)
	if err != nil {
		return Output{}, err
	}
	return Schedule(in), nil
}
