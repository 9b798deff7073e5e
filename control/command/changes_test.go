package command

import (
	"errors"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// A registration is said to change nothing exactly where applying it would leave the row as it is.
func TestChangesOfARegistration(t *testing.T) {
	id := fleet.UUID{7}
	known := NodeRegister{ID: id, Spec: []byte(`{"Name":"n","Attributes":{"a":"1"}}`), Addr: "10.0.0.7:1", At: 5}
	store := state.New()
	apply := func(change func(*state.Node)) *state.View {
		x := store.Begin()
		if _, err := applyNodeRegister(x, 1, known); err != nil {
			t.Fatal(err)
		}
		n := *x.NodeByID(id)
		change(&n)
		x.PutNode(n, 2)
		x.Commit(2)
		return store.View()
	}
	nothing := func(*state.Node) {}
	for _, tc := range []struct {
		name string
		row  func(*state.Node)
		cmd  func(*NodeRegister)
		want bool
	}{
		{"the same", nothing, func(*NodeRegister) {}, false},
		{"the same at another time", nothing, func(c *NodeRegister) { c.At, c.Seed = 99, [32]byte{1} }, false},
		{"the same in other words", nothing, func(c *NodeRegister) {
			c.Spec = []byte(`{"Attributes":{"a":"1"},"ID":"` + id.String() + `","Name":"n"}`)
		}, false},
		{"another device", nothing, func(c *NodeRegister) { c.ID = fleet.UUID{8} }, true},
		{"another attribute", nothing, func(c *NodeRegister) { c.Spec = []byte(`{"Name":"n","Attributes":{"a":"2"}}`) }, true},
		{"another address", nothing, func(c *NodeRegister) { c.Addr = "10.0.0.7:2" }, true},
		{"late", func(n *state.Node) { n.Link = fleet.LinkLate }, func(*NodeRegister) {}, true},
		{"lost", func(n *state.Node) { n.Link = fleet.LinkLost }, func(*NodeRegister) {}, true},
		{"not eligible", func(n *state.Node) { n.Ineligible = true }, func(*NodeRegister) {}, true},
	} {
		cmd := known
		tc.cmd(&cmd)
		if got, err := cmd.Changes(apply(tc.row)); got != tc.want || err != nil {
			t.Errorf("%s: %t, %v; want %t", tc.name, got, err, tc.want)
		}
	}
	for _, spec := range []string{"", "[]", `{"ID":"` + fleet.UUID{9}.String() + `"}`} {
		if changes, err := (NodeRegister{ID: id, Spec: []byte(spec)}).Changes(store.View()); changes || !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %t, %v; want an invalid command", spec, changes, err)
		}
	}
}
