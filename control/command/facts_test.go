package command

import (
	"fmt"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

func TestNodeFacts(t *testing.T) {
	w := newWorld(t)
	key := w.node(100)
	set := func(pairs ...string) (out []wire.Attribute) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, wire.Attribute{Name: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	w.refuse(NodeFacts{Node: uid(7), Set: set("a", "1")}, ErrNoSuchNode)
	w.refuse(NodeFacts{Node: uid(100), Set: set("", "1")}, ErrInvalid)
	before := w.store.View().Node(key).Spec
	if !do[FactsChanged](w, NodeFacts{Node: uid(100), Set: set("power.source", "battery", "usb.devices", "1:2")}).Changed {
		t.Error("nothing changed")
	}
	n := w.store.View().Node(key)
	if n.Spec.Attributes["power.source"] != "battery" || n.CapacityAt != w.index || n.ModifyIndex != w.index || len(before.Attributes) != 0 {
		t.Errorf("the node is %+v %v; it was %v", n, n.Spec.Attributes, before.Attributes)
	}
	capacity := n.CapacityAt
	if do[FactsChanged](w, NodeFacts{Node: uid(100), Set: set("power.source", "battery"), Unset: []string{"tpm.version"}}).Changed ||
		w.store.View().Node(key).CapacityAt != capacity {
		t.Error("what was known changed something")
	}
	do[FactsChanged](w, NodeFacts{Node: uid(100), Set: set("power.source", "mains"), Unset: []string{"usb.devices"}})
	if a := w.store.View().Node(key).Spec.Attributes; len(a) != 1 || a["power.source"] != "mains" {
		t.Errorf("attributes are %v", a)
	}
	for i := 0; i < fleet.NodeAttributesMax; i += wire.FactsMax {
		var pairs []string
		for k := range wire.FactsMax {
			pairs = append(pairs, fmt.Sprintf("x.%d", i+k), "1")
		}
		if i+wire.FactsMax < fleet.NodeAttributesMax {
			do[FactsChanged](w, NodeFacts{Node: uid(100), Set: set(pairs...)})
		} else {
			w.refuse(NodeFacts{Node: uid(100), Set: set(pairs...)}, ErrInvalid)
		}
	}
}
