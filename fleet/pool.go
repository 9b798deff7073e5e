package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
)

// NodePoolAll is the built-in pool that every node is in. A job may name it, a
// node may not.
const NodePoolAll = "all"

// Limits of a node pool.
const (
	NodePoolDescriptionBytesMax = 256
	NodePoolMetaMax             = 64
	NodePoolsMax                = 1024     // in a region
	NodePoolBytesMax            = 64 << 10 // as JSON
)

// NodePool is a set of nodes that jobs choose as a whole, and how the scheduler
// fills them.
type NodePool struct {
	Name        string            `hcl:",label"`
	Description string            `hcl:"description"`
	Meta        map[string]string `json:",omitempty" hcl:"meta,map"`
	// SchedulerConfiguration overrides the region's; nil: as the region.
	SchedulerConfiguration *NodePoolScheduler `json:",omitempty" hcl:"scheduler_config,block"`

	CreateIndex uint64
	ModifyIndex uint64
}

// NodePoolScheduler is how a pool differs from the region.
type NodePoolScheduler struct {
	SchedulerAlgorithm            string `json:",omitempty" hcl:"scheduler_algorithm"` // empty: the region's
	MemoryOversubscriptionEnabled *bool  `json:",omitempty" hcl:"memory_oversubscription_enabled"`
}

// BuiltInPools are there in every region and cannot be changed.
var BuiltInPools = []NodePool{
	{Name: NodePoolAll, Description: "every node of the region"},
	{Name: DefaultNodePool, Description: "nodes that name no pool"},
}

// BuiltIn reports whether the pool is one that every region has.
func BuiltIn(pool string) bool { return pool == NodePoolAll || pool == DefaultNodePool }

var poolRule = regexp.MustCompile(`^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,127}$`)

// CheckPoolName says why a pool cannot have that name; nil if it can.
func CheckPoolName(name string) error {
	if !poolRule.MatchString(name) {
		return fmt.Errorf("%.140q is no name of a node pool: use 1 to 128 letters, digits, dots, dashes and underscores", name)
	}
	return nil
}

// CheckPoolOfNode says why a node cannot be in the pool; empty is the default.
func CheckPoolOfNode(name string) error {
	if name == NodePoolAll {
		return fmt.Errorf("node pool %q stands for every node, and none can be put into it: name another, or none", name)
	}
	return CheckPoolName(cmp.Or(name, DefaultNodePool))
}

// Pool is the node's pool.
func (n *Node) Pool() string { return cmp.Or(n.NodePool, DefaultNodePool) }

// InPool reports whether the node is in a pool that a job names.
func (n *Node) InPool(pool string) bool { return pool == NodePoolAll || n.Pool() == pool }

// Validate returns everything that is wrong with a pool.
func (p *NodePool) Validate() Problems {
	c := &checker{}
	if err := CheckPoolName(p.Name); err != nil {
		c.refuse("Name", err.Error(), "")
	}
	if n := len(p.Description); n > NodePoolDescriptionBytesMax {
		c.refuse("Description", fmt.Sprintf("it has %d bytes", n), fmt.Sprintf("at most %d", NodePoolDescriptionBytesMax))
	}
	if n := len(p.Meta); n > NodePoolMetaMax {
		c.refuse("Meta", fmt.Sprintf("%d values", n), fmt.Sprintf("at most %d", NodePoolMetaMax))
	}
	c.meta("Meta", p.Meta)
	if b, err := json.Marshal(p); err == nil && len(b) > NodePoolBytesMax {
		c.refuse("Meta", fmt.Sprintf("the pool has %d bytes as JSON", len(b)), fmt.Sprintf("at most %d", NodePoolBytesMax))
	}
	if s := p.SchedulerConfiguration; s != nil {
		c.algorithm("SchedulerConfiguration.SchedulerAlgorithm", s.SchedulerAlgorithm)
	}
	return c.problems
}
