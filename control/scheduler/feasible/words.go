package feasible

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dunlin-edge/dunlin/fleet"
)

// valuesShownMax bounds the list of what nodes have instead.
const valuesShownMax = 4

// Nodes is "1 node" or "3 nodes".
func Nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// haveList is "3 nodes have amd64, 1 node has riscv64".
func haveList(fails []fail) string {
	return list(fails, func(f fail) string {
		verb := "have"
		if f.nodes == 1 {
			verb = "has"
		}
		return fmt.Sprintf("%s %s %s", Nodes(f.nodes), verb, f.has)
	})
}

// placeList is "3 nodes are in dc1".
func placeList(fails []fail, nowhere string) string {
	return list(fails, func(f fail) string {
		verb := "are"
		if f.nodes == 1 {
			verb = "is"
		}
		where := f.has
		if where == "" {
			where = nowhere
		}
		return fmt.Sprintf("%s %s in %s", Nodes(f.nodes), verb, where)
	})
}

func list(fails []fail, word func(fail) string) string {
	sorted := slices.Clone(fails)
	slices.SortStableFunc(sorted, func(a, b fail) int { return cmp.Compare(b.nodes, a.nodes) })
	var parts []string
	rest := 0
	for i, f := range sorted {
		if i < valuesShownMax {
			parts = append(parts, word(f))
		} else {
			rest += f.nodes
		}
	}
	if rest > 0 {
		parts = append(parts, fmt.Sprintf("%s have other values", Nodes(rest)))
	}
	return strings.Join(parts, ", ")
}

// most is the way in which most nodes fail.
func most(fails []fail) fail {
	return slices.MaxFunc(fails, func(a, b fail) int { return cmp.Compare(a.nodes, b.nodes) })
}

// counted adds how many nodes were refused and an example.
func counted(r fleet.Refusal, fails []fail) fleet.Refusal {
	for _, f := range fails {
		r.Nodes += f.nodes
	}
	r.Node = most(fails).example.Name
	return r
}
