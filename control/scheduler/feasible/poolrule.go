package feasible

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/fleet"
)

// poolRule wants a node of one pool.
type poolRule struct{ pool string }

func (r poolRule) appendKey(b []byte, n *fleet.Node) []byte {
	return target{kind: nodePool}.appendKey(b, n)
}

func (r poolRule) holds(n *fleet.Node) bool { return n.InPool(r.pool) }
func (r poolRule) has(n *fleet.Node) string { return n.Pool() }
func (r poolRule) name() string             { return "node pool " + r.pool }

func (r poolRule) refusal(fails []fail) fleet.Refusal {
	best := most(fails)
	return counted(fleet.Refusal{
		Rule: "node pool", Wants: "the job wants " + r.pool, Has: placeList(fails, "no pool"),
		Fix: fmt.Sprintf("use node_pool = %q, or put a node into %s (client { node_pool = %q } on the device)", best.has, r.pool, r.pool),
	}, fails)
}
