package command

import (
	"fmt"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
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

// TestFactsAskAlwaysConstraints: only a job with a constraint that must always
// hold, and only when it speaks of what changed.
func TestFactsAskAlwaysConstraints(t *testing.T) {
	w := newWorld(t)
	for i, mode := range []string{"", fleet.ConstraintAlways} {
		j := &fleet.Job{ID: fleet.JobID(fmt.Sprint("job", i)), Constraints: []fleet.Constraint{{LTarget: "${attr.power.source}", RTarget: "mains", Mode: mode}},
			TaskGroups: []fleet.TaskGroup{{Name: "app", Tasks: []fleet.Task{{Name: "main", Driver: "wasm"}}}}}
		fleet.Canonicalize(j)
		do[JobRegistered](w, JobRegister{Spec: fleet.CanonicalBytes(j), EvalID: uid(1 + i), At: 1000})
	}
	node := w.node(100)
	w.node(101)
	facts := func(n int, name, value string) FactsChanged {
		return do[FactsChanged](w, NodeFacts{Node: uid(n), Set: []wire.Attribute{{Name: name, Value: value}}, Seed: [32]byte{byte(w.index)}})
	}
	facts(100, "power.source", "mains")
	w.place("job0", node, 200)
	place := Plan{Eval: uid(2), Namespace: "default", Job: "job1", Snapshot: w.index, At: 2000,
		Groups: []Placements{{Nodes: []state.NodeKey{node}, Names: []uint32{0}, IDs: []fleet.UUID{uid(300)}}}}
	evals := func() (n int) {
		for range w.store.View().Evals() {
			n++
		}
		return n
	}
	before := evals()
	do[Planned](w, place)
	if evals() != before {
		t.Error("a plan that nothing overtook asks for another")
	}
	if got := facts(100, "usb.devices", "1:2"); len(got.Evals) != 0 {
		t.Errorf("another fact: %+v", got)
	}
	if got := facts(101, "power.source", "battery"); len(got.Evals) != 0 {
		t.Errorf("another node: %+v", got)
	}
	got := facts(100, "power.source", "battery")
	if len(got.Evals) != 1 {
		t.Fatalf("the power went: %+v", got)
	}
	if e := w.store.View().Eval(got.Evals[0]); e.Job != "job1" || e.Trigger != fleet.TriggerNodeUpdate || e.Node != uid(100) {
		t.Errorf("evaluation %+v", e)
	}
	// A plan that was made before the change and lands after it is looked at again.
	before = evals()
	place.Groups[0].IDs = []fleet.UUID{uid(301)}
	do[Planned](w, place)
	if evals() != before+1 {
		t.Errorf("%d evaluations for a plan that was overtaken", evals()-before)
	}
	// And a registration with other facts counts like a change of facts.
	if got := do[NodeRegistered](w, NodeRegister{ID: uid(100), Spec: nodeSpec("n", 4000), At: 80, Seed: [32]byte{9}}); len(got.Evals) != 1 {
		t.Errorf("registered anew: %+v", got)
	}
}
