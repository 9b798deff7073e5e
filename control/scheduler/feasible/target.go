package feasible

import (
	"encoding/binary"
	"strings"

	"github.com/dunlin-edge/dunlin/fleet"
)

type targetKind uint8

const (
	literal targetKind = iota
	attribute
	meta
	nodeID
	nodeName
	nodeDatacenter
	nodeClass
	nodePool
	unknown // a reference to nothing: never set
)

// target is one side of a constraint.
type target struct {
	kind targetKind
	text string // the literal, or the key
}

var nodeFields = map[string]targetKind{
	"node.unique.id": nodeID, "node.unique.name": nodeName, "node.datacenter": nodeDatacenter,
	"node.class": nodeClass, "node.pool": nodePool,
}

// parseTarget reads "${attr.x}", "${meta.x}", "${node.…}" or a literal.
func parseTarget(s string) target {
	ref, ok := strings.CutPrefix(s, "${")
	if !ok || !strings.HasSuffix(ref, "}") {
		return target{literal, s}
	}
	ref = ref[:len(ref)-1]
	if key, ok := strings.CutPrefix(ref, "attr."); ok {
		return target{attribute, key}
	}
	if key, ok := strings.CutPrefix(ref, "meta."); ok {
		return target{meta, key}
	}
	if kind, ok := nodeFields[ref]; ok {
		return target{kind, ref}
	}
	return target{unknown, ref}
}

// of is the target's value on a node and whether it is set. A field of the node
// that is empty counts as not set.
func (t target) of(n *fleet.Node) (string, bool) {
	var v string
	switch t.kind {
	case literal:
		return t.text, true
	case attribute:
		v, ok := n.Attributes[t.text]
		return v, ok
	case meta:
		v, ok := n.Meta[t.text]
		return v, ok
	case nodeID:
		v = string(n.ID)
	case nodeName:
		v = n.Name
	case nodeDatacenter:
		v = n.Datacenter
	case nodeClass:
		v = n.NodeClass
	case nodePool:
		v = n.Pool()
	}
	return v, v != ""
}

// own reports whether the value is one that nodes do not share; see fleet.OwnPrefix.
func (t target) own() bool {
	switch t.kind {
	case nodeID, nodeName:
		return true
	case attribute, meta:
		return strings.HasPrefix(t.text, fleet.OwnPrefix)
	}
	return false
}

func (t target) appendKey(b []byte, n *fleet.Node) []byte {
	if t.kind == literal || t.kind == unknown {
		return b
	}
	v, ok := t.of(n)
	if !ok {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(v))+1), v...)
}
