package command

import (
	"encoding/json"
	"fmt"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// NodePoolPut makes or changes a node pool.
type NodePoolPut struct {
	Pool []byte // fleet.NodePool as JSON
}

// NodePoolDelete removes a pool that no node and no job is in.
type NodePoolDelete struct{ Name string }

// SchedulerSet changes how the region schedules.
type SchedulerSet struct {
	Config     []byte // fleet.SchedulerConfiguration as JSON
	CheckIndex bool   // only if its ModifyIndex is Index
	Index      uint64
}

func (NodePoolPut) code() byte               { return codeNodePoolPut }
func (c NodePoolPut) append(b []byte) []byte { return codec.AppendBytes(b, c.Pool) }

func readNodePoolPut(r *codec.Reader) NodePoolPut {
	return NodePoolPut{Pool: r.Bytes("a node pool", fleet.NodePoolBytesMax)}
}

func (NodePoolDelete) code() byte               { return codeNodePoolDelete }
func (c NodePoolDelete) append(b []byte) []byte { return codec.AppendString(b, c.Name) }

func readNodePoolDelete(r *codec.Reader) NodePoolDelete {
	return NodePoolDelete{Name: r.String("a node pool", wordMax)}
}

func (SchedulerSet) code() byte { return codeSchedulerSet }

func (c SchedulerSet) append(b []byte) []byte {
	return codec.AppendUint(codec.AppendBool(codec.AppendBytes(b, c.Config), c.CheckIndex), c.Index)
}

func readSchedulerSet(r *codec.Reader) SchedulerSet {
	return SchedulerSet{Config: r.Bytes("a scheduler configuration", schedulerBytesMax), CheckIndex: r.Bool(), Index: r.Uint()}
}

// schedulerBytesMax bounds an encoded scheduler configuration, a dozen words.
const schedulerBytesMax = 4 << 10

func applyNodePoolPut(x *state.Txn, index uint64, c NodePoolPut) (fleet.NodePool, error) {
	var p fleet.NodePool
	if err := json.Unmarshal(c.Pool, &p); err != nil {
		return p, fmt.Errorf("%w: the node pool: %v", ErrInvalid, err)
	}
	if err := p.Validate().Err(); err != nil {
		return p, fmt.Errorf("%w: node pool %s: %v", ErrInvalid, p.Name, err)
	}
	if fleet.BuiltIn(p.Name) {
		return p, fmt.Errorf("node pool %s: %w", p.Name, ErrBuiltIn)
	}
	if _, known := x.NodePool(p.Name); !known && x.NodePoolCount() >= fleet.NodePoolsMax {
		return p, fmt.Errorf("%w: there are %d node pools; at most %d", ErrInvalid, x.NodePoolCount(), fleet.NodePoolsMax)
	}
	x.PutNodePool(p, index)
	p, _ = x.NodePool(p.Name)
	return p, nil
}

func applyNodePoolDelete(x *state.Txn, _ uint64, c NodePoolDelete) (fleet.NodePool, error) {
	p, ok := x.NodePool(c.Name)
	switch {
	case !ok:
		return p, fmt.Errorf("node pool %s: %w", c.Name, ErrNoSuchPool)
	case fleet.BuiltIn(c.Name):
		return p, fmt.Errorf("node pool %s: %w", c.Name, ErrBuiltIn)
	}
	if nodes, jobs := x.NodePoolUse(c.Name); nodes+jobs > 0 {
		return p, fmt.Errorf("node pool %s: %w: %d nodes are in it and %d jobs name it", c.Name, ErrPoolInUse, nodes, jobs)
	}
	x.DeleteNodePool(c.Name)
	return p, nil
}

// ensurePool makes the pool that a device says it is in. When there are too many
// the device registers all the same: no job can name its pool until there is room
// and an operator makes it.
func ensurePool(x *state.Txn, index uint64, name string) {
	if _, known := x.NodePool(name); !known && x.NodePoolCount() < fleet.NodePoolsMax {
		x.PutNodePool(fleet.NodePool{Name: name}, index)
	}
}

func checkPool(x *state.Txn, spec *fleet.Job) error {
	if _, known := x.NodePool(spec.NodePool); !known {
		return fmt.Errorf("job %s: node pool %s: %w", spec.ID, spec.NodePool, ErrNoSuchPool)
	}
	return nil
}

// SchedulerIs is the result of [SchedulerSet].
type SchedulerIs struct {
	fleet.SchedulerConfiguration
	Updated bool // else: somebody was first
}

func applySchedulerSet(x *state.Txn, index uint64, c SchedulerSet) (SchedulerIs, error) {
	var s fleet.SchedulerConfiguration
	if err := json.Unmarshal(c.Config, &s); err != nil {
		return SchedulerIs{}, fmt.Errorf("%w: the scheduler configuration: %v", ErrInvalid, err)
	}
	s.Canonicalize()
	if err := s.Validate().Err(); err != nil {
		return SchedulerIs{}, fmt.Errorf("%w: the scheduler configuration: %v", ErrInvalid, err)
	}
	if old := x.SchedulerConfig(); c.CheckIndex && old.ModifyIndex != c.Index {
		return SchedulerIs{SchedulerConfiguration: old}, nil
	}
	x.SetSchedulerConfig(s, index)
	return SchedulerIs{x.SchedulerConfig(), true}, nil
}
