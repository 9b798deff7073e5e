package grant

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"pgregory.net/rapid"
)

func group(ports ...fleet.Port) *fleet.TaskGroup {
	j := &fleet.Job{ID: "j", TaskGroups: []fleet.TaskGroup{{
		Name: "g", Tasks: []fleet.Task{{Name: "t", Driver: "wasm"}}, Networks: []fleet.Network{{Ports: ports}},
	}}}
	fleet.Canonicalize(j)
	return &j.TaskGroups[0]
}

func TestOfNothingIsNil(t *testing.T) {
	if Of(group()) != nil || Of(group(fleet.Port{Label: "a"})) == nil {
		t.Fatal("an ask is there exactly when something is asked for")
	}
	var none *Ask
	n := New(&fleet.Node{})
	if g, ok := n.Take(none, 1); !ok || !g.Empty() || n.Room(none, 7) != 7 {
		t.Fatal("who asks for nothing gets it, always")
	}
	if none.Differs(&wire.Grants{}) != "" || none.Differs(&wire.Grants{Ports: []wire.GrantedPort{{Label: "a", Number: 1}}}) == "" {
		t.Fatal("who asks for nothing must hold nothing")
	}
}

// A node is asked for ports until it has none, while others give theirs back. What
// it hands out is free by a naive set of numbers, and it hands out as often as it
// said that it can.
func TestPortsAgainstANaiveSet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		spec := &fleet.Node{Name: "n"}
		low := rapid.IntRange(1, 30).Draw(rt, "low")
		spec.NodeResources.MinDynamicPort, spec.NodeResources.MaxDynamicPort = low, low+rapid.IntRange(0, 8).Draw(rt, "size")
		from := rapid.IntRange(1, 40).Draw(rt, "reserved")
		to := from + rapid.IntRange(0, 3).Draw(rt, "to")
		spec.ReservedResources.Networks.ReservedHostPorts = fmt.Sprintf("%d-%d", from, to)
		n, taken := New(spec), map[uint16]bool{}
		for p := from; p <= to; p++ {
			taken[uint16(p)] = true
		}
		var out []wire.Grants
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			if len(out) > 0 && rapid.IntRange(0, 3).Draw(rt, "back") == 0 {
				i := rapid.IntRange(0, len(out)-1).Draw(rt, "which")
				n.ReleasePacked(out[i].Pack())
				for _, p := range out[i].Ports {
					delete(taken, p.Number)
				}
				out[i] = out[len(out)-1]
				out = out[:len(out)-1]
				continue
			}
			var ports []fleet.Port
			for i := range rapid.IntRange(1, 3).Draw(rt, "ports") {
				p := fleet.Port{Label: fmt.Sprint("p", i)}
				if rapid.IntRange(0, 2).Draw(rt, "static") == 0 {
					p.Value = rapid.IntRange(1, 40).Draw(rt, "number")
				}
				ports = append(ports, p)
			}
			ask := Of(group(ports...))
			distinct := map[uint16]bool{}
			for _, p := range ask.static {
				distinct[p.Number] = true
			}
			if len(distinct) < len(ask.static) {
				continue // validation refuses it
			}
			room, before := n.Room(ask, 5), len(out)
			for range room {
				g, ok := n.Take(ask, rapid.Uint64().Draw(rt, "seed"))
				if !ok {
					rt.Fatalf("room for %d, and %d were given", room, len(out)-before)
				}
				if why := ask.Differs(&g); why != "" {
					rt.Fatal(why)
				}
				for _, p := range g.Ports {
					if taken[p.Number] {
						rt.Fatalf("port %d is given out twice", p.Number)
					}
					taken[p.Number] = true
				}
				out = append(out, g)
			}
			if g, ok := n.Take(ask, 1); ok && room < 5 {
				rt.Fatalf("room for %d, and one more was given: %+v", room, g)
			} else if ok {
				n.ReleasePacked(g.Pack())
			}
		}
		for i := range out {
			if n.Clash(&out[i]) == "" {
				rt.Fatalf("%+v is held and clashes with nothing", out[i])
			}
		}
	})
}

func TestTheSameSeedGivesTheSame(t *testing.T) {
	ask := Of(group(fleet.Port{Label: "a"}, fleet.Port{Label: "b"}))
	x, _ := New(&fleet.Node{}).Take(ask, 42)
	y, _ := New(&fleet.Node{}).Take(ask, 42)
	z, _ := New(&fleet.Node{}).Take(ask, 43)
	if x.Pack() != y.Pack() || x.Pack() == z.Pack() {
		t.Fatalf("%+v, %+v, %+v", x, y, z)
	}
}

func TestClashesInWords(t *testing.T) {
	spec := &fleet.Node{Name: "shop"}
	spec.ReservedResources.Networks.ReservedHostPorts = "22, 80"
	n := New(spec)
	n.Hold(&wire.Grants{Ports: []wire.GrantedPort{{Label: "x", Number: 8080}}})
	for want, g := range map[string]wire.Grants{
		"port 22 is reserved on node shop": {Ports: []wire.GrantedPort{{Label: "a", Number: 22}}},
		"port 8080 is held on node shop":   {Ports: []wire.GrantedPort{{Label: "a", Number: 8080}}},
		"port 9 is given out twice":        {Ports: []wire.GrantedPort{{Label: "a", Number: 9}, {Label: "b", Number: 9}}},
	} {
		if got := n.Clash(&g); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := n.Clash(&wire.Grants{Ports: []wire.GrantedPort{{Label: "a", Number: 9}}}); got != "" {
		t.Error(got)
	}
}
